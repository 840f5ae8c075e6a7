#ifndef MMSB_MMSB_PAGE_STORE_H_
#define MMSB_MMSB_PAGE_STORE_H_

#include "memory/store/page_store.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_PAGE_STORE_H_
