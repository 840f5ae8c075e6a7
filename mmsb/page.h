#ifndef MMSB_MMSB_PAGE_H_
#define MMSB_MMSB_PAGE_H_

#include "memory/page/page.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_PAGE_H_
