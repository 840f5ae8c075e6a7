#ifndef MMSB_CLI_COMMIT_H_
#define MMSB_CLI_COMMIT_H_

#include "cli/command.h"

namespace mmsb {

// Keeps a file's contents as a new epoch. Lives for ever.
const Command& CommitCommand();

}  // namespace mmsb

#endif  // MMSB_CLI_COMMIT_H_
