# Which Debian mirror the toolbox comes from, and whether it answers.

use fetch

# Sets $mirror: MMSB_DEBIAN_MIRROR, else the first of the machine's own apt that has the
# toolbox's Debian (an Ubuntu's has not), else debootstrap's default.
choose_mirror() {
  if [[ -n ${MMSB_DEBIAN_MIRROR:-} ]]; then
    mirror=${MMSB_DEBIAN_MIRROR%/}
    has_suite "$mirror" && return
    die "the mirror $mirror, which MMSB_DEBIAN_MIRROR names, does not answer for Debian $kSuite: look at the network, or name another"
  fi
  mirror=
  for mirror in $(mirrors_of_apt) $(mirror_of_debootstrap); do
    mirror=${mirror%/}
    has_suite "$mirror" && return
  done
  die "no mirror answers for Debian $kSuite${mirror:+, $mirror the last that was asked}: look at the network, or set MMSB_DEBIAN_MIRROR to one that does"
}

has_suite() {
  case $1 in
    http://* | https://*) fetchable "$1/dists/$kSuite/InRelease" ;;
    file:/*) [[ -f ${1#file:}/dists/$kSuite/InRelease ]] ;;
    *) return 1 ;;
  esac
}

# Its own default, which it has no option to tell.
mirror_of_debootstrap() { sed -n 's/^DEF_MIRROR="\(.*\)"$/\1/p' "$(type -P debootstrap)"; }

# apt itself reads sources.list and *.sources alike.
mirrors_of_apt() {
  ! type -P apt-get >/dev/null ||
    apt-get indextargets --format "\$(COMPONENT) \$(REPO_URI)" 'Created-By: Packages' 2>/dev/null |
    awk '$1 == "main" && !seen[$2]++ { print $2 }'
}
