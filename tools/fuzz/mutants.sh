#!/usr/bin/env bash
# Plants each bug of fuzz/mutants in a scratch copy of the repository and says what finds
# it: the replay of the target's corpus, or fuzzing.
#
#   tools/fuzz/mutants.sh [--seconds=N] [--config=asan] [PREFIX...]
#
# With --seconds, what the replay misses is replayed by the fuzzer, which has AddressSanitizer
# and UndefinedBehaviorSanitizer, and then fuzzed for so long. With --config, the replay is
# built so. Only bugs whose name begins with one of PREFIX, if there are any. Fails when
# a bug is not found, or its patch no longer fits.
set -uo pipefail

. "$(dirname -- "${BASH_SOURCE[0]}")/../ci/scratch.sh"

seconds=0 options=() prefixes=()
for argument in "$@"; do
  case $argument in
    --seconds=*) seconds=${argument#*=} ;;
    --config=*) options+=("$argument") ;;
    -*)
      printf 'mutants: no option %s\n' "$argument" >&2
      exit 2
      ;;
    *) prefixes+=("$argument") ;;
  esac
done

make_scratch
tree=$scratch/mmsb
copy_tree "$tree" || exit

wanted() {
  ((${#prefixes[@]} == 0)) && return
  local prefix
  for prefix in "${prefixes[@]}"; do
    [[ $1 == "$prefix"* ]] && return
  done
  return 1
}

run() {
  bazel_in "$tree" "$scratch/out" "$@" --noshow_progress --color=no >"$scratch/log" 2>&1
}

# find_it TARGET: what finds the bug that is in the tree, in $verdict.
find_it() {
  local status=0
  run test "${options[@]}" --test_output=all "//fuzz:$1_fuzz" || status=$?
  # 3 says that the tests were built, and one failed.
  if ((status == 3)); then
    verdict=replay
    return
  elif ((status != 0)); then
    verdict='DOES NOT BUILD'
    tail -n 20 "$scratch/log" >&2
    return
  fi
  verdict='NOT FOUND'
  ((seconds == 0)) && return
  run build "//fuzz:$1_fuzz_bin" || {
    verdict='NO FUZZER'
    return
  }
  rm -rf -- "$scratch/corpus" && mkdir -- "$scratch/corpus"
  run run "//fuzz:$1_fuzz_bin" -- -runs=0 -artifact_prefix="$scratch/" "$tree/fuzz/$1_corpus" || {
    verdict='replay with sanitizers'
    return
  }
  local begin=$SECONDS
  run run "//fuzz:$1_fuzz_bin" -- -max_total_time="$seconds" \
    -artifact_prefix="$scratch/" "$scratch/corpus" "$tree/fuzz/$1_corpus" ||
    verdict="$((SECONDS - begin)) s of fuzzing"
}

found=0 missed=0
printf '%-52s  %s\n' bug 'found by'
for patch in "$root"/fuzz/mutants/*.patch; do
  name=$(basename -- "$patch" .patch)
  wanted "$name" || continue
  target=$(sed -n 's/^Target: //p' "$patch")
  if patch -p1 -s -F0 -d "$tree" <"$patch" >"$scratch/log" 2>&1; then
    find_it "$target"
  else
    verdict='DOES NOT APPLY'
  fi
  # Copied, as a patch without context would be taken back where its line was when it was made.
  sed -n 's,^--- a/,,p' "$patch" | (cd -- "$root" && xargs cp --parents -t "$tree")
  find "$tree" -name '*.orig' -o -name '*.rej' | xargs -r rm --
  printf '%-52s  %s\n' "$name" "$verdict"
  case $verdict in
    replay* | *fuzzing) ((++found)) ;;
    *) ((++missed)) ;;
  esac
done
printf '%d found, %d not\n' "$found" "$missed"
((missed == 0))
