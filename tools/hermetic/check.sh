#!/usr/bin/env bash
# Builds targets here, with whatever caches there are, and from nothing in a copy in another
# folder, with an output base of its own and no cache, and compares what came out bit for
# bit. Targets may be given: tools/hermetic/check.sh //cli:mmsb
set -euo pipefail

. "$(dirname -- "${BASH_SOURCE[0]}")/../ci/scratch.sh"
make_scratch
(($#)) || set -- //cli:mmsb //memory/epoch:epoch_test

here() { (cd -- "$root" && "${bazel[@]}" "$@" </dev/null); }
elsewhere() { bazel_in "$copy" "$scratch/out" "$@"; }

copy=$scratch/another/folder/with/a/longer/name
copy_tree "$copy"
# Named here, for sums runs in a subshell: the exit is to shut that server down.
bases+=("$copy|$scratch/out")
sums here -- -- "$@" >"$scratch/here.sums"
sums elsewhere -- --disk_cache= -- "$@" >"$scratch/elsewhere.sums"

cat -- "$scratch/here.sums"
if [[ ! -s $scratch/here.sums ]]; then
  printf 'hermetic: nothing was built\n' >&2
  exit 1
fi
if ! diff -- "$scratch/here.sums" "$scratch/elsewhere.sums"; then
  printf 'hermetic: the build from nothing differs, as shown above\n' >&2
  exit 1
fi
printf 'bit-identical in two folders\n'
