# A scratch copy of the repository, and a Bazel in it whose output goes with it.

# make_scratch: sets $root, $scratch (a folder that the exit removes) and $bazel.
make_scratch() {
  root=$(cd -P -- "$(dirname -- "${BASH_SOURCE[1]}")/../.." && pwd)
  read -ra bazel <<<"${BAZEL:-$root/bazelw}"
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/mmsb-scratch.XXXXXX")
  bases=()
  trap drop_scratch EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# copy_tree FOLDER: the files that git knows, as they are in the working tree.
copy_tree() {
  mkdir -p -- "$1"
  git -C "$root" ls-files -z | (cd -- "$root" && xargs -0 cp --parents -P -t "$1")
}

# bazel_in WORKSPACE BASE ARGUMENTS...: Bazel there, with output base BASE.
bazel_in() {
  local workspace=$1 base=$2 program=("${bazel[@]}")
  shift 2
  # A copy of the whole repository has a bazelw of its own, with the settings that go with it.
  [[ -n ${BAZEL:-} || ! -x $workspace/bazelw ]] || program=("$workspace/bazelw")
  [[ " ${bases[*]} " == *" $workspace|$base "* ]] || bases+=("$workspace|$base")
  (cd -- "$workspace" && "${program[@]}" --output_base="$base" --max_idle_secs=60 "$@" </dev/null)
}

# sums BAZEL... -- FLAG... -- TARGET...: prints `sha256  path` of each output.
sums() {
  local program=() flags=() at path
  while [[ $1 != -- ]]; do program+=("$1") && shift; done
  shift
  while [[ $1 != -- ]]; do flags+=("$1") && shift; done
  shift
  "${program[@]}" build -c opt "${flags[@]}" --noshow_progress "$@" >&2 || return
  at=$("${program[@]}" info execution_root 2>/dev/null) || return
  "${program[@]}" cquery -c opt "${flags[@]}" --noshow_progress --output=files "set($*)" >"$scratch/paths" || return
  while IFS= read -r path; do
    printf '%s  %s\n' "$(sha256sum <"$at/$path" | cut -d' ' -f1)" "$path"
  done <"$scratch/paths"
}

drop_scratch() {
  local entry
  for entry in "${bases[@]}"; do
    bazel_in "${entry%%|*}" "${entry#*|}" shutdown >/dev/null 2>&1
  done
  chmod -R u+w -- "$scratch" 2>/dev/null
  rm -rf -- "$scratch"
}
