# Finds out which Bazel it can be: what is on PATH, and what the network has.

use fetch

# One archive of each host that a build fetches from.
archive_url() {
  local archive url
  read -r _ _ _ url <<<"${kArchives[2]}"
  printf '%s' "${MMSB_ARCHIVE_URL:-$url}"
}

# The Bazel that Bazelisk would fetch.
bazel_url() {
  local base=${BAZELISK_BASE_URL:-https://releases.bazel.build}
  [[ -n ${BAZELISK_BASE_URL:-} ]] || base+=/$kBazelVersion/release
  [[ -z ${BAZELISK_BASE_URL:-} ]] || base+=/$kBazelVersion
  printf '%s' "${MMSB_BAZEL_URL:-$base/bazel-$kBazelVersion-linux-$(uname -m | sed s/aarch64/arm64/)}"
}

# Both questions at once, so that a host that swallows packets costs its time only once.
probe() {
  local archive bazel archives_job bazel_job archives='' releases=''
  archive=$(archive_url) bazel=$(bazel_url)
  fetchable "$archive" &
  archives_job=$!
  fetchable "$bazel" &
  bazel_job=$!
  wait "$archives_job" && archives=yes
  wait "$bazel_job" && releases=yes
  judge
}

judge() {
  if [[ -z $archives ]]; then
    set_choice toolbox '' "$archive could not be fetched"
  elif [[ -n $bazelisk_on_path && -n $releases ]]; then
    set_choice bazelisk "$bazelisk_on_path" 'it is on PATH, and the archives can be fetched'
  elif [[ -n $bazel_on_path ]] && is_bazel_7 "$bazel_on_path"; then
    set_choice bazel "$bazel_on_path" 'it is a Bazel 7 on PATH, and the archives can be fetched'
  elif [[ -z $releases ]]; then
    set_choice toolbox '' "$bazel could not be fetched, so Bazelisk could not fetch a Bazel"
  else
    use bazelisk
    choose_release
  fi
}

is_bazel_7() { [[ $(timeout 4 "$1" --version 2>/dev/null </dev/null) == "bazel 7."* ]]; }
