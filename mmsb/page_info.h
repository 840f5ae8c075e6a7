#ifndef MMSB_MMSB_PAGE_INFO_H_
#define MMSB_MMSB_PAGE_INFO_H_

#include "memory/page/page_info.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_PAGE_INFO_H_
