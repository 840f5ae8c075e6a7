#ifndef MMSB_MMSB_POSIX_FILE_SYSTEM_H_
#define MMSB_MMSB_POSIX_FILE_SYSTEM_H_

#include "memory/log/posix_file_system.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_POSIX_FILE_SYSTEM_H_
