#!/usr/bin/env bash
# Builds targets twice from nothing, in two folders with two output bases and no cache, and
# compares what came out bit for bit. Targets may be given: tools/hermetic/check.sh //cli:mmsb
set -euo pipefail

. "$(dirname -- "${BASH_SOURCE[0]}")/../ci/scratch.sh"
make_scratch
(($#)) || set -- //cli:mmsb //memory/epoch:epoch_test

# build FOLDER TARGET...: writes `sha256  path` of each output to FOLDER.sums.
build() {
  local folder=$1 out=$1-out at path
  shift
  copy_tree "$folder"
  bazel_in "$folder" "$out" build -c opt --disk_cache= --noshow_progress "$@"
  at=$(bazel_in "$folder" "$out" info execution_root 2>/dev/null)
  bazel_in "$folder" "$out" cquery -c opt --disk_cache= --noshow_progress --output=files "set($*)" >"$folder.paths"
  while IFS= read -r path; do
    printf '%s  %s\n' "$(sha256sum <"$at/$path" | cut -d' ' -f1)" "$path"
  done <"$folder.paths" >"$folder.sums"
}

one=$scratch/a two=$scratch/another/folder/with/a/longer/name
build "$one" "$@"
build "$two" "$@"

cat -- "$one.sums"
if [[ ! -s $one.sums ]]; then
  printf 'hermetic: nothing was built\n' >&2
  exit 1
fi
if ! diff -- "$one.sums" "$two.sums"; then
  printf 'hermetic: the second build differs, as shown above\n' >&2
  exit 1
fi
printf 'bit-identical in two folders\n'
