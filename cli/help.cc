#include "cli/help.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "cli/arguments.h"
#include "cli/command.h"

namespace mmsb {
namespace {

constexpr std::string_view kAbout =
    "Keeps every version of a large binary state file, and gives any of them\n"
    "back bit for bit.\n";

// "-m TEXT", "--json": the shortest form.
std::string ShortForm(const Option& option) {
  return absl::StrCat(option.letter != 0 ? absl::StrFormat("-%c", option.letter)
                                         : absl::StrCat("--", option.name),
                      option.value_name.empty() ? "" : " ", option.value_name);
}

// "  -m, --message TEXT".
std::string AllForms(const Option& option) {
  return absl::StrCat(
      option.letter != 0 ? absl::StrFormat("  -%c, ", option.letter) : "      ",
      "--", option.name, option.value_name.empty() ? "" : " ",
      option.value_name);
}

std::string IndentedLines(std::string_view lines) {
  std::string text;
  for (const absl::string_view line : absl::StrSplit(lines, '\n')) {
    absl::StrAppend(&text, "  ", line, "\n");
  }
  return text;
}

}  // namespace

std::string UsageText(const Command& command) {
  std::string text = absl::StrCat("mmsb ", command.name);
  for (const Option& option : command.options) {
    absl::StrAppend(&text, " [", ShortForm(option), "]");
  }
  for (const Operand& operand : command.operands) {
    absl::StrAppend(&text, " ", operand.name);
  }
  return text;
}

std::string HelpText(const Command& command) {
  std::string text = absl::StrCat("Usage: ", UsageText(command), "\n\n",
                                  command.description, "\n\nOptions:\n");
  const Option help = {.name = "help", .letter = 'h', .help = "print this"};
  size_t width = AllForms(help).size();
  for (const Option& option : command.options) {
    width = std::max(width, AllForms(option).size());
  }
  const auto append = [&](const Option& option) {
    absl::StrAppendFormat(&text, "%-*s  %s\n", static_cast<int>(width),
                          AllForms(option), option.help);
  };
  for (const Option& option : command.options) append(option);
  append(help);
  absl::StrAppend(&text, "\nExamples:\n", IndentedLines(command.examples));
  return text;
}

std::string HelpText(std::span<const Command* const> commands) {
  std::string text =
      absl::StrCat("Usage: mmsb COMMAND ...\n\n", kAbout, "\nCommands:\n");
  size_t width = 0;
  for (const Command* const command : commands) {
    width = std::max(width, UsageText(*command).size());
  }
  for (const Command* const command : commands) {
    absl::StrAppendFormat(&text, "  %-*s  %s\n", static_cast<int>(width),
                          UsageText(*command), command->summary);
  }
  absl::StrAppend(
      &text,
      "\n'mmsb COMMAND --help' tells more of one. 'mmsb --version' tells the\n"
      "version. Options may stand anywhere after COMMAND; '--' ends them.\n"
      "\nExit codes: 0 done, 1 not done, or damage found, 2 wrong usage; "
      "'diff'\n"
      "has those of cmp(1).\n"
      "\nExamples:\n");
  for (const Command* const command : commands) {
    const std::string_view first =
        command->examples.substr(0, command->examples.find('\n'));
    absl::StrAppend(&text, "  ", first, "\n");
  }
  return text;
}

}  // namespace mmsb
