# count_tests EVENTS STATUS: from the file of --build_event_json_file and the exit status of
# `bazel test`, sets $passed and $failed, and $failures, the labels that failed. Counted
# are tests; as failed also each target that could not be built, so that a broken build
# never reads as 0 failed.
count_tests() {
  local counted
  counted=$(awk '
    function label() {
      return match($0, /"label":"[^"]*"/) ? substr($0, RSTART + 9, RLENGTH - 10) : ""
    }
    /^\{"id":\{"targetConfigured":/ {
      if (/"testSize":"/) expected[label()] = 1
      if (/"aborted":/) failures[label()] = 1
    }
    /^\{"id":\{"targetCompleted":/ {
      if (/"reason":"SKIPPED"/) skipped[label()] = 1
      else if (!/"success":true/) failures[label()] = 1
    }
    /^\{"id":\{"testSummary":/ {
      summed[label()] = 1
      if (/"overallStatus":"(PASSED|FLAKY)"/) passed++
      else failures[label()] = 1
    }
    END {
      for (name in expected) if (!(name in summed) && !(name in skipped)) failures[name] = 1
      for (name in failures) { failed++; names = names " " name }
      print passed + 0, failed + 0, names
    }
  ' "$1" 2>/dev/null) || counted='0 0'
  read -r passed failed failures <<<"$counted"
  if ((failed == 0)) && { (($2 != 0)) || ((passed == 0)); }; then
    failed=1 failures='(the build)'
  fi
}
