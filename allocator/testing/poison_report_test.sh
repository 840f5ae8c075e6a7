#!/usr/bin/env bash
# usage: poison_report_test.sh MISUSE
# Each misuse is reported by the tool that the program is built for, and what is no
# misuse is not. Without a tool only the latter is seen.
set -uo pipefail

misuse=$1
tool=$("$misuse" tool) || exit
run=("$misuse")
reported=({{,checked_}{pool,lockfree},slab}_{fresh,reused,freed,slack} arena_fresh arena_rewound arena_reset arena_slack)
case $tool in
  # It does not know what was written.
  asan)
    report=use-after-poison
    reported=({{,checked_}{pool,lockfree},slab}_{freed,slack} arena_rewound arena_reset arena_slack)
    ;;
  msan) report=use-of-uninitialized-value ;;
  valgrind)
    report='uninitialised value|Invalid read'
    run=(valgrind -q --error-exitcode=99 "$misuse")
    ;;
  none) reported=() ;;
esac

failed=0
for name in "${reported[@]}"; do
  said=$("${run[@]}" "$name" 2>&1)
  status=$?
  if ((status == 0 || status == 2)) || ! grep -qE "$report" <<<"$said"; then
    printf '%s under %s: not reported, exit code %d\n%s\n' "$name" "$tool" "$status" "$said"
    failed=1
  fi
done
if ! said=$("${run[@]}" fine 2>&1); then
  printf 'fine under %s: reported\n%s\n' "$tool" "$said"
  failed=1
fi
exit "$failed"
