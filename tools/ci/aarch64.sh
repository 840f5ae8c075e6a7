#!/usr/bin/env bash
# Builds the tests of primitives, memory/delta and device/simd for aarch64 and runs them under
# qemu-user: with NEON alone, and with SVE at each vector length from 128 to 2048 bits. Not part
# of .ci/run: it builds everything once more, and needs ./bazelw toolbox add aarch64. The last
# line is `N passed, N failed`. BAZEL names another command in place of ./bazelw.
set -uo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." || exit
. tools/ci/count.sh
read -ra bazel <<<"${BAZEL:-./bazelw}"

events=$(mktemp) || exit
trap 'rm -f -- "$events"' EXIT
all_passed=0 all_failed=0

# on CPU ARGUMENTS...: the tests on one of the emulator's processors.
on() {
  local cpu=$1 status=0
  shift
  "${bazel[@]}" test --config=aarch64 --keep_going --noshow_progress --test_env=QEMU_CPU="$cpu" \
    --build_event_json_file="$events" "$@" || status=$?
  count_tests "$events" "$status"
  ((all_passed += passed, all_failed += failed))
  printf '%s: %d passed, %d failed%s\n' "$cpu" "$passed" "$failed" "${failures:+: $failures}"
}

# What the emulator cannot do: run a program of its own by name, which wants binfmt_misc; refuse
# advice for huge granules; hold a limit for address space; and give address space back where it
# refuses to move a mapping.
beyond_emulation=(
  BackgroundThreadDeathTest.StoppingFromTheWorkIsRefused
  ThreadExitHookTest.TheMainThreadRunsItOnlyWhenItEndsAsAThread
  OsMemoryTest.AdviceForHugeGranulesIsTakenOrRefused
  OsMemoryTest.WhatCannotGrowStaysAsItWas
  OsMemoryDeathTest.TheSystemsRefusalsAreReturned
  OsMemoryDeathTest.ALimitLeavesWhatWouldGrowAsItWas
)
filter=-$(IFS=: && printf '%s' "${beyond_emulation[*]}")

on max,sve=off --test_filter="$filter" //primitives/... //memory/delta/... //device/simd/...
for bytes in 16 32 64 128 256; do
  on "max,sve-default-vector-length=$bytes" //memory/delta/... //device/simd/...
done

printf '%d passed, %d failed\n' "$all_passed" "$all_failed"
((all_failed == 0))
