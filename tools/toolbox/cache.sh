# Where things are kept: the user's cache folder and the paths in it.

cache_folder() {
  if [[ -n ${MMSB_CACHE:-} ]]; then
    cache=$MMSB_CACHE
  elif [[ -n ${XDG_CACHE_HOME:-} ]]; then
    cache=$XDG_CACHE_HOME/mmsb
  elif [[ -n ${HOME:-} ]]; then
    cache=$HOME/.cache/mmsb
  else
    die "there is no HOME to keep a cache under: set MMSB_CACHE to a folder"
  fi
  [[ $cache == /* ]] || cache=$PWD/$cache
  toolboxes=$cache/toolbox
}

# Makes a folder. What root makes belongs to whoever owns the folder above it, so that
# a toolbox built by sudo in a user's home serves that user.
make_folder() {
  [[ ! -d $1 ]] || return 0
  make_folder "$(dirname -- "$1")"
  mkdir -- "$1" 2>/dev/null || [[ -d $1 ]] || return 1
  ! am_root || chown --reference="$(dirname -- "$1")" -- "$1" 2>/dev/null || true
}

need_cache() {
  { make_folder "$toolboxes" && [[ -w $cache && -w $toolboxes ]]; } 2>/dev/null ||
    die "cannot write to the cache folder $cache: make it writable, or set MMSB_CACHE to one that is"
}

am_root() { [[ $(id -u) == 0 ]]; }

# Takes the toolbox lock, for as long as the process lives; a second one waits and says so.
lock_toolbox() {
  exec {lock_fd}>>"$toolboxes/lock"
  flock --nonblock "$lock_fd" && return
  say "another bazelw is at work on the toolbox; waiting for it"
  flock "$lock_fd"
}

toolbox_is_locked() { ! flock --nonblock 9; } 9<"$toolboxes/lock"

# Before anything starts that outlives this process, which would inherit the lock.
unlock_toolbox() { exec {lock_fd}>&-; }

cache_folder
