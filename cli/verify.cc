#include "cli/verify.h"

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/progress_bar.h"
#include "cli/text.h"
#include "device/simd/encoded_delta.h"
#include "memory/store/page_store.h"

namespace mmsb {
namespace {

absl::StatusOr<VerifyReport> Verify(PageStore& store,
                                    const CommandContext& context) {
  ProgressBar progress(context, "verifying");
  return store.Verify(
      [&](uint64_t done, uint64_t total) { progress.Update(done, total); });
}

absl::StatusOr<int> Run(const Arguments& arguments,
                        const CommandContext& context) {
  absl::StatusOr<std::unique_ptr<PageStore>> store = PageStore::Open(
      context.file_system, arguments.Path(0),
      {.clock = context.clock, .apply_delta = ApplyEncodedDeltaByKernels});
  if (!store.ok()) return store.status();
  absl::StatusOr<VerifyReport> report = Verify(**store, context);
  if (!report.ok()) return report.status();

  for (const std::string& damage : report->damage) {
    absl::FPrintF(context.out, "damage: %s\n", EscapedText(damage));
  }
  for (const VerifyReport::DamagedEpoch& epoch : report->damaged_epochs) {
    absl::FPrintF(
        context.out, "epoch %v is damaged: %s%s\n", epoch.epoch,
        EscapedText(epoch.why),
        epoch.pages > 1
            ? absl::StrCat(", and ", CountText(epoch.pages - 1, "more page"))
            : "");
  }
  const std::string looked_at =
      absl::StrCat(CountText(report->epochs, "epoch"), ", ",
                   CountText(report->page_versions, "version"),
                   " of pages, a log of ", BytesText(report->log_bytes));
  for (const std::string& note : report->notes) {
    absl::FPrintF(context.out, "note: %s\n", EscapedText(note));
  }
  if (report->ok()) {
    absl::FPrintF(context.out, "sound: %s\n", looked_at);
    return 0;
  }
  absl::FPrintF(context.out, "DAMAGED: %d of %s\n",
                report->damaged_epochs.size(), looked_at);
  return 1;
}

}  // namespace

const Command& VerifyCommand() {
  static const Command* const command = new Command{
      .name = "verify",
      .summary = "check everything in a store",
      .description =
          R"(Reads all of STORE, rebuilds every version of every page, and compares
each with its checksum, each epoch with its recorded tree of
checksums, and each checkpoint with the log ahead of it. Every damaged
place is told, also one that no epoch needs, and every epoch that
cannot be had back; the others can, with 'mmsb checkout'. What a
commit that was cut short left at the log's end is no damage; the next
commit cuts it off.

The exit code is 0 when the store is sound, and 1 when it is damaged
or could not be looked at.)",
      .examples = "mmsb verify state.mmsb",
      .operands = {{.name = "STORE"}},
      .run = Run};
  return *command;
}

}  // namespace mmsb
