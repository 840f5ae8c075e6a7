# Builds the toolbox: aside, under the lock, and renamed when whole. Nothing outlives an
# interruption: the work runs in PID and mount namespaces that end with this process.

. "$tools/fetch.sh"
. "$tools/mirror.sh"
. "$tools/progress.sh"

# Makes sure that there is a whole toolbox.
need_toolbox() {
  [[ ! -d $toolbox ]] || return 0
  check_machine
  lock_toolbox
  [[ ! -d $toolbox ]] || return 0 # the one that held the lock built it
  build_toolbox
}

# Everything that can be known to be wrong before an hour is spent on it.
check_machine() {
  case $(uname -m) in
    x86_64 | aarch64) ;;
    *) die "the toolbox is for x86_64 and aarch64, and this machine is $(uname -m): set MMSB_BAZEL to a Bazel 7" ;;
  esac
  am_root ||
    die "no Bazel was found, and building the toolbox needs root: run once 'sudo MMSB_CACHE=$(printf %q "$cache") $(printf %q "$project/bazelw") toolbox build', or set MMSB_BAZEL to a Bazel 7"
  need_cache
  unshare --mount --pid --fork true 2>/dev/null ||
    die "unshare is not permitted here, and the toolbox needs it: in a container allow it (docker: --privileged, or --cap-add SYS_ADMIN with seccomp and apparmor unconfined), or set MMSB_BAZEL to a Bazel 7"
  check_space
}

check_space() {
  local free
  free=$(df -Pk -- "$toolboxes" | awk 'NR == 2 { print int($4 / 1024) }')
  ((free >= kNeededMiB)) ||
    die "the toolbox needs $kNeededMiB MiB, and $toolboxes has $free MiB left: make room, or set MMSB_CACHE to a folder with room"
}

build_toolbox() {
  local aside=$toolboxes/building log=$toolboxes/build.log
  remove_tree "$aside"
  mkdir -p -- "$aside/root" "$toolboxes/downloads"
  : >"$log"
  say "building the toolbox in $toolboxes (once, 2 to 3 minutes; the log is build.log there)"
  need_debootstrap "$log"
  choose_mirror
  trap 'remove_tree "$toolboxes/building"' EXIT
  run_steps "$log" build_root.sh "$aside" "$toolboxes/downloads" "$mirror"
  chown -R --reference="$toolboxes" -- "$aside/bazel" "$aside/root/var/cache/mmsb"
  mv -- "$aside" "$toolbox"
  trap - EXIT
  rm -rf -- "$toolboxes/downloads"
  say "the toolbox is ready after $SECONDS s"
}

need_debootstrap() {
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  ! type -P debootstrap >/dev/null || [[ ! -f $keyring ]] || return 0
  say "installing debootstrap (apt-get install debootstrap debian-archive-keyring)"
  local install=(apt-get install -y --no-install-recommends debootstrap debian-archive-keyring)
  { "${install[@]}" || { apt-get update; "${install[@]}"; }; } </dev/null >>"$1" 2>&1 || true
  type -P debootstrap >/dev/null ||
    die "there is no debootstrap and apt-get cannot install it ($(reason_in "$1")): install it by hand, or set MMSB_BAZEL to a Bazel 7"
}

# rm -rf that never reaches through a mount into somebody's files.
remove_tree() {
  local tries mount_point
  while read -r _ _ _ _ mount_point _; do
    mount_point=$(printf '%b' "$mount_point")
    [[ $mount_point != "$1"/* ]] || die "something is mounted at $mount_point: unmount it first"
  done </proc/self/mountinfo
  # Processes of an ended namespace may be a moment in dying.
  for tries in 1 2 3 4 5; do
    rm -rf --one-file-system -- "$1" 2>/dev/null && return
    sleep 0.2
  done
  rm -rf --one-file-system -- "$1"
}
