#!/usr/bin/env bash
# clang-tidy over the C++ that git knows, or over the files given. Not part of .ci/run: it
# takes minutes. It builds first, so that the external headers are there.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
. tools/ci/tool.sh
read -ra bazel <<<"${BAZEL:-./bazelw}"

(($#)) || { mapfile -t files < <(git ls-files '*.cc') && set -- "${files[@]}"; }
"${bazel[@]}" build --nobuild --noshow_progress //... >&2
external=$("${bazel[@]}" info output_base 2>/dev/null)/external

flags=(-std=c++20 -xc++ -iquote .)
for folder in abseil-cpp googletest/googletest/include googletest/googlemock/include highway google_benchmark/include; do
  flags+=(-isystem "$external/$folder")
done

# Four files a process: enough to share its start, few enough to keep every core busy.
export tidy_flags="${flags[*]}"
printf '%s\0' "$@" |
  xargs -0 -n 4 -P "$(nproc)" bash -c '. tools/ci/tool.sh && tool clang-tidy-21 --quiet "$@" -- $tidy_flags' _
