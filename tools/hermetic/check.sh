#!/usr/bin/env bash
# Builds targets here, with whatever caches there are, and from nothing in a copy in another
# folder, with an output base of its own and no cache, and compares what came out bit for
# bit. Targets may be given: tools/hermetic/check.sh //cli:mmsb
set -euo pipefail

. "$(dirname -- "${BASH_SOURCE[0]}")/../ci/scratch.sh"
make_scratch
(($#)) || set -- //cli:mmsb //memory/epoch:epoch_test

# sums BAZEL... -- FLAG... -- TARGET...: prints `sha256  path` of each output.
sums() {
  local program=() flags=() at path
  while [[ $1 != -- ]]; do program+=("$1") && shift; done
  shift
  while [[ $1 != -- ]]; do flags+=("$1") && shift; done
  shift
  "${program[@]}" build -c opt "${flags[@]}" --noshow_progress "$@" >&2
  at=$("${program[@]}" info execution_root 2>/dev/null)
  "${program[@]}" cquery -c opt "${flags[@]}" --noshow_progress --output=files "set($*)" >"$scratch/paths"
  while IFS= read -r path; do
    printf '%s  %s\n' "$(sha256sum <"$at/$path" | cut -d' ' -f1)" "$path"
  done <"$scratch/paths"
}

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
