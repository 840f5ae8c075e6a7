#ifndef MMSB_MEMORY_PAGE_PAGE_SPEC_H_
#define MMSB_MEMORY_PAGE_PAGE_SPEC_H_

#include <cstddef>

#include "memory/page/page_location.h"
#include "primitives/page_id.h"

namespace mmsb {

// What a page allocator is asked for.
//
//   allocator.Allocate({.bytes = 4096, .location = PageLocation::Device(0)});
struct PageSpec {
  size_t bytes = 0;            // of contents; at least 1
  PageId id = {};              // one that is not in use; invalid: one is chosen
  PageLocation location = {};  // where the contents lie
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_PAGE_SPEC_H_
