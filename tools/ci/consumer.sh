#!/usr/bin/env bash
# Builds and tests tools/consumer, a repository that depends on this one, and sees that it
# reaches nothing but the public face. Last line: `N passed, N failed`.
set -uo pipefail

. "$(dirname -- "${BASH_SOURCE[0]}")/scratch.sh"
make_scratch
copy_tree "$scratch/mmsb" || exit
consumer=$scratch/mmsb/tools/consumer
passed=0 failed=0

run() {
  bazel_in "$consumer" "$scratch/out" "$1" --noshow_progress --color=no "${@:2}" >"$scratch/log" 2>&1
}

verdict() {
  if [[ $1 == ok ]]; then
    ((++passed))
    printf 'as it should be: %s\n' "$2"
  else
    ((++failed))
    printf 'NOT AS IT SHOULD BE: %s: %s\n' "$2" "$1"
    tail -n 40 "$scratch/log" | sed 's/^/    /'
  fi
}

# refused NAME PATTERN ARGUMENTS...
refused() {
  local name=$1 pattern=$2
  shift 2
  if run "$@"; then
    verdict 'it was let through' "$name"
  elif [[ $(tr -s '\n\t ' ' ' <"$scratch/log") =~ $pattern ]]; then
    verdict ok "$name"
  else
    verdict "it failed without saying /$pattern/" "$name"
  fi
}

if run test //:arena_test; then
  verdict ok 'a test that includes mmsb/arena.h'
else
  verdict 'it does not pass' 'a test that includes mmsb/arena.h'
fi
if run test //:arena_fuzz; then
  verdict ok 'a fuzz target of its own, replayed'
else
  verdict 'it does not pass' 'a fuzz target of its own, replayed'
fi
FUZZ_OUT=$scratch/fuzz
export FUZZ_OUT
if run run //:arena_fuzz_run -- --seed=1 -- -runs=1000 && grep -qs 'Done 1000 runs' "$scratch/log"; then
  verdict ok 'the same, fuzzed'
else
  verdict 'it is not fuzzed' 'the same, fuzzed'
fi
refused '@mmsb//allocator:arena is not to be seen (visibility)' \
  "target '@@?mmsb//allocator:arena' is not visible from target '//refused:target'" \
  build --nobuild //refused:target
refused 'allocator/arena.h is not to be included (layering_check)' \
  "header.cc:1:10: error: module //refused:header does not depend on a module exporting 'allocator/arena.h'" \
  build //refused:header

printf '%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
