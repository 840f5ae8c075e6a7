#ifndef MMSB_MMSB_ID_H_
#define MMSB_MMSB_ID_H_

#include "primitives/id.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_ID_H_
