#!/usr/bin/env bash
# How many inputs a second each fuzz target runs, under its sanitizers, as a table.
#
#   tools/fuzz/throughput.sh [--seconds=N] [--least=N] [TARGET...]
#
# Fuzzes each target for --seconds (10 if not given), one after another, from the checked-in
# corpus and a fixed seed. A second is one of the processor's, so that what else runs on the
# machine matters little; a target with threads has theirs in it. TARGET is a name as arena;
# all targets when there is none. With --least, fails when a target runs fewer a second.
set -uo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." || exit
read -ra bazel <<<"${BAZEL:-./bazelw}"

seconds=10 least=0 targets=()
for argument in "$@"; do
  case $argument in
    --seconds=*) seconds=${argument#*=} ;;
    --least=*) least=${argument#*=} ;;
    -h | --help)
      sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit
      ;;
    -*)
      printf 'throughput: there is no %s; --help lists what there is\n' "$argument" >&2
      exit 2
      ;;
    *) targets+=("$argument") ;;
  esac
done
[[ $seconds =~ ^[1-9][0-9]*$ && $least =~ ^[0-9]+$ ]] || {
  printf 'throughput: --seconds and --least are whole numbers\n' >&2
  exit 2
}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/mmsb-throughput.XXXXXX") || exit
trap 'rm -rf -- "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if ((${#targets[@]} > 0)); then
  labels=("${targets[@]/#///fuzz:}")
  labels=("${labels[@]/%/_fuzz_run}")
else
  # One target has no corpus, so that a test can see it fail.
  mapfile -t labels < <("${bazel[@]}" query --noshow_progress \
    'filter("_fuzz_run$", //fuzz:all) except //fuzz:empty_corpus_fuzz_run' 2>/dev/null)
fi
((${#labels[@]} > 0)) || {
  printf 'throughput: there are no fuzz targets\n' >&2
  exit 1
}
"${bazel[@]}" build --noshow_progress -- "${labels[@]}" >"$scratch/log" 2>&1 || {
  tail -n 20 "$scratch/log" >&2
  exit 1
}

# What libFuzzer says in the log of the number named $1.
stat() { sed -n "s/^stat::$1: *//p" "$scratch/log"; }

failed=0
TIMEFORMAT='%U %S'
printf '%-26s %12s %8s %10s %8s\n' target executions seconds 'a second' 'peak MB'
for label in "${labels[@]}"; do
  name=${label#//fuzz:} name=${name%_fuzz_run}
  { time "${bazel[@]}" run --noshow_progress "$label" -- --out="$scratch/out/$name" --seed=1 \
    --time="${seconds}s" >"$scratch/log" 2>&1 </dev/null; } 2>"$scratch/time" || {
    printf '%-26s failed:\n' "$name"
    tail -n 20 "$scratch/log"
    failed=1
    continue
  }
  executions=$(stat number_of_executed_units)
  took=$(awk '{ printf "%.1f", $1 + $2 }' "$scratch/time")
  rate=$(awk -v executions="$executions" -v took="$took" 'BEGIN { printf "%d", executions / (took > 0 ? took : 1) }')
  printf '%-26s %12d %8s %10d %8d\n' "$name" "$executions" "$took" "$rate" "$(stat peak_rss_mb)"
  ((rate >= least)) || failed=1
done
exit "$failed"
