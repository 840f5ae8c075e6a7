#ifndef MMSB_CLI_PRUNE_H_
#define MMSB_CLI_PRUNE_H_

#include "cli/command.h"

namespace mmsb {

// Forgets old epochs. Lives for ever.
const Command& PruneCommand();

}  // namespace mmsb

#endif  // MMSB_CLI_PRUNE_H_
