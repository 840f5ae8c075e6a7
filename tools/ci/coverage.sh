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
objects=()
while IFS= read -r program; do
  objects+=(--object "$root/$program")
done < <(query cquery --output=files "set(${labels[*]})")
# llvm-cov takes its first program without a flag.
objects=("${objects[@]:1}")
common=("${objects[@]}" --instr-profile="$profiles/all.profdata" --ignore-filename-regex='(_test\.cc|/testing/|^external/|/external/|^fuzz/|^bench/|^mmsb/|^cli/|^examples/)')

if [[ -n $html ]]; then
  tool llvm-cov-21 show --format=html --show-branches=count --output-dir="$html" "${common[@]}" >&2
fi
if ((${#missed[@]} > 0)); then
  tool llvm-cov-21 export --format=lcov "${common[@]}" |
    awk -F '[:,]' -v "wanted=${missed[*]}" '
      BEGIN { for (i = split(wanted, names, " "); i > 0; i--) want[names[i]] = 1 }
      $1 == "SF" { file = $2; sub("^/proc/self/cwd/", "", file); if (!(file in want)) file = "" }
      file && $1 == "DA" && $3 == 0 { print file ":" $2 ": line not reached" }
      file && $1 == "BRDA" && $5 == 0 { print file ":" $2 ": branch not taken" }
    ' | sort -t : -k 1,1 -k 2,2n | uniq -c
fi
tool llvm-cov-21 export --summary-only "${common[@]}" >"$profiles/summary.json"
tool python3 tools/ci/coverage_table.py ${files:+"$files"} primitives allocator memory device <"$profiles/summary.json"
