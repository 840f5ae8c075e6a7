#ifndef MMSB_CLI_DIFF_H_
#define MMSB_CLI_DIFF_H_

#include "cli/command.h"

namespace mmsb {

// Compares two epochs, page by page. Lives for ever.
const Command& DiffCommand();

}  // namespace mmsb

#endif  // MMSB_CLI_DIFF_H_
