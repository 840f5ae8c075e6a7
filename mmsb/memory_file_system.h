#ifndef MMSB_MMSB_MEMORY_FILE_SYSTEM_H_
#define MMSB_MMSB_MEMORY_FILE_SYSTEM_H_

#include "memory/log/memory_file_system.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_MEMORY_FILE_SYSTEM_H_
