# Runs a command inside the toolbox's root, in a private mount namespace that ends with it.

# enter COMMAND...: replaces this process. It starts in $PWD, and sees the workspace
# (toolbox_bazel) or this folder wherever they are.
enter() {
  export MMSB_IN_TOOLBOX=$toolbox
  enter_root "$toolbox/root" "$@"
}

enter_root() {
  local flags=(--mount --propagation slave)
  am_root || flags+=(--user --map-root-user)
  unshare "${flags[@]}" true 2>/dev/null || die "$kNoUnshare"
  cd -P . || exit
  exec unshare "${flags[@]}" -- "$BASH" "$tools/mount_root.sh" "$1" "$project" "$cache" "${workspace:-$PWD}" "${@:2}"
}

readonly kNoUnshare="unshare is not permitted here, and the toolbox needs it: in a container allow it (docker: --privileged, or --cap-add SYS_ADMIN with seccomp and apparmor unconfined), make a chroot a mount point before entering it (mount --bind ROOT ROOT), or set MMSB_BAZEL to a Bazel 7"

in_toolbox() { [[ ${MMSB_IN_TOOLBOX:-} == "$toolbox" ]]; }

# toolbox_bazel ARGUMENTS...: Bazel with the toolbox's settings, in the workspace that
# holds the current folder, or in this project where none does.
toolbox_bazel() {
  [[ -w $toolbox/bazel ]] ||
    die "cannot write to $toolbox/bazel: make it yours (chown), or set MMSB_CACHE to a folder of your own"
  local workspace settings=("--bazelrc=$tools/toolbox.bazelrc")
  workspace=$(workspace_of "$PWD") || { cd "$project" && workspace=$project; }
  [[ $workspace != "$project" ]] || settings+=("--bazelrc=$tools/mmsb.bazelrc")
  local command=(bazel "${settings[@]}" "--output_user_root=$toolbox/bazel" "$@")
  in_toolbox && exec "${command[@]}"
  enter "${command[@]}"
}

# The folder at or above $1 that Bazel takes for a workspace.
workspace_of() {
  local folder mark
  folder=$(cd -P -- "$1" && printf '%s' "$PWD")
  while [[ -n $folder ]]; do
    for mark in MODULE.bazel REPO.bazel WORKSPACE.bazel WORKSPACE; do
      [[ ! -f $folder/$mark ]] || { printf '%s' "$folder" && return; }
    done
    folder=${folder%/*}
  done
  return 1
}
