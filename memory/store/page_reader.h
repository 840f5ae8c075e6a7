#ifndef MMSB_MEMORY_STORE_PAGE_READER_H_
#define MMSB_MEMORY_STORE_PAGE_READER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "memory/delta/delta_codec.h"
#include "memory/log/log_data.h"
#include "memory/store/page_table.h"
#include "memory/store/page_version.h"

namespace mmsb {

// Rebuilds pages from the log as a PageTable names them: reads the newest
// version and those it is built upon, applies them, compares the checksum. Runs
// of whole pages that lie side by side in the log are read at once.
//
// Owns its scratch memory, at most about kMaxDepth pages, and a share of the
// log's file. Thread-compatible. Every page is checked: what is not as it was
// written is DataLoss, never wrong bytes. A page costs at most
// PageVersion::kMaxDepth + 1 reads.
class PageReader {
 public:
  PageReader(LogData log, size_t page_bytes, EncodedDeltaApplier apply_delta);

  // Fills `out`, a whole number of pages, from page `first` of `table`; the
  // pages must be below table.pages(). Stops at the first failure.
  absl::Status Read(const PageTable& table, uint64_t first,
                    std::span<std::byte> out);

  // As Read, but calls on_failure(page, status) for a page that cannot be read,
  // leaves its bytes undefined, and goes on.
  void ReadEach(
      const PageTable& table, uint64_t first, std::span<std::byte> out,
      absl::FunctionRef<void(uint64_t, const absl::Status&)> on_failure);

 private:
  absl::Status Rebuild(const PageVersion& version, std::span<std::byte> out);

  LogData log_;
  const size_t page_bytes_;
  const EncodedDeltaApplier apply_delta_;
  std::vector<std::byte> scratch_;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_STORE_PAGE_READER_H_
