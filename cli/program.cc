#include "cli/program.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/help.h"
#include "cli/suggestion.h"
#include "cli/text.h"

namespace mmsb {
namespace {

constexpr std::string_view kVersion = "0.1.0";
constexpr int kUsageError = 2;

void PrintError(const CommandContext& context, std::string_view who,
                std::string_view message) {
  absl::FPrintF(context.err, "%s: %s\n", who, EscapedText(message));
}

int UsageError(const CommandContext& context, std::string_view who,
               std::string_view message) {
  PrintError(context, who,
             absl::StrCat(message, "; '", who, " --help' tells more"));
  return kUsageError;
}

// What was printed may still be in the stream's buffer. `trouble_code` takes
// the place of `code` when it cannot be written.
int EndOutput(const CommandContext& context, std::string_view who, int code,
              int trouble_code) {
  errno = 0;
  const bool failed = std::ferror(context.out) != 0;
  if (std::fflush(context.out) == 0 && !failed) return code;
  const std::string why =
      errno != 0 ? absl::StrCat(": ", std::strerror(errno)) : "";
  PrintError(context, who,
             absl::StrCat("cannot write to the standard output", why));
  return trouble_code;
}

int RunCommand(const Command& command,
               std::span<const std::string_view> arguments,
               const CommandContext& context) {
  const std::string who = absl::StrCat("mmsb ", command.name);
  absl::StatusOr<Arguments> parsed =
      Arguments::Parse(arguments, command.operands, command.options);
  if (!parsed.ok()) {
    return UsageError(context, who, parsed.status().message());
  }
  int code = 0;
  if (parsed->help()) {
    absl::FPrintF(context.out, "%s", HelpText(command));
  } else {
    absl::StatusOr<int> result = command.run(*parsed, context);
    if (result.ok()) {
      code = *result;
    } else {
      // What was told before the error comes before it.
      std::fflush(context.out);
      PrintError(context, who, result.status().message());
      code = command.trouble_code;
    }
  }
  return EndOutput(context, who, code, command.trouble_code);
}

}  // namespace

int RunProgram(std::span<const Command* const> commands,
               std::span<const std::string_view> arguments,
               const CommandContext& context) {
  if (arguments.empty()) {
    return UsageError(context, "mmsb", "a command is missing");
  }
  const auto find = [&](std::string_view name) {
    const auto found = std::ranges::find_if(
        commands,
        [&](const Command* command) { return command->name == name; });
    return found == commands.end() ? nullptr : *found;
  };
  const std::string_view name = arguments[0];
  const std::span<const std::string_view> rest = arguments.subspan(1);
  if (name == "--help" || name == "-h" || name == "help") {
    if (name == "help" && !rest.empty()) {
      if (const Command* const command = find(rest[0])) {
        absl::FPrintF(context.out, "%s", HelpText(*command));
        return EndOutput(context, "mmsb", 0, 1);
      }
      return UsageError(context, "mmsb",
                        absl::StrCat("there is no command '", rest[0], "'"));
    }
    absl::FPrintF(context.out, "%s", HelpText(commands));
    return EndOutput(context, "mmsb", 0, 1);
  }
  if (name == "--version") {
    absl::FPrintF(context.out, "mmsb %s\n", kVersion);
    return EndOutput(context, "mmsb", 0, 1);
  }
  if (const Command* const command = find(name)) {
    return RunCommand(*command, rest, context);
  }
  if (name.starts_with('-')) {
    return UsageError(context, "mmsb",
                      absl::StrCat("there is no option '", name, "'"));
  }
  std::vector<std::string_view> names;
  for (const Command* const command : commands) names.push_back(command->name);
  const std::string_view nearest = NearestName(name, names);
  return UsageError(
      context, "mmsb",
      absl::StrCat("there is no command '", name, "'",
                   nearest.empty()
                       ? ""
                       : absl::StrCat("; the nearest is '", nearest, "'")));
}

}  // namespace mmsb
