#ifndef MMSB_CLI_VERIFY_H_
#define MMSB_CLI_VERIFY_H_

#include "cli/command.h"

namespace mmsb {

// Checks everything in a store. Lives for ever.
const Command& VerifyCommand();

}  // namespace mmsb

#endif  // MMSB_CLI_VERIFY_H_
