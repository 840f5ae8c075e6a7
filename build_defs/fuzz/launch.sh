# What the programs of a cc_fuzz_test do (../fuzz_test.bzl). One of them sources this, in its
# runfiles, having set
#   fuzz_command        run, minimize, reduce, promote or coverage
#   fuzz_target         the target's name
#   fuzz_package        its package
#   fuzz_corpus_folder  of the corpus, from the root of its repository
#   fuzz_engine         libfuzzer or afl
#   fuzz_binary         the program, in the runfiles
#   fuzz_dictionary     the same, or empty
#   fuzz_options        of libFuzzer, an array
#   fuzz_seeds          the corpus, in the runfiles, an array
#   called_from         the folder that paths of the person's are relative to
# and calls launch "$@".

say() { printf '%s: %s\n' "$fuzz_target" "$*" >&2; }
die() { say "$@" && exit 2; }

usage() {
  local line="bazel run //$fuzz_package:${fuzz_target}_$fuzz_command --"
  case $fuzz_command in
    run)
      cat <<END
$line [--time=60s] [--jobs=N | --fork=N] [--seed=N] [--corpus=FOLDER]... [--input=FILE]
    [--out=FOLDER] [-- OPTIONS OF THE ENGINE]
Fuzzes, until a crash or for --time (s, m, h; without it for ever). --jobs: that many
processes, one after another for each crash; --fork: that many children, crashes counted and
passed over. --corpus: more inputs to begin with. --input: runs that file, and nothing else.
END
      ;;
    minimize)
      cat <<END
$line [--write] [--corpus=FOLDER]... [--out=FOLDER]
Merges the corpus, what was found and --corpus to the fewest inputs that reach as much.
--write: into $fuzz_corpus_folder of the repository. Inputs there stay if somebody named them;
those named by libFuzzer are replaced.
END
      ;;
    reduce)
      cat <<END
$line FILE [--time=60s] [--out=FOLDER]
Makes an input that crashes smaller, as long as it crashes.
END
      ;;
    promote)
      cat <<END
$line FILE --name=NAME
Copies an input to $fuzz_corpus_folder of the repository, as regression_NAME, and prints a
test of that name.
END
      ;;
    coverage)
      cat <<END
$line [--corpus=FOLDER]... [--out=FOLDER]
Writes what the corpus and what was found reach of the sources, as HTML.
END
      ;;
  esac
  printf '%s\n' "Outputs are in --out: \$FUZZ_OUT/$fuzz_package/$fuzz_target, FUZZ_OUT being ~/.cache/mmsb/fuzz if unset."
}

