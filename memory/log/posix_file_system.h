#ifndef MMSB_MEMORY_LOG_POSIX_FILE_SYSTEM_H_
#define MMSB_MEMORY_LOG_POSIX_FILE_SYSTEM_H_

#include "memory/log/file_system.h"

namespace mmsb {

// The file system of the machine. Lives for ever. Interrupted and short calls
// are continued; symbolic links are followed.
FileSystem& PosixFileSystem();

}  // namespace mmsb

#endif  // MMSB_MEMORY_LOG_POSIX_FILE_SYSTEM_H_
