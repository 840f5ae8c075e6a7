#ifndef MMSB_MMSB_PAGE_COHERENCE_H_
#define MMSB_MMSB_PAGE_COHERENCE_H_

#include "device/page_coherence.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_PAGE_COHERENCE_H_
