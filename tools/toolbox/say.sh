# Words to the person: everything goes to standard error, so that Bazel's own output
# stays what standard output holds.

readonly kFailed=36 # Bazel's code for trouble with the machine, not with the build
readonly kMisused=2

# A terminal that hung up hears nothing, and what has to be done is done all the same.
say() { printf 'bazelw: %s\n' "$*" >&2 || true; }

die() {
  say "$*"
  exit "$kFailed"
}

# The last line of a log that names an error, else its last line, cut to a line's length.
reason_in() {
  local line last='' error=''
  while IFS= read -r line; do
    [[ -z ${line// /} ]] || last=$line
    [[ $line != E:* ]] || error=$line
  done <"$1"
  last=${error:-${last:-nothing was said}}
  printf '%s' "${last:0:200}"
}
