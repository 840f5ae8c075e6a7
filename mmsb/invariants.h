#ifndef MMSB_MMSB_INVARIANTS_H_
#define MMSB_MMSB_INVARIANTS_H_

#include "memory/invariants.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_INVARIANTS_H_
