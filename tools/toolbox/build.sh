# Builds the toolbox: aside, under the lock, and renamed when whole. Nothing outlives an
# interruption: the work runs in PID and mount namespaces that end with this process.

use enter
use fetch mirror progress remove

# need_toolbox [WHY]: makes sure that there is a whole toolbox.
need_toolbox() {
  [[ ! -d $toolbox ]] || return 0
  [[ -z ${1:-} ]] || say "the toolbox is needed: $1"
  check_machine build
  lock_toolbox
  # The one that held the lock may have built it.
  [[ -d $toolbox ]] || build_toolbox
  unlock_toolbox
}

# check_machine COMMAND: whatever can be known to be wrong beforehand.
check_machine() {
  case $(uname -m) in
    x86_64 | aarch64) ;;
    *) die "the toolbox is for x86_64 and aarch64, and this machine is $(uname -m): set MMSB_BAZEL to a Bazel 7" ;;
  esac
  am_root ||
    die "to $1 the toolbox takes root: run 'sudo MMSB_CACHE=$(printf %q "$cache") $(printf %q "$project/bazelw") toolbox $1' once, or set MMSB_BAZEL to a Bazel 7"
  need_cache
  unshare --mount --pid --fork true 2>/dev/null || die "$kNoUnshare"
  check_space
}

check_space() {
  local free
  free=$(df -Pk -- "$toolboxes" | awk 'NR == 2 { print int($4 / 1024) }')
  ((free >= kNeededMiB)) ||
    die "the toolbox needs $kNeededMiB MiB, and $toolboxes has $free MiB left: make room, or set MMSB_CACHE to a folder with room"
}

build_toolbox() {
  local aside=$toolboxes/building log=$toolboxes/build.log began=$SECONDS
  remove_tree "$aside"
  mkdir -p -- "$aside/root" "$toolboxes/downloads"
  : >"$log"
  say "building the toolbox in $toolboxes (once, 2 to 3 minutes; the log is build.log there)"
  trap 'remove_tree "$toolboxes/building"' EXIT
  need_debootstrap "$log"
  choose_mirror
  after_interrupt="nothing half-built is left, and a new run starts afresh"
  run_steps "$log" build_root.sh "$aside" "$toolboxes/downloads" "$mirror"
  chown -R --reference="$toolboxes" -- "$aside/bazel" "$aside/root/var/cache/mmsb"
  # Entered once, by root: it makes the places that other users' folders are mounted at.
  (enter_root "$aside/root" true) || exit
  mv -- "$aside" "$toolbox"
  trap - EXIT
  rm -rf -- "$toolboxes/downloads"
  say "the toolbox is ready after $((SECONDS - began)) s"
  [[ -z $(old_toolboxes) ]] || say "a toolbox of an older recipe is left; to remove it: ./bazelw toolbox clean --old"
}

need_debootstrap() {
  ! type -P debootstrap >/dev/null || [[ ! -f $kKeyring ]] || return 0
  say "installing debootstrap (apt-get install debootstrap debian-archive-keyring)"
  local install=(apt-get install -y --no-install-recommends debootstrap debian-archive-keyring)
  { "${install[@]}" || { apt-get update; "${install[@]}"; }; } </dev/null >>"$1" 2>&1 || true
  hash -r
  { type -P debootstrap >/dev/null && [[ -f $kKeyring ]]; } ||
    die "there is no debootstrap and apt-get cannot install it ($(reason_in "$1")): install it by hand, or set MMSB_BAZEL to a Bazel 7"
}
