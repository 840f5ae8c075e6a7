#ifndef MMSB_CLI_LOG_H_
#define MMSB_CLI_LOG_H_

#include "cli/command.h"

namespace mmsb {

// Lists the epochs of a store. Lives for ever.
const Command& LogCommand();

}  // namespace mmsb

#endif  // MMSB_CLI_LOG_H_
