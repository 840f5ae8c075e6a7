#include "cli/commit.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/paths.h"
#include "cli/progress_bar.h"
#include "cli/source_file.h"
#include "cli/text.h"
#include "device/simd/delta_kernels.h"
#include "device/simd/encoded_delta.h"
#include "memory/delta/delta.h"
#include "memory/epoch/epoch.h"
#include "memory/log/transaction_log.h"
#include "memory/page/page.h"
#include "memory/page/page_allocator.h"
#include "memory/store/page_store.h"
#include "primitives/bytes.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

// The state before and the state after, so much of each at once: the two and
// the masks stay in a core's cache.
constexpr size_t kChunkBytes = 256 * kKiB;

// Room for the delta of a page.
struct DeltaRoom {
  explicit DeltaRoom(size_t page_bytes)
      : mask(Delta::MaskBytes(page_bytes)), payload(page_bytes) {}

  std::vector<uint8_t> mask;
  std::vector<std::byte> payload;
};

// Puts the pages that differ into `batch`, from page `first` on.
absl::Status PutChanges(std::span<const std::byte> before,
                        std::span<const std::byte> after, uint64_t first,
                        size_t page_bytes, DeltaRoom& room,
                        PageStore::Batch& batch) {
  for (size_t at = 0; at < after.size(); at += page_bytes) {
    const std::span<const std::byte> page = after.subspan(at, page_bytes);
    const size_t changed = MakeDelta(before.subspan(at, page_bytes), page,
                                     room.mask, room.payload);
    if (changed == 0) continue;
    const PageId id = PageId::FromValue(first + at / page_bytes);
    absl::Status status;
    if (changed > page_bytes / 2) {
      status = batch.PutWhole(id, page, changed);
    } else {
      const auto end = room.payload.begin() + static_cast<ptrdiff_t>(changed);
      status = batch.Put(id,
                         Delta::FromTrustedParts(page_bytes, room.mask,
                                                 {room.payload.begin(), end}),
                         page);
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// Makes `batch` what leads from `previous` to `source`.
absl::Status PutDifference(PageStore::Snapshot& previous, SourceFile& source,
                           size_t page_bytes, ProgressBar& progress,
                           PageStore::Batch& batch) {
  PageAllocator memory;
  absl::StatusOr<Page*> before_page = memory.Allocate({.bytes = kChunkBytes});
  if (!before_page.ok()) return before_page.status();
  absl::StatusOr<Page*> after_page = memory.Allocate({.bytes = kChunkBytes});
  if (!after_page.ok()) return after_page.status();
  const std::span<std::byte> before = (*before_page)->contents();
  const std::span<std::byte> after = (*after_page)->contents();
  DeltaRoom room(page_bytes);

  for (uint64_t done = 0; done < source.bytes();) {
    const size_t bytes = static_cast<size_t>(
        std::min<uint64_t>(kChunkBytes, source.bytes() - done));
    const size_t pages = (bytes + page_bytes - 1) / page_bytes;
    const size_t whole = pages * page_bytes;
    const uint64_t first = done / page_bytes;
    if (absl::Status status = source.Read(done, after.first(bytes));
        !status.ok()) {
      return status;
    }
    std::ranges::fill(after.subspan(bytes, whole - bytes), std::byte{0});
    if (absl::Status status =
            previous.Read(PageId::FromValue(first), before.first(whole));
        !status.ok()) {
      return status;
    }
    if (absl::Status status =
            PutChanges(before.first(whole), after.first(whole), first,
                       page_bytes, room, batch);
        !status.ok()) {
      return status;
    }
    done += bytes;
    progress.Update(done, source.bytes());
  }
  return source.CheckUnchanged();
}

absl::StatusOr<int> Run(const Arguments& arguments,
                        const CommandContext& context) {
  const std::string& store_path = arguments.Path(0);
  const std::string& file_path = arguments.Path(1);
  const std::string message(arguments.Value("message").value_or(""));
  if (message.size() > CommitInfo::kMaxMessageBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a message of ", message.size(), " bytes; the limit is ",
                     CommitInfo::kMaxMessageBytes));
  }
  const absl::StatusOr<uint64_t> segment_bytes =
      arguments.NumberOr("segment-bytes", TransactionLog::kSegmentBytes);
  if (!segment_bytes.ok()) return segment_bytes.status();
  // All that can be refused is, before a store is made.
  if (absl::Status status = SourceFile::Check(context.file_system, file_path);
      !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckOutsideStore(file_path, store_path);
      !status.ok()) {
    return status;
  }
  const auto on_wait = [&] {
    absl::FPrintF(context.err,
                  "mmsb commit: waiting for another commit to '%s'\n",
                  EscapedText(store_path));
  };
  absl::StatusOr<std::unique_ptr<PageStore>> opened =
      PageStore::Open(context.file_system, store_path,
                      {.mode = PageStore::Mode::kCreate,
                       .segment_bytes = *segment_bytes,
                       .clock = context.clock,
                       .on_wait = on_wait,
                       .apply_delta = ApplyEncodedDeltaByKernels});
  if (!opened.ok()) return opened.status();
  PageStore& store = **opened;
  absl::StatusOr<SourceFile> source =
      SourceFile::Open(context.file_system, context.clock, file_path);
  if (!source.ok()) return source.status();

  const int64_t started_ns = context.clock.Now();
  absl::StatusOr<PageStore::Snapshot> previous = store.Newest();
  if (!previous.ok()) return previous.status();
  absl::StatusOr<PageStore::Batch> batch =
      store.Begin(*previous, source->bytes());
  if (!batch.ok()) return batch.status();
  {
    ProgressBar progress(context, "committing");
    if (absl::Status status = PutDifference(
            *previous, *source, store.page_bytes(), progress, *batch);
        !status.ok()) {
      return status;
    }
  }
  absl::StatusOr<Epoch> epoch =
      store.Commit(*std::move(batch), {.message = message});
  if (!epoch.ok()) return epoch.status();
  const int64_t took_ns = context.clock.Now() - started_ns;

  const EpochInfo info = store.newest_info();
  const uint64_t pages = store.Stats().pages;
  absl::FPrintF(context.out,
                "epoch %v\n"
                "  size     %s\n"
                "  changed  %s in %d of %s\n"
                "  stored   %s\n"
                "  time     %s, %s\n",
                *epoch, BytesText(info.bytes), BytesText(info.changed_bytes),
                info.changed_pages, CountText(pages, "page"),
                BytesText(info.stored_bytes), DurationText(took_ns),
                RateText(info.bytes, took_ns));
  return 0;
}

}  // namespace

