#ifndef MMSB_CLI_STAT_H_
#define MMSB_CLI_STAT_H_

#include "cli/command.h"

namespace mmsb {

// Tells the sizes and counters of a store. Lives for ever.
const Command& StatCommand();

}  // namespace mmsb

#endif  // MMSB_CLI_STAT_H_
