# Runs a script of steps in namespaces of its own and shows how far it is.
#
# The script writes to file descriptor 3, a line at a time: `step TEXT` when a step
# begins, `note TEXT` for what the person should know, `fail TEXT` before it gives up;
# apt's own status lines are understood too. All else that it prints goes to the log.

# run_steps LOG SCRIPT ARGUMENTS...
run_steps() {
  local log=$1 script=$2
  shift 2
  failure=
  # Whatever ends this process, even kill -9, ends unshare, and with it PID 1 of the
  # namespace, and with that every process and mount in it.
  exec {status_fd}< <(exec setpriv --pdeathsig KILL \
    unshare --mount --propagation private --pid --fork --kill-child=KILL -- \
    "$BASH" "$tools/$script" "$@" 3>&1 </dev/null >>"$log" 2>&1)
  worker=$!
  trap 'stop_worker; exit 129' HUP
  trap 'stop_worker; exit 130' INT
  trap 'stop_worker; exit 143' TERM
  show_steps "$log"
  local result=0
  wait "$worker" || result=$?
  exec {status_fd}<&-
  trap - HUP INT TERM
  ((result == 0)) || die "${failure:-it ended without a word ($(reason_in "$log"))}; the log is $log"
}

stop_worker() {
  kill -KILL "$worker" 2>/dev/null || true
  wait "$worker" 2>/dev/null || true
  clear_live
  say "interrupted; $after_interrupt"
}

show_steps() {
  local log=$1 line status step='' began=0 detail=''
  live=
  [[ ! -t 2 ]] || live=yes
  while :; do
    status=0
    IFS= read -r -t 1 line <&"$status_fd" || status=$?
    if ((status > 128)); then
      show_live "$step" "$((SECONDS - began))" "${detail:-$(last_line "$log")}"
      continue
    fi
    ((status == 0)) || break
    case $line in
      step\ *)
        end_step "$step" "$((SECONDS - began))"
        step=${line#step } began=$SECONDS detail=
        ;;
      note\ *) clear_live && say "  ${line#note }" ;;
      fail\ *) failure=${line#fail } ;;
      dlstatus:* | pmstatus:*) detail=$(apt_detail "$line") ;;
    esac
    show_live "$step" "$((SECONDS - began))" "$detail"
  done
  [[ -n $failure ]] || end_step "$step" "$((SECONDS - began))"
  clear_live
}

last_line() { [[ -z $live ]] || tail -c 400 -- "$1" | tr '\r' '\n' | tail -n 1; }

# `pmstatus:clang-21:63.2500:Unpacking clang-21 (amd64)` as `63 %  Unpacking clang-21 (amd64)`.
apt_detail() {
  local what percent text
  IFS=: read -r what _ percent text <<<"$1"
  printf '%s %%  %s%s' "${percent%%.*}" "$([[ $what != dlstatus ]] || printf 'fetching: ')" "$text"
}

end_step() {
  [[ -n $1 ]] || return 0
  clear_live
  say "  $1: $2 s"
}

show_live() {
  [[ -n $live && -n $1 ]] || return 0
  local text="bazelw:   $1  $2 s  $3" columns=${COLUMNS:-80}
  printf '\r\e[K%s' "${text:0:columns-1}" >&2
}

clear_live() { [[ -z ${live:-} ]] || printf '\r\e[K' >&2 || true; }
