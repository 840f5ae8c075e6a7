# The pinned Bazelisk release, in the cache folder. Needs no root.

readonly kBazeliskVersion=1.28.1
readonly kBazeliskSha256_amd64=22e7d3a188699982f661cf4687137ee52d1f24fec1ec893d91a6c4d791a75de8
readonly kBazeliskSha256_arm64=8ded44b58a0d9425a4178af26cf17693feac3b87bdcfef0a2a0898fcd1afc9f2

# Sets the choice to the release, or to the toolbox where it cannot be had.
choose_release() {
  local platform program sum url
  case $(uname -m) in
    x86_64) platform=amd64 ;;
    aarch64) platform=arm64 ;;
    *) die "there is no pinned Bazelisk for $(uname -m): set MMSB_BAZEL to a Bazel 7" ;;
  esac
  sum=kBazeliskSha256_$platform
  url=${MMSB_BAZELISK_BASE_URL:-https://github.com/bazelbuild/bazelisk/releases/download/v$kBazeliskVersion}/bazelisk-linux-$platform
  program=$cache/bazelisk/bazelisk-$kBazeliskVersion-linux-$platform
  if [[ -x $program ]] || fetch_release "$url" "${!sum}" "$program"; then
    set_choice release "$program" "neither bazelisk nor a Bazel 7 is on PATH, and the archives can be fetched"
  else
    set_choice toolbox '' "$url cannot be fetched"
  fi
}

# fetch_release URL SHA256 PROGRAM: aside, checked, renamed.
fetch_release() {
  release_aside=$3.$$
  { make_folder "$(dirname -- "$3")" && [[ -w ${3%/*} ]]; } 2>/dev/null ||
    die "cannot write to the cache folder $cache: make it writable, or set MMSB_CACHE to one that is"
  say "fetching Bazelisk $kBazeliskVersion from $1"
  trap 'rm -f -- "$release_aside"' EXIT
  if ! fetch "$1" "$release_aside" 2>/dev/null; then
    rm -f -- "$release_aside"
    return 1
  fi
  has_sha256 "$2" "$release_aside" ||
    die "$1 has another sha256 than the $2 that is pinned, so it is not used: run again, or set MMSB_BAZEL to a Bazel 7"
  chmod +x -- "$release_aside"
  mv -- "$release_aside" "$3"
  trap - EXIT
}
