#include "cli/log.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <ranges>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/table.h"
#include "cli/text.h"
#include "memory/store/page_store.h"

namespace mmsb {
namespace {

bool IsDamaged(const EpochInfo& epoch) {
  return epoch.lost || epoch.table_damaged;
}

void PrintJson(std::span<const EpochInfo> epochs, std::FILE* out) {
  std::string text = "[";
  for (const EpochInfo& epoch : epochs | std::views::reverse) {
    absl::StrAppend(&text, &epoch == &epochs.back() ? "\n" : ",\n");
    if (epoch.lost || epoch.absent) {
      absl::StrAppendFormat(&text, "{\"epoch\":%v,\"%s\":true}", epoch.epoch,
                            epoch.lost ? "damaged" : "absent");
    } else {
      absl::StrAppendFormat(
          &text,
          "{\"epoch\":%v,\"time\":\"%s\",\"time_ns\":%d,\"bytes\":%d,"
          "\"changed_bytes\":%d,\"changed_pages\":%d,\"stored_bytes\":%d,"
          "\"root\":%d,\"message\":%s,\"damaged\":%s}",
          epoch.epoch, TimeText(epoch.time_ns), epoch.time_ns, epoch.bytes,
          epoch.changed_bytes, epoch.changed_pages, epoch.stored_bytes,
          epoch.root, JsonText(epoch.message),
          epoch.table_damaged ? "true" : "false");
    }
  }
  absl::StrAppend(&text, "\n]\n");
  std::fwrite(text.data(), 1, text.size(), out);
}

void PrintTable(std::span<const EpochInfo> epochs, std::FILE* out) {
  Table table(
      {"EPOCH", "TIME", "SIZE", "CHANGED", "PAGES", "STORED", "MESSAGE"});
  for (const EpochInfo& epoch : epochs | std::views::reverse) {
    if (epoch.lost || epoch.absent) {
      table.Add({absl::StrCat(epoch.epoch),
                 epoch.lost ? "(damaged)" : "(lost before it was salvaged)"});
      continue;
    }
    table.Add({absl::StrCat(epoch.epoch), TimeText(epoch.time_ns),
               BytesText(epoch.bytes), BytesText(epoch.changed_bytes),
               absl::StrCat(epoch.changed_pages),
               ShortBytesText(epoch.stored_bytes),
               absl::StrCat(epoch.table_damaged ? "(damaged) " : "",
                            EscapedText(epoch.message))});
  }
  const std::string text = table.Text();
  std::fwrite(text.data(), 1, text.size(), out);
}

absl::StatusOr<int> Run(const Arguments& arguments,
                        const CommandContext& context) {
  absl::StatusOr<std::unique_ptr<PageStore>> store = PageStore::Open(
      context.file_system, arguments.Path(0), {.clock = context.clock});
  if (!store.ok()) return store.status();
  if (absl::Status status = (*store)->LoadEpochs(); !status.ok()) return status;
  const std::span<const EpochInfo> epochs = (*store)->epochs();
  if (arguments.Has("json")) {
    PrintJson(epochs, context.out);
  } else {
    PrintTable(epochs, context.out);
  }
  const auto damaged = std::ranges::count_if(epochs, IsDamaged);
  if (damaged == 0) return 0;
  return absl::DataLossError(
      absl::StrCat("'", arguments.Path(0), "' is damaged in ",
                   CountText(static_cast<uint64_t>(damaged), "epoch"),
                   "; 'mmsb verify' tells more"));
}

}  // namespace

const Command& LogCommand() {
  static const Command* const command = new Command{
      .name = "log",
      .summary = "list the epochs, newest first",
      .description =
          R"(One line an epoch: its number, when it was committed (UTC), the size
of the state, how many bytes changed against the epoch before and in
how many pages, what it took in the store, and the message, with
control characters escaped.

With --json, an array of objects, newest first, of these members:
  epoch          number
  time, time_ns  of the commit: ISO 8601 in UTC; nanoseconds since
                 1970-01-01
  bytes          the size of the state
  changed_bytes, changed_pages, stored_bytes
  root           of the tree of checksums, as a number
  message        bytes that are not UTF-8 are replaced by U+FFFD
  damaged        true when the epoch's records are; where nothing
                 else is known, only this and the number are there
  absent         true, beside the number alone, when the epoch was lost
                 before this store was salvaged from another

Epochs that were pruned are not listed. The exit code is 1 when a
damaged epoch was listed. The pages' own contents are not read: 'mmsb
verify' does that.)",
      .examples =
          R"(mmsb log state.mmsb
mmsb log state.mmsb --json | jq '.[0].message')",
      .operands = {{.name = "STORE"}},
      .options = {{.name = "json", .help = "print JSON"}},
      .run = Run};
  return *command;
}

}  // namespace mmsb
