#!/usr/bin/env bash
# usage: planted_test.sh PLANTED
# Each sanitizer that the program is built with finds the bugs of its kind, and says so; what
# is no bug is not reported. Without a sanitizer only the latter is seen.
set -uo pipefail

planted=$1
tools=$("$planted" tools) || exit
failed=0
wrong() {
  printf '%s\n' "$*"
  failed=1
}

# found TOOL NAME PATTERN
found() {
  [[ " ${tools//$'\n'/ } " == *" $1 "* ]] || return 0
  local said status=0
  said=$("$planted" "$2" 2>&1) || status=$?
  ((status != 0 && status != 2)) && [[ $said =~ $3 ]] || wrong "$2: $1 did not say /$3/, exit code $status: $said"
}

found asan pool_overflow 'AddressSanitizer: use-after-poison'
found asan arena_after_reset 'AddressSanitizer: use-after-poison'
found asan leak 'LeakSanitizer: detected memory leaks'
found msan slab_unwritten 'MemorySanitizer: use-of-uninitialized-value'
found tsan race 'ThreadSanitizer: data race'
found ubsan signed_overflow 'runtime error: signed integer overflow'

said=$("$planted" fine 2>&1) || wrong "fine: reported: $said"
exit "$failed"
