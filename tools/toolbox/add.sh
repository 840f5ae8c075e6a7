# Adds to the toolbox what only some need. The root is changed in place: a mark says so
# from the first change to the last, and running the same again completes it.

use build

add_to_toolbox() {
  local name
  (($#)) || misused_add "toolbox add wants a name"
  for name; do
    [[ " ${kAddons[*]} " == *" $name "* ]] || misused_add "there is no add-on '$name'"
  done
  [[ -z ${MMSB_IN_TOOLBOX:-} ]] || die "this is inside the toolbox: leave it first (exit)"
  need_toolbox
  for name; do add_one "$name"; done
}

misused_add() {
  say "$1: it is ./bazelw toolbox add $(IFS='|' && printf '%s' "${kAddons[*]}")"
  exit "$kMisused"
}

# What an add-on is made of, which its mark holds when it is whole.
addon_contents() {
  local -n packages=kPackages_$1
  printf '%s' "${packages[*]}"
}

addon_is_whole() { [[ -f $toolbox/addons/$1 && $(<"$toolbox/addons/$1") == "$(addon_contents "$1")" ]]; }

add_one() {
  local name=$1 log=$toolboxes/add-$1.log began=$SECONDS
  if addon_is_whole "$name"; then
    say "$name is there already"
    return
  fi
  check_machine "add $name"
  lock_toolbox
  if addon_is_whole "$name"; then
    say "$name is there already"
    return
  fi
  : >"$log"
  say "adding $name to the toolbox (the log is $log)"
  choose_mirror
  : >"$toolbox/addons/$name.adding"
  after_interrupt="run ./bazelw toolbox add $name again to complete it"
  run_steps "$log" add_root.sh "$toolbox/root" "$mirror" "$name"
  addon_contents "$name" >"$toolbox/addons/$name"
  rm -f -- "$toolbox/addons/$name.adding"
  unlock_toolbox
  say "$name is there, after $((SECONDS - began)) s"
}
