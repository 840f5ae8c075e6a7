#!/usr/bin/env bash
# Fills a real file system under `mmsb commit` and `mmsb checkout`, and checks that there is
# one clear line, an exit code, and a store that is as it was and goes on when there is room.
#
#   tools/e2e/full_disk.sh PATH_OF_MMSB
#
# Mounts a small tmpfs in a mount namespace of its own, for which it needs root or user
# namespaces. Where neither is to be had it fails and says so.
set -euo pipefail

[[ $# == 1 && -x $1 ]] || {
  echo "usage: $0 PATH_OF_MMSB" >&2
  exit 2
}
mmsb=$(realpath -- "$1")

if [[ ${MMSB_FULL_DISK_INSIDE-} != 1 ]]; then
  export MMSB_FULL_DISK_INSIDE=1
  user=()
  ((EUID == 0)) || user=(--user --map-root-user)
  unshare "${user[@]}" --mount true 2>/dev/null || {
    echo "$0: cannot make a mount namespace: run it as root, or allow user namespaces" >&2
    exit 1
  }
  exec unshare "${user[@]}" --mount --propagation private "$0" "$mmsb"
fi

outside=$(mktemp -d)
trap 'umount -- "$outside/disk" 2>/dev/null || true; rm -rf -- "$outside"' EXIT
mkdir -- "$outside/disk"
mount -t tmpfs -o size=2m mmsb-full-disk "$outside/disk"
disk=$outside/disk store=$outside/disk/store

fail() {
  echo "full_disk: $*" >&2
  exit 1
}

# refused COMMAND...: it must exit with 1 and one line that says why.
refused() {
  local code=0
  "$mmsb" "$@" >"$outside/out" 2>"$outside/err" || code=$?
  [[ $code == 1 ]] || fail "'mmsb $*' exited with $code"
  [[ $(wc -l <"$outside/err") == 1 ]] || fail "'mmsb $*' printed $(cat -- "$outside/err")"
  grep -q "^mmsb $1: .*No space left on device" -- "$outside/err" ||
    fail "'mmsb $*' printed $(cat -- "$outside/err")"
}

# whole EPOCHS FILE: the store is sound, and its newest epoch, number EPOCHS, is FILE.
whole() {
  "$mmsb" verify "$store" >/dev/null || fail "the store is not sound"
  "$mmsb" checkout "$store" "$1" "$outside/got" --force >/dev/null
  cmp -- "$outside/got" "$2" || fail "epoch $1 has wrong bytes"
  ! "$mmsb" checkout "$store" $(($1 + 1)) "$outside/more" 2>/dev/null ||
    fail "there is an epoch $(($1 + 1))"
}

head -c 400000 /dev/urandom >"$outside/small"
head -c 4000000 /dev/urandom >"$outside/large"

# Not even room for a store.
head -c 4m /dev/zero >"$disk/ballast" 2>/dev/null || true
refused commit "$store" "$outside/small"
rm -- "$disk/ballast"

"$mmsb" commit "$store" "$outside/small" >/dev/null
for _ in 1 2 3; do
  refused commit "$store" "$outside/large"
  whole 1 "$outside/small"
done

# At every amount of room, to the last block.
for blocks in {0..20}; do
  head -c 4m /dev/zero >"$disk/ballast" 2>/dev/null || true
  truncate -s "-$((blocks * 4096))" "$disk/ballast"
  refused commit "$store" "$outside/large"
  rm -- "$disk/ballast"
  whole 1 "$outside/small"
done

head -c 4m /dev/zero >"$disk/ballast" 2>/dev/null || true
refused checkout "$store" 1 "$disk/out"
[[ ! -e $disk/out ]] || fail "a part of a checkout is there"
[[ $(ls -A -- "$disk") == $'ballast\nstore' ]] || fail "a checkout left something behind"
rm -- "$disk/ballast"

head -c 500000 /dev/urandom >"$outside/next"
"$mmsb" commit "$store" "$outside/next" >/dev/null
whole 2 "$outside/next"
echo "full_disk: the store stayed whole"
