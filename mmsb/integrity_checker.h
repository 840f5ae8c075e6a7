#ifndef MMSB_MMSB_INTEGRITY_CHECKER_H_
#define MMSB_MMSB_INTEGRITY_CHECKER_H_

#include "device/integrity_checker.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_INTEGRITY_CHECKER_H_
