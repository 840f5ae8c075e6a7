#!/usr/bin/env bash
# Plants violations of the layers in a scratch copy of the repository and sees Bazel and
# the gates refuse each, for the right reason. Last line: `N passed, N failed`.
set -uo pipefail

. "$(dirname -- "${BASH_SOURCE[0]}")/scratch.sh"
make_scratch
tree=$scratch/mmsb
copy_tree "$tree" || exit
passed=0 failed=0

# plant PATH: writes standard input there.
plant() {
  mkdir -p -- "$(dirname -- "$tree/$1")"
  cat >"$tree/$1"
}

# plant_package PATH: a BUILD file that the gates have nothing against, with the targets
# from standard input.
plant_package() {
  {
    cat <<'END'
load("@rules_cc//cc:defs.bzl", "cc_library")
load("//build_defs:layer.bzl", "layer_package")

package(
    default_visibility = ["//visibility:private"],
    features = ["layering_check", "parse_headers"],
)
END
    cat
    printf 'layer_package()\n'
  } | plant "$1/BUILD.bazel"
}

# run ARGUMENTS...: Bazel in the copy; its output, as one line, in $said.
run() {
  local status=0
  bazel_in "$tree" "$scratch/out" "$@" --noshow_progress --color=no >"$scratch/log" 2>&1 || status=$?
  said=$(tr -s '\n\t ' ' ' <"$scratch/log")
  return "$status"
}

verdict() {
  if [[ $1 == ok ]]; then
    ((++passed))
    printf 'refused as it should be: %s\n' "$2"
  else
    ((++failed))
    printf 'NOT AS IT SHOULD BE: %s: %s\n' "$2" "$1"
    tail -n 30 "$scratch/log" | sed 's/^/    /'
  fi
}

# refused NAME PATTERN ARGUMENTS...: the build must fail and say PATTERN.
refused() {
  local name=$1 pattern=$2
  shift 2
  if run "$@"; then
    verdict 'it was let through' "$name"
  elif [[ $said =~ $pattern ]]; then
    verdict ok "$name"
  else
    verdict "it failed without saying /$pattern/" "$name"
  fi
}

# accepted NAME ARGUMENTS...: the same plant without the violation builds.
accepted() {
  local name=$1
  shift
  if run "$@"; then ((++passed)) && printf 'accepted as it should be: %s\n' "$name"; else verdict 'it was refused' "$name"; fi
}

# Gate 1: visibility.