# path TEXT: absolute, as the person meant it.
path() { case $1 in /*) printf '%s\n' "$1" ;; *) printf '%s\n' "$called_from/$1" ;; esac; }

seconds() {
  [[ $1 =~ ^([0-9]+)(s|m|h|)$ ]] || die "--time=$1: a number with s, m or h is needed, as in --time=60s"
  case ${BASH_REMATCH[2]} in
    m) printf '%d\n' "$((BASH_REMATCH[1] * 60))" ;;
    h) printf '%d\n' "$((BASH_REMATCH[1] * 3600))" ;;
    *) printf '%d\n' "${BASH_REMATCH[1]}" ;;
  esac
}

count() { [[ $2 =~ ^[0-9]+$ ]] || die "$1=$2: a number is needed"; }

# Sets file, and the flags that the command has as time, jobs ... (empty if not given).
parse() {
  local allowed=$1 flag
  shift
  file='' time='' jobs='' fork='' seed='' input='' name='' write='' folders=() engine_options=()
  out=${FUZZ_OUT:-${XDG_CACHE_HOME:-$HOME/.cache}/mmsb/fuzz}/${fuzz_package:+$fuzz_package/}$fuzz_target
  while (($#)); do
    flag=${1%%=*}
    [[ $1 != --help && $1 != -h ]] || { usage && exit 0; }
    [[ $1 != -* || " $allowed " == *" $flag "* ]] || die "there is no $flag; --help lists what there is"
    case $1 in
      --) engine_options=("${@:2}") && break ;;
      --time=*) time=$(seconds "${1#*=}") ;;
      --jobs=*) jobs=${1#*=} && count --jobs "$jobs" ;;
      --fork=*) fork=${1#*=} && count --fork "$fork" ;;
      --seed=*) seed=${1#*=} && count --seed "$seed" ;;
      --input=*) input=$(path "${1#*=}") ;;
      --corpus=*) folders+=("$(path "${1#*=}")") ;;
      --out=*) out=$(path "${1#*=}") ;;
      --name=*) name=${1#*=} ;;
      --write) write=yes ;;
      -*) die "$1: a value is needed, as in $1=VALUE" ;;
      *)
        [[ " $allowed " == *' FILE '* && -z $file ]] || die "$1 is one too many; --help shows what is taken"
        file=$(path "$1")
        ;;
    esac
    shift
  done
  [[ " $allowed " != *' FILE '* || -n $file ]] || die "a FILE is needed; --help says more"
  local each
  for each in ${file:+"$file"} ${input:+"$input"}; do
    [[ -f $each && -r $each ]] || die "$each is not a file that can be read"
  done
  for each in "${folders[@]}"; do
    [[ -d $each ]] || die "--corpus=$each is not a folder"
  done
  mkdir -p -- "$out/corpus" "$out/crashes" || die "$out cannot be made: set FUZZ_OUT or --out"
}

# The corpus as a folder, for engines that take no single files.
lay_seeds() {
  rm -rf -- "$out/seeds" && mkdir -- "$out/seeds"
  local seed_file
  for seed_file in "${fuzz_seeds[@]}"; do
    cp -L -- "$seed_file" "$out/seeds/"
  done
}

# The folder of the corpus that is under version control.
source_corpus() {
  [[ -n ${BUILD_WORKSPACE_DIRECTORY:-} ]] || die "the repository is only known to programs that \`bazel run\` starts"
  printf '%s\n' "$BUILD_WORKSPACE_DIRECTORY/$fuzz_corpus_folder"
}

need_libfuzzer() { [[ $fuzz_engine == libfuzzer ]] || die "${fuzz_command} is libFuzzer's; the engine is $fuzz_engine"; }

run_libfuzzer() {
  local options=("${fuzz_options[@]}" -artifact_prefix="$out/crashes/" -print_final_stats=1)
  [[ -z $fuzz_dictionary ]] || options+=(-dict="$fuzz_dictionary")
  [[ -z $time ]] || options+=(-max_total_time="$time")
  [[ -z $seed ]] || options+=(-seed="$seed")
  [[ -z $fork ]] || options+=(-fork="$fork" -ignore_crashes=1)
  if [[ -n $jobs ]]; then
    # Each job writes fuzz-N.log where it stands.
    mkdir -p -- "$out/logs" && cd -- "$out/logs"
    options+=(-jobs="$jobs" -workers="$jobs")
  fi
  # A third of the speed, for what the test looks for when it replays the corpus by --config=asan.
  export ASAN_OPTIONS=detect_stack_use_after_return=0:${ASAN_OPTIONS:-}
  say "corpus $out/corpus, crashes $out/crashes"
  exec "$fuzz_binary" "${options[@]}" "${engine_options[@]}" "$out/corpus" "$out/seeds" "${folders[@]}"
}

run_afl() {
  type -P afl-fuzz >/dev/null || die "afl-fuzz is not here: ./bazelw toolbox add afl, or install Debian's afl++"
  [[ -z $jobs$fork ]] || die "AFL++ has no --jobs and no --fork"
  local options=(-i "$out/seeds" -o "$out/afl")
  [[ -z $fuzz_dictionary ]] || options+=(-x "$fuzz_dictionary")
  [[ -z $time ]] || options+=(-V "$time")
  [[ -z $seed ]] || options+=(-s "$seed")
  ((${#fuzz_seeds[@]} > 0)) || printf 0 >"$out/seeds/zero"
  export AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_UI=1 AFL_AUTORESUME=1
  exec afl-fuzz "${options[@]}" "${engine_options[@]}" -- "$fuzz_binary"
}

command_run() {
  parse '-- --time --jobs --fork --seed --input --corpus --out' "$@"
  if [[ -n $input ]]; then
    [[ $fuzz_engine == libfuzzer ]] || exec "$fuzz_binary" "$input"
    exec "$fuzz_binary" "${fuzz_options[@]}" "${engine_options[@]}" "$input"
  fi
  lay_seeds
  "run_$fuzz_engine"
}

# Whether an input has the name that libFuzzer gives, a checksum; a name that somebody chose
# says that the input must stay.
is_found() { [[ ${1##*/} =~ ^[0-9a-f]{40}$ ]]; }

command_minimize() {
  need_libfuzzer
  parse '--corpus --write --out' "$@"
  lay_seeds
  rm -rf -- "$out/minimized" && mkdir -- "$out/minimized"
  local input
  for input in "$out/seeds"/*; do
    [[ ! -f $input ]] || is_found "$input" || cp -- "$input" "$out/minimized/"
  done
  # To what is in the first folder only that is added which reaches more.
  "$fuzz_binary" "${fuzz_options[@]}" -merge=1 -artifact_prefix="$out/crashes/" \
    "$out/minimized" "$out/seeds" "$out/corpus" "${folders[@]}" ||
    die "the merge failed; if an input crashes, it is in $out/crashes"
  local inputs=("$out/minimized"/*)
  [[ -f ${inputs[0]} ]] || die "nothing is left of the corpus: is it empty?"
  say "${#inputs[@]} inputs, $(du -sb -- "$out/minimized" | cut -f1) bytes, in $out/minimized"
  if [[ -n $write ]]; then
    local folder
    folder=$(source_corpus)
    # All new ones are there before an old one goes.
    mkdir -p -- "$folder"
    cp -- "${inputs[@]}" "$folder/"
    for input in "$folder"/*; do
      [[ -e $out/minimized/${input##*/} ]] || ! is_found "$input" || rm -f -- "$input"
    done
    say "written to $folder"
  fi
}

