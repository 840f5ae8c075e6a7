#!/usr/bin/env bash
# Formats every C++ file that git knows; with --check only says which are not.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
. tools/ci/tool.sh

mapfile -t files < <(git ls-files '*.h' '*.cc')
if ((${#files[@]} == 0)); then
  printf 'format: git lists no C++ file in %s\n' "$PWD" >&2
  exit 1
fi
if [[ ${1:-} == --check ]]; then
  tool clang-format-21 --dry-run --Werror -- "${files[@]}" ||
    { printf 'format: run tools/ci/format.sh to mend these\n' >&2 && exit 1; }
else
  tool clang-format-21 -i -- "${files[@]}"
fi
