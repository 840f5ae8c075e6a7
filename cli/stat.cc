#include "cli/stat.h"

#include <algorithm>
#include <array>
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
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "allocator/allocator_stats.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/text.h"
#include "device/simd/simd_target.h"
#include "memory/epoch/epoch.h"
#include "memory/log/file_system.h"
#include "memory/store/page_store.h"

namespace mmsb {
namespace {

absl::StatusOr<uint64_t> DirectoryBytes(FileSystem& file_system,
                                        const std::string& path) {
  absl::StatusOr<std::vector<std::string>> names = file_system.List(path);
  if (!names.ok()) return names.status();
  uint64_t bytes = 0;
  for (const std::string& name : *names) {
    absl::StatusOr<FileInfo> info =
        file_system.Info(absl::StrCat(path, "/", name));
    if (!info.ok()) return info.status();
    bytes += info->bytes;
  }
  return bytes;
}

std::string AllocatorText(const AllocatorStats& stats) {
  std::array<char, 1024> text;
  const size_t bytes = std::min(stats.FormatText(text), text.size());
  return std::string(text.data(), bytes);
}

std::string CheckpointText(const PageStoreStats& stats) {
  if (stats.checkpoint == Epoch()) return "none";
  return absl::StrCat("epoch ", stats.checkpoint, ", ",
                      BytesText(stats.checkpoint_bytes));
}

absl::StatusOr<int> Run(const Arguments& arguments,
                        const CommandContext& context) {
  const std::string& path = arguments.Path(0);
  absl::StatusOr<std::unique_ptr<PageStore>> store =
      PageStore::Open(context.file_system, path, {.clock = context.clock});
  if (!store.ok()) return store.status();
  absl::StatusOr<uint64_t> disk_bytes =
      DirectoryBytes(context.file_system, path);
  if (!disk_bytes.ok()) return disk_bytes.status();

  if (absl::Status status = (*store)->LoadEpochs(); !status.ok()) return status;
  const PageStoreStats stats = (*store)->Stats();
  const std::span<const EpochInfo> epochs = (*store)->epochs();
  uint64_t all_bytes = 0;
  for (const EpochInfo& epoch : epochs) all_bytes += epoch.bytes;
  absl::FPrintF(context.out,
                "store           %s\n"
                "on disk         %s\n"
                "log             %s in %s\n"
                "epochs          %d, of %s together\n"
                "newest state    %s\n"
                "page size       %s\n"
                "pages           %d: %d whole, %d as deltas, %d zero\n"
                "last checkpoint %s, and %s of log to replay\n"
                "SIMD target     %s\n"
                "page tables' allocator (bytes and calls)\n",
                EscapedText(path), BytesText(*disk_bytes),
                BytesText(stats.log_bytes), CountText(stats.log_files, "file"),
                epochs.size(), BytesText(all_bytes),
                BytesText(epochs.empty() ? 0 : epochs.back().bytes),
                CountText((*store)->page_bytes(), "byte"), stats.pages,
                stats.pages - stats.zero_pages - stats.delta_pages,
                stats.delta_pages, stats.zero_pages, CheckpointText(stats),
                BytesText(stats.replay_bytes), ActiveSimdTarget());
  const std::string allocator = AllocatorText(stats.table);
  for (const absl::string_view line :
       absl::StrSplit(allocator, '\n', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    absl::FPrintF(context.out, "  %-14s%s\n", parts.first, parts.second);
  }
  return 0;
}

}  // namespace

const Command& StatCommand() {
  static const Command* const command = new Command{
      .name = "stat",
      .summary = "tell sizes, pages, and the allocator's counters",
      .description =
          R"(Tells what STORE takes on disk, how its newest state's pages are kept,
what opening it reads (the last checkpoint, and the log from there on),
the counters of the allocator that holds the page tables in memory
(live + cached + free + metadata = committed), and the SIMD
instructions that differences are computed with: the best that this
machine has, or those that MMSB_SIMD_TARGET names in the environment
of any mmsb command; a wrong name lists the right ones.)",
      .examples = "mmsb stat state.mmsb",
      .operands = {{.name = "STORE"}},
      .run = Run};
  return *command;
}

}  // namespace mmsb
