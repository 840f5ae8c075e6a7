#!/usr/bin/env bash
# Which lines and branches of the layers the tests reach, as a table:
#   coverage.sh [--corpora] [--files] [--html FOLDER] [--missed FILE]... [TARGETS]
# --corpora runs nothing but the fuzz corpora; --files adds a row for each file; --html
# writes annotated sources; --missed prints what is not reached of a file; TARGETS is a
# Bazel query, `//...` when not given.
# Not part of .ci/run: it builds everything once more, instrumented.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
. tools/ci/tool.sh
read -ra bazel <<<"${BAZEL:-./bazelw}"

targets='//... except //build_defs/... except //tools/...' corpora='' files='' html='' missed=()
while (($#)); do
  case $1 in
    --corpora) corpora=yes ;;
    --files) files=--files ;;
    --html) html=${2:?--html needs a folder} && shift ;;
    --missed) missed+=("${2:?--missed needs a file}") && shift ;;
    -*) printf 'coverage: there is no %s: --corpora, --files, --html FOLDER, --missed FILE\n' "$1" >&2 && exit 2 ;;
    *) targets=$1 ;;
  esac
  shift
done
pattern="kind(cc_test, $targets)"
[[ -z $corpora ]] || pattern="attr(name, '_fuzz\$', $pattern)"

# Under the home folder, which the toolbox sees at the same path and Bazel's sandbox does not
# hide behind an empty /tmp of its own.
profiles=$(mktemp -d "${XDG_CACHE_HOME:-$HOME/.cache}/mmsb-coverage.XXXXXX")
trap 'rm -rf -- "$profiles"' EXIT

query() { "${bazel[@]}" "$1" --config=coverage --noshow_progress "${@:2}" 2>/dev/null; }
mapfile -t labels < <("${bazel[@]}" query --noshow_progress "$pattern except attr(tags, manual, //...)" 2>/dev/null)
((${#labels[@]} > 0)) || { printf 'coverage: no test fits %s\n' "$pattern" >&2 && exit 1; }

# %c: counters live in the file itself, so that a death test's child counts as well.
# %m: one file a program, however many processes it has.
"${bazel[@]}" test --config=coverage --keep_going --noshow_progress --nocache_test_results \
  --sandbox_writable_path="$profiles" --test_env=LLVM_PROFILE_FILE="$profiles/%c%m.profraw" \
  -- "${labels[@]}" >&2

tool llvm-profdata-21 merge --sparse -o "$profiles/all.profdata" "$profiles"/*.profraw
root=$(query info execution_root)
programs=()
while IFS= read -r program; do
  programs+=("$root/$program")
done < <(query cquery --output=files "set(${labels[*]})")
ignored='(_test\.cc|/testing/|^external/|/external/|^fuzz/|^bench/|^mmsb/|^cli/|^examples/)'

if [[ -n $html ]]; then
  # llvm-cov takes its first program without a flag.
  tool llvm-cov-21 show --format=html --show-branches=count --output-dir="$html" "${programs[0]}" \
    "${programs[@]/#/--object=}" --instr-profile="$profiles/all.profdata" --ignore-filename-regex="$ignored" >&2
fi
# Each program by itself: of an inline function that one program has and does not use, and
# another one uses, llvm-cov forgets the second.
export ignored profiles
printf '%s\0' "${programs[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c '. tools/ci/tool.sh
  tool llvm-cov-21 export --format=lcov "$1" --instr-profile="$profiles/all.profdata" \
    --ignore-filename-regex="$ignored" >"$profiles/$(cksum <<<"$1" | tr -d " ").lcov" 2>/dev/null' _
tool python3 tools/ci/coverage_table.py ${files:+"$files"} "${missed[@]/#/--missed=}" \
  primitives allocator memory device < <(cat -- "$profiles"/*.lcov)
