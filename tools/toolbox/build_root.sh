# usage: build_root.sh ASIDE DOWNLOADS MIRROR   (run by progress.sh, in its namespaces)
# Makes ASIDE/root: a Debian with Bazel and the compilers in it, and the source archives.
set -eEuo pipefail
aside=$1 downloads=$2 mirror=$3
root=$aside/root
tools=$(dirname -- "${BASH_SOURCE[0]}")
toolboxes=
. "$tools/say.sh"
. "$tools/recipe.sh"
. "$tools/root_apt.sh"
trap 'fail "line $LINENO of build_root.sh failed ($(last_words))"' ERR

# What an interrupted run fetched is not fetched again.
keep_downloads() {
  mkdir -p "$root/var/cache/apt/archives"
  mount --bind "$downloads" "$root/var/cache/apt/archives"
}

# Nobody reads the manual in here, and a root that is renamed when whole need not be
# synced file by file.
configure_dpkg() {
  mkdir -p "$root/etc/dpkg/dpkg.cfg.d"
  cat >"$root/etc/dpkg/dpkg.cfg.d/mmsb" <<-'END'
	force-unsafe-io
	path-exclude=/usr/share/doc/*
	path-include=/usr/share/doc/*/copyright
	path-exclude=/usr/share/info/*
	path-exclude=/usr/share/locale/*
	path-exclude=/usr/share/man/*
	END
}

base_system() {
  printf 'timeout=20\ntries=3\n' >"$aside/wgetrc"
  WGETRC=$aside/wgetrc debootstrap --variant=minbase --include=ca-certificates \
    --keyring="$kKeyring" \
    "$kSuite" "$root" "$mirror" /usr/share/debootstrap/scripts/sid ||
    fail "debootstrap failed ($(last_words)): run again, or set MMSB_DEBIAN_MIRROR to another mirror"
  rm "$aside/wgetrc"
}

source_archives() {
  local archive sum name path url
  mkdir -p "$root/usr/share/mmsb/archives"
  for archive in "${kArchives[@]}"; do
    read -r sum name path url <<<"$archive"
    source_archive "$sum" "$name" "$mirror/$path" "$url"
  done
}

# The mirror first, and where it no longer has the file, the project itself.
source_archive() {
  local sum=$1 name=$2 url
  for url in "$3" "$4"; do
    rm -f "$root/tmp/$name"
    in_root apt-helper download-file "$url" "/tmp/$name" || continue
    [[ $(sha256sum <"$root/tmp/$name") == "$sum "* ]] ||
      fail "$url has another sha256 than the $sum that is pinned: a damaged or changed archive is not used; run again, or set MMSB_DEBIAN_MIRROR to another mirror"
    mv "$root/tmp/$name" "$root/usr/share/mmsb/archives/$name"
    return
  done
  fail "$name cannot be fetched from $3 ($(last_words)): run again, or set MMSB_DEBIAN_MIRROR to another mirror"
}

# In place of Debian's settings, one of which Bazel 7 warns about at every start; the
# rest of ours is in toolbox.bazelrc, which is read after the workspace's own.
configure_bazel() {
  echo 'startup --install_base=/usr/share/bazel --trust_install_base' >"$root/etc/bazel/bazelrc"
}

record_versions() {
  # shellcheck disable=SC2016  # dpkg-query fills these in
  in_root dpkg-query -W -f '${Package} ${source:Upstream-Version}; ' bazel-bootstrap clang-21 gcc-16 libc6 >"$aside/versions"
  date '+%Y-%m-%d %H:%M' >"$aside/built"
}

# One function, read whole before it runs: the file may be replaced meanwhile.
build_root() {
  step "[1/5] base system"
  configure_dpkg
  keep_downloads
  base_system
  step "[2/5] package lists"
  prepare_root
  apt update
  step "[3/5] Bazel and compilers"
  apt install "${kPackages[@]}"
  step "[4/5] source archives"
  source_archives
  step "[5/5] making it whole"
  configure_bazel
  apt clean
  rm -rf "$root"/var/lib/apt/lists/*
  mkdir -p "$root/var/cache/mmsb/disk" "$aside/bazel" "$aside/addons"
  record_versions
  sync -f "$aside"
}

build_root
exit
