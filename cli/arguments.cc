#include "cli/arguments.h"

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

std::optional<Epoch> ParseEpoch(std::string_view text) {
  uint64_t value;
  if (text.empty() || !std::ranges::all_of(text, absl::ascii_isdigit) ||
      !absl::SimpleAtoi(text, &value)) {
    return std::nullopt;
  }
  return Epoch::FromValue(value);
}

const Option* Find(std::span<const Option> options, std::string_view name) {
  const auto found = std::ranges::find(options, name, &Option::name);
  return found == options.end() ? nullptr : &*found;
}

const Option* Find(std::span<const Option> options, char letter) {
  const auto found = std::ranges::find(options, letter, &Option::letter);
  return found == options.end() ? nullptr : &*found;
}

}  // namespace

absl::StatusOr<Arguments> Arguments::Parse(
    std::span<const std::string_view> arguments,
    std::span<const Operand> operands, std::span<const Option> options) {
  Arguments result;
  std::vector<std::string_view> given;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--") {
      const auto rest = arguments.subspan(i + 1);
      given.insert(given.end(), rest.begin(), rest.end());
      break;
    }
    if (argument.size() < 2 || argument[0] != '-') {
      given.push_back(argument);
      continue;
    }
    std::string_view shown = argument;  // the option, without a value
    const Option* option;
    std::optional<std::string_view> value;
    if (argument[1] == '-') {
      const size_t equals = argument.find('=');
      shown = argument.substr(0, equals);
      if (equals != std::string_view::npos) value = argument.substr(equals + 1);
      option = Find(options, shown.substr(2));
    } else {
      shown = argument.substr(0, 2);
      if (argument.size() > 2) value = argument.substr(2);
      option = Find(options, argument[1]);
    }
    if ((shown == "--help" || shown == "-h") && !value.has_value()) {
      result.help_ = true;
      return result;
    }
    if (option == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("there is no option '", shown, "'"));
    }
    if (option->value_name.empty()) {
      if (value.has_value()) {
        return absl::InvalidArgumentError(
            absl::StrCat("'", shown, "' takes no value"));
      }
    } else if (!value.has_value()) {
      if (++i == arguments.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat("'", shown, "' needs a value, ", option->value_name));
      }
      value = arguments[i];
    }
    result.options_.emplace_back(option->name, value.value_or(""));
  }

  for (size_t i = 0; i < given.size(); ++i) {
    if (i == operands.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", given[i], "' is one operand too many"));
    }
    Given operand{.text = std::string(given[i]), .epoch = std::nullopt};
    if (given[i].empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(operands[i].name, " is empty"));
    }
    if (operands[i].kind == Operand::Kind::kEpoch) {
      operand.epoch = ParseEpoch(given[i]);
      if (!operand.epoch.has_value()) {
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

}  // namespace mmsb
