#!/usr/bin/env bash
# Shows a remote cache and remote execution on this machine, by buildbox on loopback
# (docs/remote.md), with a copy of the tree and an output base of its own for each build:
#
#   here                what the others are compared with, bit for bit
#   cache, filled       the first build with an empty remote cache
#   cache, from it      a clean build: every action must be a hit
#   execution           nothing from a cache: every action must run remotely, tests too
#
# Targets may be given: tools/remote/loopback.sh //cli:mmsb. Needs `./bazelw toolbox add remote`.
# The last line is `N passed, N failed`.
set -euo pipefail

. "$(dirname -- "${BASH_SOURCE[0]}")/../ci/scratch.sh"
make_scratch
(($#)) || set -- //cli:mmsb //memory/epoch:epoch_test
passed=0 failed=0

# Ends when this does, as its standard input does.
coproc server { "$root/bazelw" toolbox shell python3 tools/remote/serve.py "$scratch/cas" 2>"$scratch/server.log"; }
if ! read -r address <&"${server[0]}"; then
  cat -- "$scratch/server.log" >&2
  printf 'loopback: the server did not start (./bazelw toolbox add remote)\n' >&2
  exit 1
fi

# build NAME KINDS FLAG...: from nothing, in a folder and an output base of its own. KINDS are
# the kinds of processes that there may be beside Bazel's internal ones, in the words of Bazel's
# last line, as `3 processes: 1 internal, 2 remote.`
build() {
  local name=$1 kinds=$2 copy=$scratch/$1/tree base=$scratch/$1/out line status=0
  shift 2
  copy_tree "$copy"
  bases+=("$copy|$base")
  in_copy() { bazel_in "$copy" "$base" "$@"; }
  sums in_copy -- --disk_cache= "$@" -- "${targets[@]}" >"$scratch/$name.sums" 2>"$scratch/$name.log" || status=$?
  line=$(grep -E '^INFO: [0-9,]+ process(es)?:' "$scratch/$name.log" | tail -1)
  printf '%s: %s\n' "$name" "${line#INFO: }"
  if ((status)) || ! [[ $line =~ :\ ([0-9]+\ ($kinds|internal)(, |\.$))+ ]] || ! [[ -s $scratch/$name.sums ]]; then
    ((++failed))
    tail -n 20 -- "$scratch/$name.log"
  elif ! diff -- "$scratch/here.sums" "$scratch/$name.sums"; then
    ((++failed))
    printf '%s: differs from what is built here, as shown above\n' "$name"
  else
    ((++passed))
  fi
}

targets=("$@")
build here 'linux-sandbox|local'
build filled 'linux-sandbox|local' --remote_cache="$address"
build from_it 'remote cache hit' --remote_cache="$address"
build execution 'remote' --config=remote --remote_executor="$address" --noremote_accept_cached

printf '%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
