#ifndef MMSB_CLI_CHECKOUT_H_
#define MMSB_CLI_CHECKOUT_H_

#include "cli/command.h"

namespace mmsb {

// Writes the contents of an epoch to a file. Lives for ever.
const Command& CheckoutCommand();

}  // namespace mmsb

#endif  // MMSB_CLI_CHECKOUT_H_