const Command& CommitCommand() {
  static const Command* const command = new Command{
      .name = "commit",
      .summary = "keep a file's contents as a new epoch",
      .description =
          R"(Compares FILE with the newest epoch of STORE, page by page, and adds
what changed as the next epoch; the first is number 1. STORE is a
directory, made when it is not there. When the command has ended with
exit code 0, the epoch is on stable storage; when it failed or was
killed, the store holds the epochs that it held before, or, if only
the last step was missing, the new one as a whole.

FILE must be a regular file that nobody writes to meanwhile: a change
that the file's time stamps or size show is an error, and nothing is
committed. FILE may be larger than memory: at most 8 MiB are used, and
64 bytes for each page of 4 KiB (16 MiB for each GiB of FILE, or of the
largest epoch so far), beside what is listed of all epochs.
A second commit to the same store waits until the first is done.)",
      .examples =
          R"(mmsb commit state.mmsb state.bin
mmsb commit state.mmsb state.bin -m 'after the migration')",
      .operands = {{.name = "STORE"}, {.name = "FILE"}},
      .options = {{.name = "message",
                   .letter = 'm',
                   .value_name = "TEXT",
                   .help = "kept with the epoch and shown by 'mmsb log'"},
                  {.name = "segment-bytes",
                   .value_name = "N",
                   .help = "begin a new file of the log when one has so many"}},
      .run = Run};
  return *command;
}

}  // namespace mmsb
