#!/usr/bin/env bash
# Takes a planted bug the whole way: found, reduced, promoted; the corpus merged and shown;
# and sees that what is wrong is refused in words.
set -uo pipefail

programs=$PWD/$1
export FUZZ_OUT=$TEST_TMPDIR/out BUILD_WORKSPACE_DIRECTORY=$TEST_TMPDIR/repository
unset BUILD_WORKING_DIRECTORY
folder=build_defs/fuzz/testing
out=$FUZZ_OUT/$folder/planted_fuzz
source_corpus=$BUILD_WORKSPACE_DIRECTORY/$folder/planted_corpus
mkdir -p "$source_corpus"
cp -L "$folder"/planted_corpus/* "$source_corpus"

failures=0
fail() {
  printf 'FAILED: %s\n' "$*"
  ((++failures))
}

# says STATUS PATTERN COMMAND...
says() {
  local status=$1 pattern=$2 said got=0
  shift 2
  said=$("$@" 2>&1) || got=$?
  [[ $got == "$status" ]] || fail "$* ended with $got, not $status: ${said: -600}"
  [[ $said =~ $pattern ]] || fail "$* did not say /$pattern/: ${said: -600}"
}

test=$programs/planted_fuzz
says 0 'inputs passed' "$test" --max_len=16 "$source_corpus/part"
says 1 'part: 16 bytes, and the fuzzer cuts inputs at 15: shorten it, or raise max_len' "$test" --max_len=15 "$source_corpus/part"

run=$programs/planted_fuzz_run
says 0 'bazel run //build_defs/fuzz/testing:planted_fuzz_run' "$run" --help
says 2 'there is no --tim;' "$run" --tim=3
says 2 'a number with s, m or h' "$run" --time=soon
says 2 '--jobs=x: a number' "$run" --jobs=x
says 2 'is not a file that can be read' "$run" --input=/nonexistent
says 2 'is not a folder' "$run" --corpus=/nonexistent
says 2 'is one too many' "$run" file
says 0 'Executed .*part' "$run" --input="$source_corpus/part"

# A bounded number of runs in place of a time, so that no slow machine misses it.
says 77 'deadly signal' "$run" --seed=1 -- -runs=5000000
says 77 'deadly signal' "$run" --seed=1 --fork=1 -- -runs=5000000 -ignore_crashes=0
crash=$(ls "$out"/crashes/crash-* | head -n 1)
[[ -s $crash ]] || fail "no crash in $out/crashes"
says 77 'deadly signal' "$run" --input="$crash"

printf 'much in front of it, and then the !bug' >"$TEST_TMPDIR/long"
says 2 'does not crash the target' "$programs/planted_fuzz_reduce" "$source_corpus/part"
says 2 'a FILE is needed' "$programs/planted_fuzz_reduce"
reduced=$("$programs/planted_fuzz_reduce" "$TEST_TMPDIR/long" --time=20s 2>"$TEST_TMPDIR/log")
[[ $(cat "$reduced") == '!bug' ]] || fail "reduced to '$(cat "$reduced")': $(tail -n 5 "$TEST_TMPDIR/log")"

promote=$programs/planted_fuzz_promote
says 2 'a name in CamelCase' "$promote" "$reduced" --name=not_camel
says 0 'TEST\(PlantedFuzzRegressionTest, WordAtTheEnd\) .* 0x21, 0x62, 0x75, 0x67,' "$promote" "$reduced" --name=WordAtTheEnd
[[ $(cat "$source_corpus/regression_word_at_the_end") == '!bug' ]] || fail 'nothing was promoted'
says 2 'is there already' "$promote" "$reduced" --name=WordAtTheEnd
rm "$source_corpus/regression_word_at_the_end"
printf 'say !bug' >"$TEST_TMPDIR/said"
says 0 $'TEST\\(SayTest, SaysItself\\) \\{\n  Say\\(\\);\n\\}$' "$promote" "$TEST_TMPDIR/said" --name=SaysItself
rm "$source_corpus/regression_says_itself"

# What was found goes into the corpus; what libFuzzer found before, and reaches no more than
# the rest, goes away; what was named stays.
mkdir "$TEST_TMPDIR/more"
stale=$source_corpus/0123456789abcdef0123456789abcdef01234567
printf 'no' >"$stale"
printf 'b' >"$TEST_TMPDIR/more/one"
printf 'a bug?' >"$TEST_TMPDIR/more/word"
says 0 'written to' "$programs/planted_fuzz_minimize" --corpus="$TEST_TMPDIR/more" --write
[[ -e $source_corpus/regression_kept ]] || fail 'the regression did not stay'
[[ ! -e $stale ]] || fail 'an input that reaches no more was kept'
grep -qsr 'bug' "$source_corpus" || fail 'an input that reaches more was not merged'

says 0 'planted_fuzz.cc' "$programs/planted_fuzz_coverage" --out="$TEST_TMPDIR/covered"
[[ -s $TEST_TMPDIR/covered/coverage/index.html ]] || fail 'no index.html'

archive=$(tar --list --file "$programs/planted_fuzz_oss_fuzz.tar" | sort | tr '\n' ' ')
[[ $archive == './ ./planted_fuzz ./planted_fuzz.dict ./planted_fuzz.options ./planted_fuzz_seed_corpus.zip ' ]] ||
  fail "the archive holds $archive"
mkdir "$TEST_TMPDIR/archive"
tar --extract --file "$programs/planted_fuzz_oss_fuzz.tar" --directory "$TEST_TMPDIR/archive"
[[ $(tr '\n' ' ' <"$TEST_TMPDIR/archive/planted_fuzz.options") == '[libfuzzer] max_len = 64 timeout = 25 rss_limit_mb = 2560 dict = planted_fuzz.dict ' ]] ||
  fail "the options are $(cat "$TEST_TMPDIR/archive/planted_fuzz.options")"
says 0 'Done' "$TEST_TMPDIR/archive/planted_fuzz" -runs=10 -dict="$TEST_TMPDIR/archive/planted_fuzz.dict"

dictionary() {
  printf '%s\n' "$1" >"$TEST_TMPDIR/dictionary"
  says "$2" "$3" build_defs/fuzz/check_dictionary "$TEST_TMPDIR/dictionary"
}
dictionary 'name="value"' 0 '^$'
dictionary 'deep@2="\x00\\\""' 0 '^$'
dictionary 'name=value' 1 'dictionary:1: it is not a value in quotes: name=value'
dictionary '""' 1 'the value is empty'
dictionary '"\xZZ"' 1 'after . comes neither'
dictionary '"a"b"' 1 'a quote inside'

((failures == 0)) && printf 'all as it should be\n'
exit "$((failures > 0))"
