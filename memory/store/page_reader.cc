#include "memory/store/page_reader.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "memory/delta/delta_codec.h"
#include "memory/log/crc32c.h"
#include "memory/log/log_data.h"
#include "memory/store/page_table.h"
#include "memory/store/page_version.h"
#include "primitives/check.h"

namespace mmsb {

PageReader::PageReader(LogData log, size_t page_bytes,
                       EncodedDeltaApplier apply_delta)
    : log_(std::move(log)),
      page_bytes_(page_bytes),
      apply_delta_(apply_delta),
      scratch_(PageVersion::kMaxDepth * (PageVersion::kBytes + page_bytes)) {}

absl::Status PageReader::Read(const PageTable& table, uint64_t first,
                              std::span<std::byte> out) {
  absl::Status result;
  ReadEach(table, first, out, [&](uint64_t, const absl::Status& status) {
    result.Update(status);
  });
  return result;
}

void PageReader::ReadEach(
    const PageTable& table, uint64_t first, std::span<std::byte> out,
    absl::FunctionRef<void(uint64_t, const absl::Status&)> on_failure) {
  const size_t pages = out.size() / page_bytes_;
  MMSB_CHECK(out.size() % page_bytes_ == 0 && first <= table.pages() &&
                 pages <= table.pages() - first,
             "PageReader: %zu bytes from page %llu of a table of %llu",
             out.size(), static_cast<unsigned long long>(first),
             static_cast<unsigned long long>(table.pages()));
  size_t i = 0;
  while (i < pages) {
    const PageTable::Entry entry = table.Get(first + i);
    size_t run = 1;
    absl::Status status;
    if (entry.version.form == PageVersion::Form::kWhole) {
      while (i + run < pages) {
        const PageVersion next = table.Get(first + i + run).version;
        if (next.form != PageVersion::Form::kWhole ||
            next.position != entry.version.position + run * page_bytes_) {
          break;
        }
        ++run;
      }
      status = log_.Read(entry.version.position,
                         out.subspan(i * page_bytes_, run * page_bytes_));
    } else {
      status =
          Rebuild(entry.version, out.subspan(i * page_bytes_, page_bytes_));
    }
    for (const size_t end = i + run; i < end; ++i) {
      const uint64_t page = first + i;
      if (status.ok() && Crc32c(out.subspan(i * page_bytes_, page_bytes_)) !=
                             table.Get(page).checksum) {
        on_failure(page, absl::DataLossError(absl::StrCat(
                             "page ", page, " does not have its checksum")));
      } else if (!status.ok()) {
        on_failure(page,
                   absl::Status(status.code(), absl::StrCat("page ", page, ": ",
                                                            status.message())));
      }
    }
  }
}

absl::Status PageReader::Rebuild(const PageVersion& version,
                                 std::span<std::byte> out) {
  struct Step {
    DeltaForm form;
    std::span<const std::byte> encoded;
  };
  std::array<Step, PageVersion::kMaxDepth> steps;
  size_t count = 0;
  PageVersion base = version;
  std::span<std::byte> scratch = scratch_;
  while (base.is_delta()) {
    // Each link leads to fewer versions, so that a damaged one cannot make a
    // ring, nor a longer way than there is scratch memory for.
    const std::optional<DeltaForm> form =
        DeltaFormFromNumber(static_cast<uint8_t>(base.form));
    if (count == steps.size() || base.depth == 0 || !form.has_value() ||
        base.bytes < PageVersion::kBytes ||
        base.bytes > PageVersion::kBytes + page_bytes_) {
      return absl::DataLossError("a link in the log is damaged");
    }
    const std::span<std::byte> bytes = scratch.first(base.bytes);
    scratch = scratch.subspan(base.bytes);
    if (absl::Status status = log_.Read(base.position, bytes); !status.ok()) {
      return status;
    }
    steps[count++] = Step{*form, bytes.subspan(PageVersion::kBytes)};
    const std::optional<PageVersion> link =
        PageVersion::Decode(bytes.first<PageVersion::kBytes>());
    if (!link.has_value() || link->depth >= base.depth) {
      return absl::DataLossError("a link in the log is damaged");
    }
    base = *link;
  }
  if (base.form == PageVersion::Form::kWhole) {
    if (absl::Status status = log_.Read(base.position, out); !status.ok()) {
      return status;
    }
  } else {
    std::ranges::fill(out, std::byte{0});
  }
  while (count > 0) {
    --count;
    if (absl::Status status =
            apply_delta_(steps[count].form, steps[count].encoded, out);
        !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace mmsb
