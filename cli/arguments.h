#ifndef MMSB_CLI_ARGUMENTS_H_
#define MMSB_CLI_ARGUMENTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "memory/epoch/epoch.h"

namespace mmsb {

struct Operand {
  enum class Kind { kPath, kEpoch };

  std::string_view name = {};  // as the usage line has it
  Kind kind = Kind::kPath;
};

struct Option {
  std::string_view name = {};        // without the dashes
  char letter = 0;                   // of the short form; 0: none
  std::string_view value_name = {};  // empty: it takes no value
  std::string_view help = {};
};

// What a subcommand was given, checked against its table: the operands are all
// there, epochs are numbers, options belong to it. A value; thread-compatible.
//
// Parsed by getopt_long(3), whatever POSIXLY_CORRECT says: options and operands
// may be mixed, "--" ends the options, a value may be the next argument or
// joined (-m TEXT, -mTEXT, --message TEXT, --message=TEXT), and a long name may
// be cut where no other begins so. getopt_long has state of its own: one
// Parse() at a time.
//
//   absl::StatusOr<Arguments> arguments =
//       Arguments::Parse(args, command.operands, command.options);
//   store_path = arguments->Path(0);
class Arguments {
 public:
  // InvalidArgument with a message for the user. "--help" and "-h" are known to
  // every command, and then nothing else is required.
  static absl::StatusOr<Arguments> Parse(
      std::span<const std::string_view> arguments,
      std::span<const Operand> operands, std::span<const Option> options);

  bool help() const { return help_; }

  // The operand of that index in the table. Path ends the process for an
  // operand that is an epoch, and the other way round.
  const std::string& Path(size_t index) const;
  Epoch EpochAt(size_t index) const;

  bool Has(std::string_view option) const { return Value(option).has_value(); }
  // The last one given, when there are several; empty for one without a value.
  std::optional<std::string_view> Value(std::string_view option) const;
  // The value as a decimal number; `otherwise` where the option was not given.
  // InvalidArgument when it is none, or more than 2^64 - 1.
  absl::StatusOr<uint64_t> NumberOr(std::string_view option,
                                    uint64_t otherwise) const;

 private:
  struct Given {
    std::string text;
    std::optional<Epoch> epoch;
  };

  bool help_ = false;
  std::vector<Given> operands_;
  std::vector<std::pair<std::string_view, std::string>> options_;
};

}  // namespace mmsb

#endif  // MMSB_CLI_ARGUMENTS_H_
