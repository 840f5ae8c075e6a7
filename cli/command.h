#ifndef MMSB_CLI_COMMAND_H_
#define MMSB_CLI_COMMAND_H_

#include <cstdio>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/arguments.h"
#include "memory/log/file_system.h"
#include "primitives/os_clock.h"

namespace mmsb {

// What a subcommand runs in. Owns nothing.
struct CommandContext {
  FileSystem& file_system;
  Clock& clock;
  std::FILE* out;
  std::FILE* err;
  bool err_is_terminal;  // a person watches
};

// One subcommand: what is parsed, what --help says, and what is run.
struct Command {
  std::string_view name = {};
  std::string_view summary = {};      // one line, no full stop
  std::string_view description = {};  // lines of at most 79 bytes
  std::string_view examples = {};     // one command a line
  std::vector<Operand> operands = {};
  std::vector<Option> options = {};
  // The exit code when `run` returns a status that is not OK.
  int trouble_code = 1;
  // Returns the exit code. A status is printed as one line, after
  // "mmsb NAME: ".
  absl::StatusOr<int> (*run)(const Arguments& arguments,
                             const CommandContext& context) = nullptr;
};

}  // namespace mmsb

#endif  // MMSB_CLI_COMMAND_H_
