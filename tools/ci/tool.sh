# tool NAME ARGUMENTS...: a program of the pinned compiler's release, the machine's own
# or else the toolbox's.
tool() {
  if type -P -- "$1" >/dev/null; then
    "$@"
  elif [[ -n ${MMSB_SHELL:-} ]]; then
    $MMSB_SHELL "$@"
  else
    ./bazelw toolbox shell "$@"
  fi
}
