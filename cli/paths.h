#ifndef MMSB_CLI_PATHS_H_
#define MMSB_CLI_PATHS_H_

#include <string>

#include "absl/status/status.h"

namespace mmsb {

// `path` with symbolic links resolved, as far as there are files of these
// names.
std::string ResolvedPath(const std::string& path);

// InvalidArgument when `path` is the directory `store` or lies in it, links
// resolved: a command must not read or write a store's own files as state.
absl::Status CheckOutsideStore(const std::string& path,
                               const std::string& store);

}  // namespace mmsb

#endif  // MMSB_CLI_PATHS_H_
