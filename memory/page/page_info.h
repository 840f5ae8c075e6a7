#ifndef MMSB_MEMORY_PAGE_PAGE_INFO_H_
#define MMSB_MEMORY_PAGE_PAGE_INFO_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "memory/epoch/epoch.h"
#include "memory/page/page_location.h"
#include "primitives/page_id.h"

namespace mmsb {

// What is known of a page beside its contents, at one moment: a copy, which
// stays as it is when the page changes or goes.
//
//   for (const PageInfo& info : allocator.PageInfos()) total += info.bytes;
struct PageInfo {
  PageId id = {};
  size_t bytes = 0;  // of contents
  PageLocation location = {};
  Epoch epoch = {};
  uint32_t holds = 0;         // acquired and not yet released
  std::string metadata = {};  // any bytes

  friend bool operator==(const PageInfo&, const PageInfo&) = default;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_PAGE_INFO_H_
