#ifndef MMSB_CLI_HELP_H_
#define MMSB_CLI_HELP_H_

#include <span>
#include <string>

#include "cli/command.h"

namespace mmsb {

// "mmsb commit [-m TEXT] STORE FILE".
std::string UsageText(const Command& command);

// What `mmsb NAME --help` prints.
std::string HelpText(const Command& command);

// What `mmsb --help` prints.
std::string HelpText(std::span<const Command* const> commands);

}  // namespace mmsb

#endif  // MMSB_CLI_HELP_H_
