#ifndef MMSB_MMSB_PAGE_LOCATION_H_
#define MMSB_MMSB_PAGE_LOCATION_H_

#include "memory/page/page_location.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_PAGE_LOCATION_H_
