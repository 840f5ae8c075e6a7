#ifndef MMSB_MMSB_PAGE_SPEC_H_
#define MMSB_MMSB_PAGE_SPEC_H_

#include "memory/page/page_spec.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_PAGE_SPEC_H_
