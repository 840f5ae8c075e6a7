#!/usr/bin/env bash
# Compiles our C++, without linking it, by the oldest compilers that we promise: gcc 12 and
# clang 16, or those given. Not part of .ci/run: they are Debian bookworm's, and not in the
# toolbox (apt-get install g++-12 clang-16). It builds first, so that the external headers
# are there.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
read -ra bazel <<<"${BAZEL:-./bazelw}"
(($#)) || set -- g++-12 clang++-16

"${bazel[@]}" build --nobuild --noshow_progress //... >&2
external=$("${bazel[@]}" info output_base 2>/dev/null)/external

flags=(-std=c++20 -fsyntax-only -O1 -Wall -Wextra -Werror -iquote .)
for folder in abseil-cpp googletest/googletest/include googletest/googlemock/include highway google_benchmark/include; do
  flags+=(-isystem "$external/$folder")
done
mapfile -t files < <(git ls-files '*.cc')
# Boost is the benchmarks' alone, and in the toolbox.
if [[ ! -e /usr/include/boost ]]; then
  mapfile -t left_out < <(git grep -l --fixed-strings '"bench/allocators/boost_peers.h"' -- '*.cc')
  printf 'left out, without Boost: %s\n' "${left_out[*]}"
  mapfile -t files < <(printf '%s\n' "${files[@]}" | grep -vxF -f <(printf '%s\n' "${left_out[@]}"))
fi

failed=0
for compiler; do
  printf '== %s\n' "$("$compiler" --version | head -n 1)"
  printf '%s\0' "${files[@]}" |
    xargs -0 -n 1 -P "$(nproc)" "$compiler" "${flags[@]}" || failed=1
done
((failed == 0)) && printf '%d files, no warning\n' "${#files[@]}"
exit "$failed"
