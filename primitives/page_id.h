#ifndef MMSB_PRIMITIVES_PAGE_ID_H_
#define MMSB_PRIMITIVES_PAGE_ID_H_

#include "primitives/id.h"

namespace mmsb {

// The name of a page. Every layer may pass one on; what a page is, only the
// memory layer knows.
using PageId = Id<struct PageIdTag>;

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_PAGE_ID_H_
