#ifndef MMSB_MMSB_FAULTY_FILE_SYSTEM_H_
#define MMSB_MMSB_FAULTY_FILE_SYSTEM_H_

#include "memory/log/faulty_file_system.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_FAULTY_FILE_SYSTEM_H_
