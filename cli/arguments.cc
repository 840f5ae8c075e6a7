#include "cli/arguments.h"

#include <getopt.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "memory/epoch/epoch.h"
#include "primitives/check.h"

namespace mmsb {
namespace {

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t value;
  if (text.empty() || !std::ranges::all_of(text, absl::ascii_isdigit) ||
      !absl::SimpleAtoi(text, &value)) {
    return std::nullopt;
  }
  return value;
}

// What getopt_long() returns for a long option: this and the option's index. A
// short one returns its letter.
constexpr int kLongOption = 256;
// What it returns for an operand, as the first '-' of its letters asks.
constexpr int kOperand = 1;

// The tables of getopt_long(), and the arguments as it wants them.
class OptionScanner {
 public:
  OptionScanner(std::span<const std::string_view> arguments,
                std::span<const Option> options)
      : options_(options), texts_{"mmsb"}, letters_("-:") {
    texts_.insert(texts_.end(), arguments.begin(), arguments.end());
    for (std::string& text : texts_) argv_.push_back(text.data());
    argv_.push_back(nullptr);
    for (const Option& option : options) {
      const bool valued = !option.value_name.empty();
      names_.emplace_back(option.name);
      if (option.letter != 0) {
        absl::StrAppend(&letters_, std::string(1, option.letter),
                        valued ? ":" : "");
      }
    }
    for (size_t i = 0; i < options.size(); ++i) {
      longs_.push_back({.name = names_[i].c_str(),
                        .has_arg = options[i].value_name.empty()
                                       ? no_argument
                                       : required_argument,
                        .flag = nullptr,
                        .val = kLongOption + static_cast<int>(i)});
    }
    longs_.push_back({});
    optind = 0;  // glibc: starts anew.
    opterr = 0;
  }

  // As getopt_long(): -1 at the end.
  int Next() {
    return getopt_long(static_cast<int>(texts_.size()), argv_.data(),
                       letters_.c_str(), longs_.data(), nullptr);
  }

  // The option that Next() returned, or that optopt holds.
  const Option* Find(int code) const {
    if (code >= kLongOption) {
      return &options_[static_cast<size_t>(code - kLongOption)];
    }
    const auto found = std::ranges::find_if(options_, [code](const Option& o) {
      return o.letter != 0 && o.letter == code;
    });
    return found == options_.end() ? nullptr : &*found;
  }

  // What Next() answered '?' or ':' to.
  std::string Complaint(int code) const {
    const Option* const option = optopt == 0 ? nullptr : Find(optopt);
    const std::string_view argument = argv_[optind - 1];
    const std::string shown =
        optopt == 0 ? std::string(argument.substr(0, argument.find('=')))
        : optopt >= kLongOption ? absl::StrCat("--", option->name)
                                : std::string{'-', static_cast<char>(optopt)};
    if (option == nullptr) {
      return absl::StrCat("there is no option '", shown, "'");
    }
    return code == ':' ? absl::StrCat("'", shown, "' needs a value, ",
                                      option->value_name)
                       : absl::StrCat("'", shown, "' takes no value");
  }

  // What stands behind "--".
  std::span<const std::string> Rest() const {
    return std::span(texts_).subspan(static_cast<size_t>(optind));
  }

 private:
  std::span<const Option> options_;
  std::vector<std::string> texts_;
  std::vector<std::string> names_;
  std::vector<char*> argv_;
  std::vector<option> longs_;
  std::string letters_;
};

}  // namespace

absl::StatusOr<Arguments> Arguments::Parse(
    std::span<const std::string_view> arguments,
    std::span<const Operand> operands, std::span<const Option> options) {
  Arguments result;
  std::vector<Option> known(options.begin(), options.end());
  known.push_back({.name = "help", .letter = 'h'});
  std::vector<std::string> given;
  OptionScanner scanner(arguments, known);
  for (int code = scanner.Next(); code != -1; code = scanner.Next()) {
    if (code == kOperand) {
      given.emplace_back(optarg);
      continue;
    }
    if (code == '?' || code == ':') {
      return absl::InvalidArgumentError(scanner.Complaint(code));
    }
    const Option* const option = scanner.Find(code);
    if (option->name == "help") {
      result.help_ = true;
      return result;
    }
    result.options_.emplace_back(option->name, optarg == nullptr ? "" : optarg);
  }
  for (const std::string& text : scanner.Rest()) given.push_back(text);

  for (size_t i = 0; i < given.size(); ++i) {
    if (i == operands.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", given[i], "' is one operand too many"));
    }
    Given operand{.text = given[i], .epoch = std::nullopt};
    if (given[i].empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(operands[i].name, " is empty"));
    }
    if (operands[i].kind == Operand::Kind::kEpoch) {
      if (const auto number = ParseNumber(given[i]); number.has_value()) {
        operand.epoch = Epoch::FromValue(*number);
      } else {
        return absl::InvalidArgumentError(
            absl::StrCat(operands[i].name, " must be the number of an epoch, ",
                         "not '", given[i], "'"));
      }
    }
    result.operands_.push_back(std::move(operand));
  }
  if (given.size() < operands.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(operands[given.size()].name, " is missing"));
  }
  return result;
}

const std::string& Arguments::Path(size_t index) const {
  MMSB_CHECK(!operands_.at(index).epoch.has_value(), "operand %zu is an epoch",
             index);
  return operands_[index].text;
}

Epoch Arguments::EpochAt(size_t index) const {
  MMSB_CHECK(operands_.at(index).epoch.has_value(), "operand %zu is a path",
             index);
  return *operands_[index].epoch;
}

std::optional<std::string_view> Arguments::Value(
    std::string_view option) const {
  std::optional<std::string_view> value;
  for (const auto& [name, text] : options_) {
    if (name == option) value = text;
  }
  return value;
}

absl::StatusOr<uint64_t> Arguments::NumberOr(std::string_view option,
                                             uint64_t otherwise) const {
  const std::optional<std::string_view> text = Value(option);
  if (!text.has_value()) return otherwise;
  if (const auto number = ParseNumber(*text); number.has_value()) {
    return *number;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'--", option, "' must be a number, not '", *text, "'"));
}

}  // namespace mmsb
