# ./bazelw toolbox COMMAND

toolbox_command() {
  local command=${1:-help}
  [[ $# == 0 ]] || shift
  case $command in
    info)
      use info
      show_info "$@"
      ;;
    build)
      use build
      need_toolbox
      ;;
    shell) toolbox_shell "$@" ;;
    add)
      use add
      add_to_toolbox "$@"
      ;;
    clean)
      use clean
      clean_toolbox "$@"
      ;;
    help | -h | --help) toolbox_help ;;
    *)
      say "there is no 'toolbox $command': see ./bazelw toolbox help"
      exit "$kMisused"
      ;;
  esac
}

toolbox_shell() {
  use build
  need_toolbox
  (($#)) || set -- bash
  ! in_toolbox || exec "$@"
  enter "$@"
}

toolbox_help() {
  cat <<'END'
./bazelw ARGUMENTS...                   Bazel; docs/toolbox.md says which one
./bazelw toolbox info [--probe]         which Bazel is taken and why, paths, versions, sizes;
                                        --probe asks the network anew
./bazelw toolbox build                  build the toolbox now
./bazelw toolbox shell [COMMAND...]     a shell, or a command, in the toolbox, in this folder
./bazelw toolbox add msan|valgrind|bench|aarch64|remote|afl
                                        what only some need: MSan's libc++, Valgrind, the peers that
                                        benchmarks compare with, a cross compiler and emulator, a
                                        server for remote execution, AFL++
./bazelw toolbox clean [--old]          remove the toolbox and its Bazel output; --old only
                                        what other recipes left
./bazelw toolbox help                   this text
END
}
