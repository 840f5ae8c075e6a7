# What runs inside a root that is being made or added to; needs $root.

step() { echo "step $*" >&3; }
note() { echo "note $*" >&3; }

fail() {
  echo "fail $*" >&3
  exit 1
}

# The end of the log, which is where this script's own output goes.
last_words() { reason_in "$(readlink /proc/self/fd/2)"; }

in_root() {
  chroot "$root" /usr/bin/env DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8 LC_ALL=C.UTF-8 \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/apt "$@"
}

# The machine's way to the network (names, proxies, certificates), and the mirror's date.
prepare_root() {
  mount -t proc proc "$root/proc" 2>/dev/null || mount --rbind /proc "$root/proc"
  mount --rbind /dev "$root/dev"
  local file
  for file in /etc/resolv.conf /etc/hosts; do
    [[ ! -f $file ]] || cp -L "$file" "$root$file"
  done
  {
    ! type -P apt-config >/dev/null || apt-config dump | grep -i '^Acquire::.*::proxy.* ".\+";$' || true
    if [[ -f /etc/ssl/certs/ca-certificates.crt ]]; then
      cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/apt/machine-certificates.crt"
      echo 'Acquire::https::CAInfo "/etc/apt/machine-certificates.crt";'
    fi
    echo 'Acquire::http::Timeout "20"; Acquire::https::Timeout "20"; Acquire::Retries "3";'
  } >"$root/etc/apt/apt.conf.d/90mmsb-network"
  check_valid_until
}

# A snapshot of the archive may be older than its own Valid-Until allows; its signature
# still holds. Only then is the date not asked about, and only inside the root.
check_valid_until() {
  local setting=$root/etc/apt/apt.conf.d/90mmsb-valid-until url=$mirror/dists/$kSuite/InRelease until
  rm -f "$setting"
  in_root apt-helper download-file "$url" /tmp/InRelease ||
    fail "$url cannot be fetched ($(last_words)): run again, or set MMSB_DEBIAN_MIRROR to another mirror"
  until=$(sed -n 's/^Valid-Until: //p' "$root/tmp/InRelease")
  rm "$root/tmp/InRelease"
  [[ -n $until ]] && (($(date -d "$until" +%s) < $(date +%s))) || return 0
  echo 'Acquire::Check-Valid-Until "false";' >"$setting"
  note "the mirror's $kSuite was valid until $until; inside the toolbox only, apt does not ask for that date"
}

# apt update|install|clean ...
apt() {
  local options=(-y --no-install-recommends -o APT::Status-Fd=3)
  in_root apt-get "${options[@]}" "$@" ||
    fail "apt-get $1 failed ($(last_words)): run again, or set MMSB_DEBIAN_MIRROR to another mirror"
}