# edge USER USED [HINT]: the build of a library in USER that depends on USED is refused,
# and HINT is said too.
edge() {
  local user=$1 used=$2 planted="cc_library(name = \"planted\", deps = [\"$2\"])"
  [[ $used == *:* ]] || used=$used:${used##*/}
  case $user in
    primitives/* | allocator/* | memory/* | device/*) plant_package "$user" <<<"$planted" ;;
    *) plant "$user/BUILD.bazel" <<<"load(\"@rules_cc//cc:defs.bzl\", \"cc_library\")"$'\n'"$planted" ;;
  esac
  refused "//$user -> $used (visibility)" \
    "${3:-}.*target '$used' is not visible from target '//$user:planted'" build --nobuild "//$user:planted"
  rm -r -- "${tree:?}/$user"
}

edge allocator/planted //memory/epoch 'belongs in memory/ or above it'
edge allocator/planted //device/simd:simd_mask 'belongs in device/ or above it'
edge primitives/planted //allocator:arena 'belongs in allocator/ or above it'
edge memory/planted //device/simd:simd_mask 'belongs in device/ or above it'
edge tools/planted //allocator:arena
edge docs/planted //primitives:page_id
edge planted //memory/epoch

# Gate 3: layering_check and parse_headers.

plant_package device/planted <<'END'
cc_library(name = "base", hdrs = ["base.h"])
cc_library(name = "middle", srcs = ["secret.h"], hdrs = ["middle.h"], deps = [":base"])
cc_library(name = "clean", srcs = ["clean.cc"], hdrs = ["clean.h"], deps = [":middle"])
cc_library(name = "indirect", srcs = ["indirect.cc"], deps = [":middle"])
cc_library(name = "private", srcs = ["private.cc"], deps = [":middle"])
cc_library(name = "leaning", hdrs = ["leaning.h"])
END
guarded() { printf '#ifndef MMSB_%s_H_\n#define MMSB_%s_H_\n%s\n#endif\n' "$1" "$1" "$2"; }
guarded BASE 'inline int Base() { return 1; }' | plant device/planted/base.h
guarded SECRET 'inline int Secret() { return 2; }' | plant device/planted/secret.h
guarded MIDDLE '#include "device/planted/base.h"
#include "device/planted/secret.h"
inline int Middle() { return Base() + Secret(); }' | plant device/planted/middle.h
guarded LEANING 'inline size_t Leaning(std::vector<int> v) { return v.size(); }' | plant device/planted/leaning.h
guarded CLEAN 'int Clean();' | plant device/planted/clean.h
printf '#include "device/planted/clean.h"\n#include "device/planted/middle.h"\nint Clean() { return Middle(); }\n' | plant device/planted/clean.cc
printf '#include "device/planted/base.h"\n#include "device/planted/middle.h"\nint Indirect() { return Base(); }\n' | plant device/planted/indirect.cc
printf '#include "device/planted/middle.h"\n#include "device/planted/secret.h"\nint Private() { return Secret(); }\n' | plant device/planted/private.cc

accepted 'a library that includes what it depends on' build //device/planted:clean
refused 'a header of a dependency of a dependency (layering_check)' \
  "indirect.cc:1:10: error: module //device/planted:indirect does not depend on a module exporting 'device/planted/base.h'" \
  build //device/planted:indirect
refused 'a private header of a dependency (layering_check)' \
  "private.cc:2:10: error: use of private header from outside its module: 'device/planted/secret.h'" \
  build //device/planted:private
refused 'a header that does not stand alone (parse_headers)' \
  "leaning.h:3:[0-9]+: error: " build //device/planted:layer_headers
rm -r -- "$tree/device/planted"

# Gates 1 to 5 as tests, each on the real tree with one violation of its own.

plant_package allocator/planted <<'END'
cc_library(
    name = "planted",
    hdrs = ["planted.h"],
    features = ["-parse_headers"],
    visibility = ["//visibility:public"],
    deps = ["//mmsb:arena"],
)
END
guarded PLANTED '#include <vector>
inline int DeltaOf(int x) { return x; }' | plant allocator/planted/planted.h
: | plant allocator/planted/unlisted.h
run test --keep_going --test_output=errors //build_defs/gates:all

# gate_says NAME PATTERN
gate_says() {
  if [[ $said =~ $2 ]]; then verdict ok "$1"; else verdict "no gate said /$2/" "$1"; fi
}
where=allocator/planted
gate_says 'a public library in a layer (visibility_gate)' "$where/BUILD.bazel:8: //$where:planted is visible to \"//visibility:public\""
gate_says 'allocator -> the public face (graph_gate)' "//$where:planted -> //mmsb:arena: allocator may not use mmsb, which lies above every layer"
gate_says 'a file that no target lists (graph_gate)' "$where/unlisted.h:1: no target lists this file"
gate_says 'parse_headers turned off (headers_gate)' "$where/BUILD.bazel:11: parse_headers is turned off"
gate_says 'a header that is never parsed (parsed_gate)' "$where/planted.h:1: this header was not parsed on its own"
gate_says 'a killed word (vocabulary_gate)' "$where/planted.h:4: \"DeltaOf\" says \"delta\""
gate_says 'a header that raw memory does not need (includes_gate)' "$where/planted.h:3: <vector> is not among the standard headers"
for gate in visibility graph headers parsed vocabulary includes; do
  gate_says "${gate}_gate is red" "//build_defs/gates:${gate}_gate +FAILED"
done
rm -r -- "${tree:?}/$where"

printf 'package(default_visibility = ["//visibility:private"])\n' | plant allocator/planted/BUILD.bazel
refused 'a package of a layer that the gates do not know' "'//$where:layer_[a-z]+'" build --nobuild //build_defs/gates:all
rm -r -- "${tree:?}/$where"

printf 'package(default_visibility = ["//visibility:private"])\n' | plant helpers/BUILD.bazel
refused 'a folder that the gates do not know' 'helpers/BUILD.bazel:1: no gate knows the folder helpers/' \
  test --test_output=errors //build_defs/gates:graph_gate
rm -r -- "$tree/helpers"

accepted 'the tree without a plant' test //build_defs/gates:all

printf '%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
