#include "cli/diff.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/progress_bar.h"
#include "cli/text.h"
#include "device/simd/encoded_delta.h"
#include "device/simd/simd_mask.h"
#include "memory/page/page.h"
#include "memory/page/page_allocator.h"
#include "memory/store/page_store.h"
#include "primitives/bytes.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

constexpr size_t kChunkBytes = 256 * kKiB;

struct Totals {
  uint64_t pages = 0;
  uint64_t bytes = 0;
};

absl::StatusOr<Totals> PrintPages(PageStore::Snapshot& a,
                                  PageStore::Snapshot& b, size_t page_bytes,
                                  const CommandContext& context) {
  PageAllocator memory;
  absl::StatusOr<Page*> page_a = memory.Allocate({.bytes = kChunkBytes});
  if (!page_a.ok()) return page_a.status();
  absl::StatusOr<Page*> page_b = memory.Allocate({.bytes = kChunkBytes});
  if (!page_b.ok()) return page_b.status();

  Totals totals;
  ProgressBar progress(context, "comparing");
  const uint64_t pages = std::max(a.pages(), b.pages());
  for (uint64_t first = 0; first < pages;) {
    // The next run of pages that are not one and the same version in both.
    size_t run = 0;
    while (run < kChunkBytes / page_bytes && first + run < pages &&
           !a.SharesPage(b, PageId::FromValue(first + run))) {
      ++run;
    }
    const std::span<std::byte> bytes_a =
        (*page_a)->contents().first(run * page_bytes);
    const std::span<std::byte> bytes_b =
        (*page_b)->contents().first(run * page_bytes);
    if (absl::Status status = a.Read(PageId::FromValue(first), bytes_a);
        !status.ok()) {
      return status;
    }
    if (absl::Status status = b.Read(PageId::FromValue(first), bytes_b);
        !status.ok()) {
      return status;
    }
    for (size_t i = 0; i < run; ++i) {
      const size_t differ =
          CountDifferences(bytes_a.subspan(i * page_bytes, page_bytes),
                           bytes_b.subspan(i * page_bytes, page_bytes));
      if (differ == 0) continue;
      absl::FPrintF(context.out, "page %d: %s\n", first + i,
                    CountText(differ, "byte"));
      ++totals.pages;
      totals.bytes += differ;
    }
    // The page that ended the run is shared, or begins the next.
    first += std::max<size_t>(run, 1);
    progress.Update(std::min(first, pages) * page_bytes, pages * page_bytes);
  }
  return totals;
}

absl::StatusOr<int> Run(const Arguments& arguments,
                        const CommandContext& context) {
  absl::StatusOr<std::unique_ptr<PageStore>> store = PageStore::Open(
      context.file_system, arguments.Path(0),
      {.clock = context.clock, .apply_delta = ApplyEncodedDeltaByKernels});
  if (!store.ok()) return store.status();
  absl::StatusOr<PageStore::Snapshot> a =
      (*store)->SnapshotAt(arguments.EpochAt(1));
  if (!a.ok()) return a.status();
  absl::StatusOr<PageStore::Snapshot> b =
      (*store)->SnapshotAt(arguments.EpochAt(2));
  if (!b.ok()) return b.status();
  absl::StatusOr<Totals> totals =
      PrintPages(*a, *b, (*store)->page_bytes(), context);
  if (!totals.ok()) return totals.status();
  const bool sizes_differ = a->bytes() != b->bytes();
  if (sizes_differ) {
    for (const PageStore::Snapshot* side : {&*a, &*b}) {
      absl::FPrintF(context.out, "epoch %v: %s\n", side->epoch(),
                    BytesText(side->bytes()));
    }
  }
  if (totals->pages > 0) {
    absl::FPrintF(context.out, "total: %s in %s\n", BytesText(totals->bytes),
                  CountText(totals->pages, "page"));
  }
  return sizes_differ || totals->pages > 0 ? 1 : 0;
}

}  // namespace

const Command& DiffCommand() {
  static const Command* const command = new Command{
      .name = "diff",
      .summary = "tell which pages differ between two epochs, and how much",
      .description =
          R"(One line for each page that differs: its number, counted from 0, and
how many of its bytes differ; then the two sizes, if they differ, and
the total. Where one epoch is shorter, zeros stand for what it lacks.

The exit code is that of cmp(1): 0 when the epochs are equal, 1 when
they differ, 2 when there was an error.)",
      .examples = "mmsb diff state.mmsb 1 2",
      .operands = {{.name = "STORE"},
                   {.name = "A", .kind = Operand::Kind::kEpoch},
                   {.name = "B", .kind = Operand::Kind::kEpoch}},
      .trouble_code = 2,
      .run = Run};
  return *command;
}

}  // namespace mmsb
