# Finding and removing toolboxes.

old_toolboxes() {
  local path
  for path in "$toolboxes"/*/root; do
    path=${path%/root}
    [[ ! -d $path || $path == "$toolbox" || ${path##*/} == building ]] || printf '%s\n' "$path"
  done
}

# rm -rf that never reaches through a mount into somebody's files.
remove_tree() {
  local mount_point
  while read -r _ _ _ _ mount_point _; do
    # A space is \040 there; printf wants \0040, or it takes a digit that follows for its own.
    printf -v mount_point '%b' "${mount_point//\\/\\0}"
    [[ $mount_point != "$1"/* ]] || die "something is mounted at $mount_point: unmount it first"
  done </proc/self/mountinfo
  # Processes of an ended namespace may be a moment in dying.
  for _ in 1 2 3 4 5; do
    rm -rf --one-file-system -- "$1" 2>/dev/null && return
    sleep 0.2
  done
  rm -rf --one-file-system -- "$1"
}
