# Which Bazel it is. The answer is kept in the cache folder with what it rested on, and
# asked again when one of those changes.

use enter

IFS= read -r kBazelVersion <"$project/.bazelversion"

run_bazel() {
  if [[ -n ${MMSB_BAZEL:-} && $MMSB_BAZEL != toolbox ]]; then
    exec_named_bazel "$@"
  fi
  if in_toolbox; then
    toolbox_bazel "$@"
  fi
  decide
  if [[ $choice_kind == toolbox ]]; then
    if [[ ! -d $toolbox ]]; then
      use build
      need_toolbox "$choice_why"
    fi
    toolbox_bazel "$@"
  fi
  exec "$choice_program" "$@"
}

exec_named_bazel() {
  local program
  program=$(type -P -- "$MMSB_BAZEL") ||
    die "MMSB_BAZEL is '$MMSB_BAZEL', which is no program that can be run: set it to a Bazel 7, or unset it"
  exec "$program" "$@"
}

# Sets $choice_kind (bazelisk, bazel, release or toolbox), $choice_program, $choice_why
# and $choice_when.
decide() {
  if [[ ${MMSB_BAZEL:-} == toolbox ]]; then
    set_choice toolbox '' 'MMSB_BAZEL asks for it'
    return
  fi
  recall_choice && return
  use probe
  probe
  record_choice
}

set_choice() {
  choice_kind=$1 choice_program=$2 choice_why=$3
  printf -v choice_when '%(%Y-%m-%d %H:%M)T' -1
}

# What a recorded choice rests on: another of these is another question.
question() {
  bazelisk_on_path=$(type -P bazelisk) || true
  bazel_on_path=$(type -P bazel) || true
  choice_question="1|$bazelisk_on_path|$bazel_on_path|$(urls)|$toolbox"
}

urls() {
  printf '%s|' "${MMSB_ARCHIVE_URL:-}" "${MMSB_BAZEL_URL:-}" "${MMSB_BAZELISK_BASE_URL:-}" "${BAZELISK_BASE_URL:-}"
}

recall_choice() {
  local asked
  question
  { [[ -r $cache/choice ]] && {
    IFS= read -r asked && IFS= read -r choice_kind && IFS= read -r choice_program &&
      IFS= read -r choice_why && IFS= read -r choice_when
  } <"$cache/choice"; } || return 1
  [[ $asked == "$choice_question" ]] || return 1
  # Without a toolbox yet, the network may be asked once more before 2 GB are built.
  if [[ $choice_kind == toolbox ]]; then
    [[ -d $toolbox ]]
  else
    [[ -x $choice_program ]]
  fi
}

record_choice() {
  local aside=$cache/choice.$$
  {
    make_folder "$cache" &&
      printf '%s\n' "$choice_question" "$choice_kind" "$choice_program" "$choice_why" "$choice_when" >"$aside" &&
      mv -f -- "$aside" "$cache/choice"
  } 2>/dev/null && return
  # The toolbox lives in that folder, and says so itself.
  [[ $choice_kind == toolbox ]] ||
    say "cannot write to the cache folder $cache, so the choice of a Bazel is not remembered: make it writable, or set MMSB_CACHE to one that is"
}
