#!/usr/bin/env bash
# Builds each fuzz target for OSS-Fuzz and ClusterFuzzLite: binary, seeds, dictionary and
# options, into $OUT, by $SANITIZER. BAZEL names another command than bazel.
set -euo pipefail

: "${OUT:?is the folder that the fuzzers are wanted in}"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
# The images copy this file out of the repository.
[[ -e ../WORKSPACE ]] || cd -- "${SRC:?is where the repository is}/mmsb/.clusterfuzzlite"
cd ..

refuse() { printf 'build.sh: %s\n' "$*" >&2 && exit 1; }
case ${SANITIZER:-address} in
  # Each target has address and undefined at once, if nothing else is asked for.
  address) sanitizers='' ;;
  undefined | coverage) sanitizers=$SANITIZER ;;
  *) refuse "there are no fuzzers with the sanitizer $SANITIZER: address, undefined, coverage" ;;
esac
[[ ${FUZZING_ENGINE:-libfuzzer} == libfuzzer && ${LIB_FUZZING_ENGINE:--fsanitize=fuzzer} == -fsanitize=fuzzer ]] ||
  refuse "the fuzzers are libFuzzer's, by -fsanitize=fuzzer, and not of ${FUZZING_ENGINE:-libfuzzer} by ${LIB_FUZZING_ENGINE:-nothing}"
read -ra bazel <<<"${BAZEL:-bazel}"

# The C++ library is linked in, for there may be none where the fuzzers run: the one that
# CXXFLAGS name, and nothing else of these flags, as cc_fuzz_test has its own.
settings=(--repo_env=CC="${CC:-clang}" --repo_env=BAZEL_LINKOPTS=-nostdlib++:-static-libgcc
  --//build_defs/fuzz:sanitizers="$sanitizers")
if [[ " ${CXXFLAGS:-} " == *' -stdlib=libc++ '* ]]; then
  settings+=(--repo_env=BAZEL_CXXOPTS=-std=c++20:-stdlib=libc++
    --repo_env=BAZEL_LINKLIBS='-l%:libc++.a:-l%:libc++abi.a:-lm')
else
  settings+=(--repo_env=BAZEL_LINKLIBS='-l%:libstdc++.a:-lm')
fi
unset CFLAGS CXXFLAGS LDFLAGS

# One target has no corpus, so that a test can see it fail.
mapfile -t archives < <("${bazel[@]}" query --noshow_progress \
  'kind("_oss_fuzz rule", //fuzz:all) except //fuzz:empty_corpus_fuzz_oss_fuzz')
((${#archives[@]} > 0)) || refuse 'there are no fuzz targets'
"${bazel[@]}" build --noshow_progress "${settings[@]}" -- "${archives[@]}"
folder=$("${bazel[@]}" info --noshow_progress "${settings[@]}" bazel-bin)
for archive in "${archives[@]}"; do
  tar --extract --no-same-owner --file="$folder/fuzz/${archive#//fuzz:}.tar" --directory="$OUT"
done
printf '%d fuzz targets in %s\n' "${#archives[@]}" "$OUT"