command_reduce() {
  need_libfuzzer
  parse 'FILE --time --out' "$@"
  local reduced=$out/crashes/reduced-${file##*/}
  if "$fuzz_binary" "${fuzz_options[@]}" "$file" >/dev/null 2>&1; then
    die "$file does not crash the target"
  fi
  # libFuzzer ends with an error once it finds nothing smaller.
  "$fuzz_binary" "${fuzz_options[@]}" -minimize_crash=1 -max_total_time="${time:-60}" \
    -artifact_prefix="$out/crashes/" -exact_artifact_path="$reduced" "$file" >&2 || true
  [[ -s $reduced ]] || cp -- "$file" "$reduced"
  if "$fuzz_binary" "${fuzz_options[@]}" "$reduced" >/dev/null 2>&1; then
    die "$reduced does not crash any more; $file is as it was"
  fi
  say "from $(stat -c %s -- "$file") to $(stat -c %s -- "$reduced") bytes"
  printf '%s\n' "$reduced"
}

# The test that the target prints of its input, if it does (fuzz/program.h).
printed_test() {
  local said
  said=$(MMSB_FUZZ_PRINT=1 "$fuzz_binary" "$1" 2>&1 | sed -n '/^TEST(.*NAME_IT) {$/,/^}$/p' | sed '/^}$/q') || true
  [[ -n $said ]] && printf '%s\n' "${said//NAME_IT/$name}"
}

command_promote() {
  parse 'FILE --name --out' "$@"
  [[ $name =~ ^[A-Z][A-Za-z0-9]*$ ]] || die "--name='$name': a name in CamelCase is needed, as in --name=RewindPastTheFirstChunk"
  local folder camel snake copy
  folder=$(source_corpus)
  snake=$(sed -E 's/([a-z0-9])([A-Z])/\1_\2/g; s/([A-Z])([A-Z][a-z])/\1_\2/g' <<<"$name" | tr '[:upper:]' '[:lower:]')
  camel=$(sed -E 's/(^|_)([a-z])/\U\2/g' <<<"$fuzz_target")
  copy=$folder/regression_$snake
  [[ ! -e $copy ]] || die "$copy is there already: take another name"
  mkdir -p -- "$folder"
  cp -- "$file" "$copy"
  say "copied to $copy"
  ! printed_test "$copy" || return 0
  cat <<END
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes);

TEST(${camel}RegressionTest, $name) {
  const std::vector<uint8_t> input = {
$(od -An -v -tx1 -w12 -- "$copy" | sed -E 's/ ([0-9a-f]{2})/ 0x\1,/g; s/^ /      /')
  };
  LLVMFuzzerTestOneInput(input.data(), input.size());
}
END
}

# llvm_tool NAME: the program of the newest release that is there.
llvm_tool() {
  local found
  found=$(compgen -c -- "$1" | grep -E "^$1(-[0-9]+)?\$" | sort -t - -k 3,3nr | head -n 1)
  [[ -n $found ]] || die "$1 is not on PATH: it comes with clang's llvm package"
  printf '%s\n' "$found"
}

command_coverage() {
  parse '--corpus --out' "$@"
  local profdata cov
  profdata=$(llvm_tool llvm-profdata)
  cov=$(llvm_tool llvm-cov)
  lay_seeds
  rm -f -- "$out/coverage.profraw"
  LLVM_PROFILE_FILE=$out/coverage.profraw "$fuzz_binary" "$out/seeds" "$out/corpus" "${folders[@]}" >"$out/coverage.log" 2>&1 ||
    die "an input failed; $out/coverage.log ends with it"
  "$profdata" merge --sparse -o "$out/coverage.profdata" "$out/coverage.profraw"
  local sources=("$fuzz_binary" --instr-profile="$out/coverage.profdata" --ignore-filename-regex='(^|/)external/')
  # Where the sources are, for llvm-cov reads them by relative names.
  cd -- "${BUILD_WORKSPACE_DIRECTORY:-$PWD}"
  rm -rf -- "$out/coverage"
  "$cov" show --format=html --show-branches=count --output-dir="$out/coverage" "${sources[@]}"
  "$cov" report --show-region-summary=0 "${sources[@]}"
  say "$out/coverage/index.html"
}

launch() {
  fuzz_binary=$PWD/$fuzz_binary
  [[ -z $fuzz_dictionary ]] || fuzz_dictionary=$PWD/$fuzz_dictionary
  "command_$fuzz_command" "$@"
}
