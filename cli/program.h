#ifndef MMSB_CLI_PROGRAM_H_
#define MMSB_CLI_PROGRAM_H_

#include <span>
#include <string_view>

#include "cli/command.h"

namespace mmsb {

// The mmsb command: finds the subcommand among `commands` that `arguments`
// (without the program's own name) name, runs it in `context`, and returns the
// exit code: 0, what the subcommand says, or 2 for a usage error. Every error
// is one line on context.err; output that could not be written is one.
int RunProgram(std::span<const Command* const> commands,
               std::span<const std::string_view> arguments,
               const CommandContext& context);

}  // namespace mmsb

#endif  // MMSB_CLI_PROGRAM_H_
