#include "cli/prune.h"

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/text.h"
#include "memory/epoch/epoch.h"
#include "memory/log/transaction_log.h"
#include "memory/store/page_store.h"

namespace mmsb {
namespace {

absl::StatusOr<int> Run(const Arguments& arguments,
                        const CommandContext& context) {
  const std::string& path = arguments.Path(0);
  const absl::StatusOr<uint64_t> segment_bytes =
      arguments.NumberOr("segment-bytes", TransactionLog::kSegmentBytes);
  if (!segment_bytes.ok()) return segment_bytes.status();
  const auto on_wait = [&] {
    absl::FPrintF(context.err, "mmsb prune: waiting for a commit to '%s'\n",
                  EscapedText(path));
  };
  absl::StatusOr<std::unique_ptr<PageStore>> store =
      PageStore::Open(context.file_system, path,
                      {.mode = PageStore::Mode::kWrite,
                       .segment_bytes = *segment_bytes,
                       .clock = context.clock,
                       .on_wait = on_wait});
  if (!store.ok()) return store.status();
  const uint64_t first = (*store)->first().value();
  const uint64_t bytes = (*store)->Stats().log_bytes;
  const int64_t started_ns = context.clock.Now();
  if (absl::Status status = (*store)->Prune(arguments.EpochAt(1));
      !status.ok()) {
    return status;
  }
  const int64_t took_ns = context.clock.Now() - started_ns;
  const uint64_t now_first = (*store)->first().value();
  absl::FPrintF(context.out,
                "%s pruned, %v to %v kept\n"
                "  log   %s, was %s\n"
                "  time  %s\n",
                CountText(now_first - first, "epoch"), (*store)->first(),
                (*store)->newest(), BytesText((*store)->Stats().log_bytes),
                BytesText(bytes), DurationText(took_ns));
  return 0;
}

}  // namespace

const Command& PruneCommand() {
  static const Command* const command = new Command{
      .name = "prune",
      .summary = "forget old epochs, and give their room back",
      .description =
          R"(Forgets the epochs of STORE before EPOCH. What they came to is joined
into epoch EPOCH, which and all later ones can be had back as before,
under their numbers. They are written to a new log, which takes the
place of the old one when it is whole and on stable storage: whenever
the command is killed or the power fails, the store holds what it held
or what it is to hold, and the next commit or prune removes what was
left over. Until then the disk must have room for both.

Whoever is reading the store meanwhile goes on reading what it held;
the room of the old log is free when the last of them is done. A store
that is damaged in what is to be kept is left as it is.)",
      .examples = "mmsb prune state.mmsb 100",
      .operands = {{.name = "STORE"},
                   {.name = "EPOCH", .kind = Operand::Kind::kEpoch}},
      .options = {{.name = "segment-bytes",
                   .value_name = "N",
                   .help = "begin a new file of the log when one has so many"}},
      .run = Run};
  return *command;
}

}  // namespace mmsb
