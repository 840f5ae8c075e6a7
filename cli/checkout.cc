#include "cli/checkout.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/arguments.h"
#include "cli/aside_file.h"
#include "cli/background_sync.h"
#include "cli/command.h"
#include "cli/paths.h"
#include "cli/progress_bar.h"
#include "cli/text.h"
#include "device/simd/encoded_delta.h"
#include "memory/log/file_system.h"
#include "memory/page/page.h"
#include "memory/page/page_allocator.h"
#include "memory/store/page_store.h"
#include "primitives/bytes.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

constexpr size_t kChunkBytes = 1 * kMiB;

// Writes the state to `out`, an empty file, which the disk takes in meanwhile;
// chunks of zeros become holes.
absl::Status WriteState(PageStore::Snapshot& snapshot, size_t page_bytes,
                        ProgressBar& progress, File& out) {
  PageAllocator memory;
  absl::StatusOr<Page*> page = memory.Allocate({.bytes = kChunkBytes});
  if (!page.ok()) return page.status();
  const std::span<std::byte> chunk = (*page)->contents();
  if (absl::Status status = out.Truncate(snapshot.bytes()); !status.ok()) {
    return status;
  }
  BackgroundSync sync(out);
  for (uint64_t done = 0; done < snapshot.bytes();) {
    const uint64_t first = done / page_bytes;
    const size_t pages = static_cast<size_t>(
        std::min<uint64_t>(kChunkBytes / page_bytes, snapshot.pages() - first));
    const size_t bytes = static_cast<size_t>(
        std::min<uint64_t>(pages * page_bytes, snapshot.bytes() - done));
    if (absl::Status status = snapshot.Read(PageId::FromValue(first),
                                            chunk.first(pages * page_bytes));
        !status.ok()) {
      return status;
    }
    if (!IsZero(chunk.first(bytes))) {
      if (absl::Status status = out.WriteAt(done, chunk.first(bytes));
          !status.ok()) {
        return status;
      }
      sync.Wrote(bytes);
    }
    done += bytes;
    progress.Update(done, snapshot.bytes());
  }
  return sync.Finish();
}

// The file at `path`, if there is one. An error when it is nothing that may be
// replaced.
absl::StatusOr<std::optional<FileInfo>> FindFile(FileSystem& file_system,
                                                 const std::string& path) {
  absl::StatusOr<FileInfo> info = file_system.Info(path);
  if (absl::IsNotFound(info.status())) {
    std::error_code error;
    if (std::filesystem::is_symlink(path, error)) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", path, "' is a symbolic link to nothing"));
    }
    if (!path.ends_with('/')) return std::nullopt;
    return absl::InvalidArgumentError(
        absl::StrCat("'", path, "' names a directory"));
  }
  if (!info.ok()) return info.status();
  if (info->kind == FileKind::kRegular) return *info;
  return absl::InvalidArgumentError(
      absl::StrCat("'", path, "' is ",
                   info->kind == FileKind::kDirectory ? "a directory"
                                                      : "not a regular file"));
}

absl::StatusOr<int> Run(const Arguments& arguments,
                        const CommandContext& context) {
  const std::string& store_path = arguments.Path(0);
  const std::string& out_path = arguments.Path(2);
  const bool force = arguments.Has("force");

  absl::StatusOr<std::unique_ptr<PageStore>> store = PageStore::Open(
      context.file_system, store_path,
      {.clock = context.clock, .apply_delta = ApplyEncodedDeltaByKernels});
  if (!store.ok()) return store.status();
  if (absl::Status status = CheckOutsideStore(out_path, store_path);
      !status.ok()) {
    return status;
  }
  absl::StatusOr<std::optional<FileInfo>> found =
      FindFile(context.file_system, out_path);
  if (!found.ok()) return found.status();
  const std::optional<FileInfo>& old = *found;
  const auto refusal = [&] {
    return absl::AlreadyExistsError(
        absl::StrCat("'", out_path, "' exists; --force replaces it"));
  };
  if (old.has_value() && !force) return refusal();
  absl::StatusOr<PageStore::Snapshot> snapshot =
      (*store)->SnapshotAt(arguments.EpochAt(1));
  if (!snapshot.ok()) return snapshot.status();

  // A file that a symbolic link leads to is replaced, and not the link.
  const std::string final_path =
      old.has_value() ? ResolvedPath(out_path) : out_path;
  const int64_t started_ns = context.clock.Now();
  // A file that replaces another has its permissions, and never more on the
  // way: those who may not read the old one cannot open the new one.
  absl::StatusOr<AsideFile> aside = AsideFile::Create(
      context.file_system, final_path, old.has_value() ? 0600 : 0666);
  if (!aside.ok()) return aside.status();
  if (old.has_value()) {
    if (absl::Status status = aside->file().SetPermissions(old->permissions);
        !status.ok()) {
      return status;
    }
  }
  {
    ProgressBar progress(context, "checking out");
    if (absl::Status status = WriteState(*snapshot, (*store)->page_bytes(),
                                         progress, aside->file());
        !status.ok()) {
      return status;
    }
  }
  absl::Status published = aside->Publish(force ? FileSystem::IfExists::kReplace
                                                : FileSystem::IfExists::kFail);
  if (absl::IsAlreadyExists(published)) return refusal();
  if (!published.ok()) return published;
  const int64_t took_ns = context.clock.Now() - started_ns;
  absl::FPrintF(context.out, "epoch %v: %s, %s, %s\n", snapshot->epoch(),
                BytesText(snapshot->bytes()), DurationText(took_ns),
                RateText(snapshot->bytes(), took_ns));
  return 0;
}

}  // namespace

const Command& CheckoutCommand() {
  static const Command* const command = new Command{
      .name = "checkout",
      .summary = "write the contents of an epoch to a file",
      .description =
          R"(Writes epoch EPOCH of STORE to OUT, bit for bit as it was committed.
The file is written under another name beside OUT, synced and
renamed when it is whole: OUT is never seen in part. Every page is
compared with its checksum; when one is damaged, there is an error
and no OUT. Long runs of zeros become holes.)",
      .examples =
          R"(mmsb checkout state.mmsb 3 state-3.bin
mmsb checkout --force state.mmsb 3 state.bin)",
      .operands = {{.name = "STORE"},
                   {.name = "EPOCH", .kind = Operand::Kind::kEpoch},
                   {.name = "OUT"}},
      .options = {{.name = "force",
                   .letter = 'f',
                   .help = "replace OUT when it exists"}},
      .run = Run};
  return *command;
}

}  // namespace mmsb
