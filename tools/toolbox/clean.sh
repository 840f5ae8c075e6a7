# ./bazelw toolbox clean: gives the disk its room back.

use remove

clean_toolbox() {
  local doomed=() path
  [[ -z ${MMSB_IN_TOOLBOX:-} ]] || die "this is inside the toolbox: leave it first (exit)"
  case ${1:-} in
    '') list_all ;;
    --old) mapfile -t doomed < <(old_toolboxes) ;;
    *)
      say "there is no 'toolbox clean $1': it is ./bazelw toolbox clean [--old]"
      exit "$kMisused"
      ;;
  esac
  if ((${#doomed[@]} == 0)); then
    say "there is nothing to remove in $toolboxes"
    return
  fi
  need_cache
  agreed || die "nothing was removed"
  lock_toolbox
  for path in "${doomed[@]}"; do
    # Unless the one that held the lock removed it.
    [[ ! -e $path ]] || remove_one "$path"
  done
}

list_all() {
  for path in "$toolboxes"/* "$cache/choice"; do
    [[ ! -e $path || $path == "$toolboxes/lock" ]] || doomed+=("$path")
  done
}

# A person is asked; a script is told.
agreed() {
  local answer
  for path in "${doomed[@]}"; do say "removing $path ($(du -sh -- "$path" 2>/dev/null | cut -f1))"; done
  [[ -t 0 && -t 2 ]] || return 0
  read -r -p 'bazelw: is that right? [y/N] ' answer
  [[ $answer == [yY]* ]]
}

# Out of sight first: an interrupted removal must not look like a whole toolbox.
remove_one() {
  local aside=$toolboxes/removing.${1##*/}
  stop_servers "$1"
  [[ $1 != "$toolboxes"/removing.* ]] || aside=$1
  [[ $1 == "$aside" ]] || mv -- "$1" "$aside" || die "cannot remove $1: it belongs to another user (sudo?)"
  # Bazel makes parts of its output read-only.
  am_root || [[ ! -d $aside/bazel ]] || chmod -R u+w -- "$aside/bazel" 2>/dev/null || true
  remove_tree "$aside" || die "cannot remove all of $aside: part of it belongs to another user (sudo?)"
}

# The Bazel servers whose output is in this toolbox, and no other.
stop_servers() {
  local file pid base
  for file in "$1"/bazel/*/server/server.pid.txt; do
    [[ -f $file ]] || continue
    pid=$(<"$file") base=${file%/server/server.pid.txt}
    is_server_of "$pid" "$base" || continue
    say "stopping the Bazel server of $base (process $pid)"
    kill -TERM "$pid" 2>/dev/null || continue
    for _ in {1..50}; do
      is_server_of "$pid" "$base" || continue 2
      sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
  done
}

is_server_of() {
  [[ $1 =~ ^[0-9]+$ && -r /proc/$1/cmdline ]] &&
    tr '\0' '\n' <"/proc/$1/cmdline" 2>/dev/null | grep -qxF -e "--output_base=$2"
}
