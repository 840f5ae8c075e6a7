#ifndef MMSB_MMSB_PAGE_ID_H_
#define MMSB_MMSB_PAGE_ID_H_

#include "primitives/page_id.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_PAGE_ID_H_
