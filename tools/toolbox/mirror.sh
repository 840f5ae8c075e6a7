# Which Debian mirror the toolbox comes from, and whether it answers.

readonly kDefaultMirror=http://mirror.invalid/debian # debootstrap's own default

# Sets $mirror: MMSB_DEBIAN_MIRROR, else the one that a Debian machine's own apt uses.
choose_mirror() {
  mirror=${MMSB_DEBIAN_MIRROR:-$(mirror_of_apt)}
  mirror=${mirror:-$kDefaultMirror}
  mirror=${mirror%/}
  case $mirror in
    http://* | https://*) ;;
    *) return 0 ;;
  esac
  fetchable "$mirror/dists/$kSuite/InRelease" ||
    die "the mirror $mirror does not answer for Debian $kSuite: look at the network, or set MMSB_DEBIAN_MIRROR to another"
}

# apt reads sources.list and *.sources alike; the first main archive of the machine's
# release is the one. Prints nothing where the machine is not Debian's.
mirror_of_apt() {
  local ID='' VERSION_CODENAME='' uri release component
  [[ ! -r /etc/os-release ]] || . /etc/os-release
  [[ $ID == debian ]] && type -P apt-get >/dev/null || return 0
  # shellcheck disable=SC2016  # apt fills these in
  while read -r uri release component; do
    if [[ $component == main && ($release == "$VERSION_CODENAME" || -z $VERSION_CODENAME) ]]; then
      printf '%s' "$uri"
      return
    fi
  done < <(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null)
}
