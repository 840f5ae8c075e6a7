// A state whose every version is kept in memory, without a file: changed by
// deltas, read at any epoch, within a limit, and forgotten from the old end.
//
//   ./bazelw run //examples:memory_store

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mmsb/delta_kernels.h"
#include "mmsb/epoch.h"
#include "mmsb/memory_file_system.h"
#include "mmsb/page_id.h"
#include "mmsb/page_store.h"

namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kPages = 64;

// One tick of a simulation: a counter in each page, and a cell in one of them.
void Step(std::vector<std::byte>& page, uint64_t id, int tick) {
  page[0] = static_cast<std::byte>(tick);
  if (id == static_cast<uint64_t>(tick) % kPages) page[100] = std::byte{1};
}

}  // namespace

int main() {
  mmsb::MemoryFileSystem files({.max_bytes = 4 << 20});
  // Without a disk there is nothing to wait for, whichever durability.
  auto store = mmsb::PageStore::Open(files, "state",
                                     {.mode = mmsb::PageStore::Mode::kCreate});
  if (!store.ok()) return 1;

  std::vector<std::vector<std::byte>> pages(kPages,
                                            std::vector<std::byte>(kPageBytes));
  for (int tick = 1; tick <= 100; ++tick) {
    auto batch = (*store)->Begin(kPages * kPageBytes);
    if (!batch.ok()) return 1;
    for (uint64_t id = 0; id < kPages; ++id) {
      const std::vector<std::byte> before = pages[id];
      Step(pages[id], id, tick);
      if (!batch
               ->Put(mmsb::PageId::FromValue(id),
                     mmsb::MakeDelta(before, pages[id]), pages[id])
               .ok()) {
        return 1;
      }
    }
    if (!(*store)->Commit(*std::move(batch), {}).ok()) return 1;
  }

  // Any epoch, as it was.
  auto at_30 = (*store)->SnapshotAt(mmsb::Epoch::FromValue(30));
  std::vector<std::byte> page(kPageBytes);
  if (!at_30.ok() || !at_30->Read(mmsb::PageId::FromValue(7), page).ok()) {
    return 1;
  }
  const bool as_it_was = page[0] == std::byte{30} && page[100] == std::byte{1};

  // The last ten are enough from now on.
  const uint64_t before_prune = files.used_bytes();
  at_30 = absl::CancelledError();
  if (!(*store)->Prune(mmsb::Epoch::FromValue(91)).ok()) return 1;
  std::printf("100 epochs of %zu KiB: %llu KiB; the last 10: %llu KiB\n",
              kPages * kPageBytes >> 10,
              static_cast<unsigned long long>(before_prune >> 10),
              static_cast<unsigned long long>(files.used_bytes() >> 10));
  return as_it_was && (*store)->first() == mmsb::Epoch::FromValue(91) &&
                 files.used_bytes() < before_prune
             ? 0
             : 1;
}
