# Asking for and fetching URLs, with whichever of curl, wget and python3 there is.

readonly kProbeSeconds=4

# Whether the first bytes of a URL can be had soon.
fetchable() {
  if type -P curl >/dev/null; then
    curl --silent --fail --location --range 0-0 --connect-timeout 3 \
      --max-time "$kProbeSeconds" --output /dev/null -- "$1"
  elif type -P wget >/dev/null; then
    timeout "$kProbeSeconds" wget --quiet --tries=1 --timeout=3 --header='Range: bytes=0-0' \
      --output-document=/dev/null -- "$1"
  elif type -P python3 >/dev/null; then
    timeout "$kProbeSeconds" python3 -c "$kPythonFetch" "$1" /dev/null 0-0
  else
    return 1
  fi 2>/dev/null
}

# fetch URL FILE: the whole of it. A server that falls silent for 30 s is given up.
fetch() {
  if type -P curl >/dev/null; then
    curl --silent --show-error --fail --location --connect-timeout 10 --speed-limit 1 \
      --speed-time "${MMSB_FETCH_SILENCE:-30}" --output "$2" -- "$1"
  elif type -P wget >/dev/null; then
    wget --quiet --tries=1 --timeout="${MMSB_FETCH_SILENCE:-30}" --output-document="$2" -- "$1"
  else
    python3 -c "$kPythonFetch" "$1" "$2" '' "${MMSB_FETCH_SILENCE:-30}"
  fi
}

readonly kPythonFetch='
import shutil, sys, urllib.request
url, path, part = sys.argv[1:4]
request = urllib.request.Request(url, headers={"Range": "bytes=" + part} if part else {})
silence = float(sys.argv[4]) if len(sys.argv) > 4 else 3
with urllib.request.urlopen(request, timeout=silence) as source, open(path, "wb") as out:
    shutil.copyfileobj(source, out)
'

has_sha256() { [[ $(sha256sum <"$2") == "$1 "* ]]; }
