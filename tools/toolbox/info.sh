# ./bazelw toolbox info: what was taken and why, and what there is.

use choose
use add

show_info() {
  case ${1:-} in
    '') ;;
    --probe) rm -f -- "$cache/choice" ;;
    *)
      say "there is no 'toolbox info $1': it is ./bazelw toolbox info [--probe]"
      exit "$kMisused"
      ;;
  esac
  show_choice
  row project "$project"
  row cache "$cache"
  show_releases
  show_toolbox
  show_old_toolboxes
}

row() { printf '%-12s%s\n' "$1" "$2"; }

size_of() { du -sh -- "$1" 2>/dev/null | cut -f1; }

show_choice() {
  if [[ -n ${MMSB_BAZEL:-} && $MMSB_BAZEL != toolbox ]]; then
    row bazel "$MMSB_BAZEL, because MMSB_BAZEL names it"
    return
  fi
  decide
  case $choice_kind in
    toolbox) row bazel "the toolbox, because $choice_why" ;;
    release) row bazel "Bazelisk's release, because $choice_why" ;;
    *) row bazel "$choice_program, because $choice_why" ;;
  esac
  row asked "$choice_when; ask anew: ./bazelw toolbox info --probe"
}

show_releases() {
  local program
  for program in "$cache"/bazelisk/bazelisk-*; do
    [[ ! -f $program ]] || row bazelisk "$program, $(size_of "$program")"
  done
}

show_toolbox() {
  if [[ ! -d $toolbox ]]; then
    row toolbox "not built (./bazelw toolbox build); it would be $toolbox"
    return
  fi
  row toolbox "$toolbox, built $(<"$toolbox/built")"
  local versions
  versions=$(<"$toolbox/versions")
  row holds "Debian $kSuite; ${versions%; }"
  row root "$toolbox/root, $(size_of "$toolbox/root")"
  row output "$toolbox/bazel, $(size_of "$toolbox/bazel")"
  row 'disk cache' "$toolbox/root/var/cache/mmsb/disk, $(size_of "$toolbox/root/var/cache/mmsb/disk") (part of the root's size)"
  show_valid_until
  show_addons
}

show_valid_until() {
  if [[ -f $toolbox/root/etc/apt/apt.conf.d/90mmsb-valid-until ]]; then
    row valid-until 'not checked inside the toolbox: the mirror was past its date when it was last asked'
  else
    row valid-until 'checked'
  fi
}

show_addons() {
  local name
  for name in "${kAddons[@]}"; do
    if addon_is_whole "$name"; then
      row "$name" 'added'
    elif [[ -f $toolbox/addons/$name.adding ]] && toolbox_is_locked; then
      row "$name" 'being added now'
    elif [[ -f $toolbox/addons/$name.adding ]]; then
      row "$name" "interrupted while it was added: ./bazelw toolbox add $name completes it"
    else
      row "$name" "not added (./bazelw toolbox add $name)"
    fi
  done
}

show_old_toolboxes() {
  local old
  while IFS= read -r old; do
    row old "$old, $(size_of "$old"), of another recipe (./bazelw toolbox clean --old)"
  done < <(old_toolboxes)
}
