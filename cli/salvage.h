#ifndef MMSB_CLI_SALVAGE_H_
#define MMSB_CLI_SALVAGE_H_

#include "cli/command.h"

namespace mmsb {

// Copies what is whole of a damaged store. Lives for ever.
const Command& SalvageCommand();

}  // namespace mmsb

#endif  // MMSB_CLI_SALVAGE_H_
