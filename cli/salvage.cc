#include "cli/salvage.h"

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/text.h"
#include "memory/epoch/epoch.h"
#include "memory/store/page_store.h"

namespace mmsb {
namespace {

absl::StatusOr<int> Run(const Arguments& arguments,
                        const CommandContext& context) {
  absl::StatusOr<SalvageReport> report =
      PageStore::Salvage(context.file_system, arguments.Path(0),
                         arguments.Path(1), {.clock = context.clock});
  if (!report.ok()) return report.status();
  for (const std::string& damage : report->damage) {
    absl::FPrintF(context.out, "%s\n", EscapedText(damage));
  }
  for (const SalvageReport::LostEpoch& lost : report->lost) {
    absl::FPrintF(context.out, "epoch %v is lost: %s\n", lost.epoch,
                  EscapedText(lost.why));
  }
  absl::FPrintF(context.out, "%s copied", CountText(report->epochs, "epoch"));
  if (report->epochs != 0) {
    absl::FPrintF(context.out, ", the newest is %v", report->newest);
  }
  absl::FPrintF(context.out, "; %s lost\n",
                CountText(report->lost.size(), "epoch"));
  return report->lost.empty() ? 0 : 1;
}

}  // namespace

const Command& SalvageCommand() {
  static const Command* const command = new Command{
      .name = "salvage",
      .summary = "copy what is whole of a damaged store",
      .description =
          R"(Copies every epoch of STORE that can be had back bit for bit into a new
store at OUT, where nothing may be. Epochs keep their numbers, and each
one that is lost is told, and is absent from OUT; commits to OUT follow
the newest that was copied. STORE is only read. When the command fails
or is killed, OUT holds all that could be copied, or cannot be opened;
remove it then.

The exit code is 0 when all epochs were copied, and 1 when some were
lost or the store could not be read.)",
      .examples = "mmsb salvage state.mmsb salvaged.mmsb",
      .operands = {{.name = "STORE"}, {.name = "OUT"}},
      .run = Run};
  return *command;
}

}  // namespace mmsb
