#!/usr/bin/env bash
# count_tests against what Bazel writes when tests pass, fail, are flaky, time out, are
# skipped, cannot be built or cannot be analysed.
set -uo pipefail

. tools/ci/count.sh
wrong=0
events=$TEST_TMPDIR/events

# expect NAME STATUS PASSED FAILED: counts what standard input says.
expect() {
  cat >"$events"
  count_tests "$events" "$2"
  if [[ "$passed $failed" != "$3 $4" ]]; then
    printf '%s: %s passed, %s failed (%s), not %s and %s\n' "$1" "$passed" "$failed" "$failures" "$3" "$4"
    wrong=1
  fi
}

configured() {
  printf '{"id":{"targetConfigured":{"label":"%s"}},"children":[],"configured":{"targetKind":"%s rule"%s}}\n' "$1" "$2" "${3:-}"
}
test_configured() { configured "$1" sh_test ',"testSize":"SMALL"'; }
built() { printf '{"id":{"targetCompleted":{"label":"%s","configuration":{"id":"6"}}},"completed":{"success":true,"tag":["x"]}}\n' "$1"; }
unbuilt() { printf '{"id":{"targetCompleted":{"label":"%s","configuration":{"id":"6"}}},"completed":{"failureDetail":{"message":"no"}}}\n' "$1"; }
skipped() { printf '{"id":{"targetCompleted":{"label":"%s","configuration":{"id":"6"}}},"aborted":{"reason":"SKIPPED","description":"x"}}\n' "$1"; }
summary() { printf '{"id":{"testSummary":{"label":"%s","configuration":{"id":"6"}}},"testSummary":{"totalRunCount":1,"overallStatus":"%s"}}\n' "$1" "$2"; }
unanalysed() { printf '{"id":{"targetConfigured":{"label":"%s"}},"children":[],"aborted":{"reason":"ANALYSIS_FAILURE"}}\n' "$1"; }
ran() { test_configured "$1" && built "$1" && summary "$1" "$2"; }

expect 'all pass' 0 2 0 < <(ran //:a PASSED && ran //:b FLAKY && configured //:c cc_library && built //:c)
expect 'some fail' 3 1 3 < <(ran //:a PASSED && ran //:b FAILED && ran //:c TIMEOUT && ran //:d NO_STATUS)
expect 'a skipped test counts for neither' 0 1 0 < <(ran //:a PASSED && test_configured //:b && skipped //:b)
expect 'a test that cannot be built' 1 1 1 < <(ran //:a PASSED && test_configured //:b && unbuilt //:b)
expect 'a library that cannot be built' 1 1 1 < <(ran //:a PASSED && configured //:c cc_library && unbuilt //:c)
expect 'a test that was never reached' 1 1 1 < <(ran //:a PASSED && test_configured //:b)
expect 'a target that cannot be analysed' 1 1 1 < <(ran //:a PASSED && unanalysed //:b)
expect 'a status that no event explains' 8 1 1 < <(ran //:a PASSED)
expect 'no event at all' 1 0 1 </dev/null
expect 'no test at all' 0 0 1 </dev/null
expect 'rubbish' 0 0 1 <<<'not json'

exit "$wrong"
