#!/usr/bin/env bash
# check_dictionary.sh DICTIONARY [COPY]: copies a dictionary of libFuzzer, or says which line
# is none: each is empty, a comment (#), or a value in quotes with a name and = before it or
# not, in which \\ \" and \xAB are escapes.
set -euo pipefail

LC_ALL=C awk '
  function bad(why) {
    printf "%s:%d: %s: %s\n", FILENAME, NR, why, $0 >"/dev/stderr"
    wrong = 1
  }
  /^[ \t]*(#.*)?$/ { next }
  {
    value = $0
    sub(/^[ \t]*/, "", value)
    sub(/[ \t]*$/, "", value)
    sub(/^[A-Za-z0-9_.-]+(@[0-9]+)?[ \t]*=[ \t]*/, "", value)
    if (value !~ /^".*"$/ || length(value) < 2) { bad("it is not a value in quotes"); next }
    value = substr(value, 2, length(value) - 2)
    if (value == "") { bad("the value is empty"); next }
    gsub(/\\\\|\\"|\\x[0-9A-Fa-f][0-9A-Fa-f]/, "", value)
    if (value ~ /\\/) bad("after \\ comes neither \\ nor \" nor x and two hexadecimal digits")
    else if (value ~ /"/) bad("a quote inside the value must be \\\"")
    values++
  }
  END { exit wrong }
' "$1"
[[ -z ${2:-} ]] || cp -- "$1" "$2"
