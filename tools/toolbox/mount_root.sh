# usage: mount_root.sh ROOT PROJECT CACHE WORKSPACE COMMAND...
# Inside a mount namespace of its own: makes ROOT the root, with the machine's folders at
# their own paths, and runs COMMAND in the current folder. Every mount ends with it.
set -eEuo pipefail
trap 'printf "bazelw: cannot enter the toolbox %s: the line above says why; ./bazelw toolbox clean and a new run make it afresh\n" "$root" >&2; exit 36' ERR

root=$1 shared=("${@:2:3}")
shift 4
here=$PWD
PATH=$PATH:/usr/sbin:/sbin

# The toolbox's own top-level folders; every other one is the machine's.
is_own() {
  case $1 in
    bin | boot | etc | lib* | lost+found | opt | proc | sbin | sys | usr | var | dev) return 0 ;;
  esac
  return 1
}

share() {
  [[ -d $root$1 ]] || mkdir -p -- "$root$1"
  mount --rbind -- "$1" "$root$1"
}

# A path that a folder of the toolbox's own would hide.
share_hidden() {
  local top=${1#/}
  ! is_own "${top%%/*}" || share "$1"
}

# Who may not write to ROOT does without folders that came after it was built.
share_tops() {
  local path
  for path in /*; do
    if [[ $path == "$first" ]] || is_own "${path#/}"; then
      continue
    elif [[ -L $path ]]; then
      [[ -e $root$path || ! -w $root ]] || ln -sfn -- "$(readlink -- "$path")" "$root$path"
    elif [[ -d $path && (-d $root$path || -w $root) ]]; then
      share "$path"
    fi
  done
}

mount --bind -- "$root" "$root"
# The folder that holds ROOT goes first, while there is nothing mounted in ROOT to copy.
first=${root#/}
first=/${first%%/*}
is_own "${first#/}" || share "$first"
share_tops
for path in /proc /sys /dev; do share "$path"; done
share_hidden /var/tmp
for path in "${shared[@]}" "$here"; do share_hidden "$path"; done

cd -- "$root"
[[ -d .machine ]] || mkdir .machine
pivot_root . .machine
cd -- "$here"
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
hash -r
umount --lazy /.machine

# What the machine's environment says about its own /usr is wrong in here.
unset CPATH C_INCLUDE_PATH CPLUS_INCLUDE_PATH JAVA_HOME LD_LIBRARY_PATH LD_PRELOAD \
  LIBRARY_PATH PYTHONHOME PYTHONPATH "${!LC_@}"
trap - ERR
exec "$@"
