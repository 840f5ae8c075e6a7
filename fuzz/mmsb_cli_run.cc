#include "fuzz/mmsb_cli_run.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_split.h"
#include "cli/checkout.h"
#include "cli/command.h"
#include "cli/commit.h"
#include "cli/diff.h"
#include "cli/log.h"
#include "cli/program.h"
#include "cli/prune.h"
#include "cli/salvage.h"
#include "cli/stat.h"
#include "cli/testing/stream.h"
#include "cli/verify.h"
#include "fuzz/damaged_store.h"
#include "fuzz/program.h"
#include "memory/log/faulty_file_system.h"
#include "memory/log/file_system.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

using Op = MmsbCliOp;
using enum ProgramArg;
using Bytes = std::vector<std::byte>;

constexpr ProgramKind::Value kSetup[] = {
    {"store", kByte},  // of DamagedStore
};

constexpr ProgramKind::Op kOps[] = {
    {"kFlip", kByte, kSize},
    {"kCut", kByte, kSize},
    {"kRemove", kByte},
    {"kCommit", kSize, kByte},
    {"kCheckout", kByte, kByte},
    {"kDiff", kByte, kByte},
    {"kLog", kByte},
    {"kStat"},
    {"kVerify"},
    {"kNonsense", kByte, kByte},
    {"kPrune", kByte},
    {"kSalvage"},
    {"kHelp", kByte},
};
static_assert(std::size(kOps) == Op::kOpCount);

constexpr size_t kMaxFileBytes = 5000;
constexpr size_t kMaxCommands = 16;

class Session {
 public:
  explicit Session(const DamagedStore& store) : epochs_(store.epochs()) {
    store.WriteTo(disk_);
  }

  std::string Perform(const Program::Step& step) {
    switch (step.op) {
      case Op::kCommit:
        return Commit(step.a % kMaxFileBytes, step.b % 2 != 0);
      case Op::kCheckout:
        return Checkout(step.a, step.b % 2 != 0);
      case Op::kDiff:
        return Run({"diff", DamagedStore::kPath, std::to_string(step.a),
                    std::to_string(step.b)});
      case Op::kLog:
        return step.a % 2 != 0 ? Run({"log", "--json", DamagedStore::kPath})
                               : Run({"log", DamagedStore::kPath});
      case Op::kStat:
        return Run({"stat", DamagedStore::kPath});
      case Op::kVerify:
        return Run({"verify", DamagedStore::kPath});
      case Op::kPrune:
        return Run({"prune", DamagedStore::kPath, std::to_string(step.a)});
      case Op::kSalvage:
        return Salvage();
      case Op::kHelp:
        return Help(step.a);
      case Op::kNonsense: {
        static constexpr std::array<std::string_view, 12> kWords = {
            "",
            "--",
            "-",
            "--json",
            "--help",
            "verify",
            "help",
            "commit",
            "\n",
            "-x",
            "99999999999999999999",
            "store"};
        return Run({std::string(kWords[step.a % kWords.size()]),
                    std::string(kWords[step.b % kWords.size()]),
                    std::string(kWords[step.a * step.b % kWords.size()])});
      }
      default:
        return "";
    }
  }

 private:
  static const std::array<const Command*, 8>& Commands() {
    static const std::array<const Command*, 8> commands = {
        &CommitCommand(), &LogCommand(),    &CheckoutCommand(), &DiffCommand(),
        &PruneCommand(),  &VerifyCommand(), &SalvageCommand(),  &StatCommand()};
    return commands;
  }

  // What is wrong with how the command ended; its exit code is in code_.
  std::string Run(const std::vector<std::string>& words) {
    const std::vector<std::string_view> arguments(words.begin(), words.end());
    Stream out;
    Stream err;
    code_ = RunProgram(Commands(), arguments,
                       {.file_system = disk_,
                        .clock = clock_,
                        .out = out.file(),
                        .err = err.file(),
                        .err_is_terminal = false});
    if (code_ < 0 || code_ > 2) return "exit code " + std::to_string(code_);
    const std::string errors = err.Text();
    // Equal epochs have no differences to print.
    if (code_ == 0 && out.Text().empty() && words[0] != "diff") {
      return "success, and no word of it";
    }
    for (const std::string_view line : absl::StrSplit(errors, '\n')) {
      if (!line.empty() && !line.starts_with("mmsb")) {
        return "a line that is no error's: " + std::string(line);
      }
    }
    return "";
  }

  std::string Commit(size_t bytes, bool message) {
    Bytes state(bytes);
    for (size_t i = 0; i < bytes; ++i) {
      state[i] = static_cast<std::byte>(bytes + i * 3);
    }
    {
      const auto file = disk_.Open("state", FileSystem::Access::kCreate);
      if (!file.ok() || !(*file)->Truncate(0).ok() ||
          !(*file)->WriteAt(0, state).ok()) {
        return "no file to commit";
      }
    }
    std::string error =
        message
            ? Run({"commit", "-m", "a\nmessage", DamagedStore::kPath, "state"})
            : Run({"commit", DamagedStore::kPath, "state"});
    // What an epoch's number is depends on what the damage left.
    if (code_ == 0) committed_.push_back(state);
    return error;
  }

  // A copy is sound, whatever it is a copy of.
  std::string Salvage() {
    const std::string copy = "copy" + std::to_string(salvages_++);
    std::string error = Run({"salvage", DamagedStore::kPath, copy});
    if (!error.empty() || code_ != 0) return error;
    error = Run({"verify", copy});
    if (error.empty() && code_ != 0) return "a salvaged store is damaged";
    return error;
  }

  std::string Help(uint64_t command) {
    const std::string name(Commands()[command % Commands().size()]->name);
    std::string error = Run({name, "--help"});
    if (error.empty() && code_ != 0) return name + " has no help";
    return error;
  }

  std::string Checkout(uint64_t epoch, bool force) {
    std::vector<std::string> words = {"checkout", DamagedStore::kPath,
                                      std::to_string(epoch), "out"};
    if (force) words.insert(words.begin() + 1, "--force");
    std::string error = Run(words);
    if (!error.empty() || code_ != 0) return error;
    const auto file = disk_.Open("out", FileSystem::Access::kRead);
    if (!file.ok()) return "checkout succeeded, and there is no file";
    Bytes contents((*file)->Info()->bytes);
    if (!(*file)->ReadAt(0, contents).ok()) return "no read";
    if (epoch <= epochs_.size() && committed_.empty()) {
      if (contents != epochs_[epoch - 1]) return "checkout of other bytes";
    }
    for (const Bytes& state : committed_) {
      if (contents == state) return "";
    }
    for (const Bytes& state : epochs_) {
      if (contents == state) return "";
    }
    return "checkout of bytes that were never committed";
  }

  const std::vector<Bytes>& epochs_;
  FaultyFileSystem disk_;
  ManualClock clock_{0, 1'000'000};
  std::vector<Bytes> committed_;
  size_t salvages_ = 0;
  int code_ = 0;
};

}  // namespace

const ProgramKind kMmsbCliProgram = {"MmsbCli", kSetup, kOps,
                                     RunMmsbCliProgram};

std::string RunMmsbCliProgram(const Program& program) {
  DamagedStore store(program.setup[0]);
  size_t i = 0;
  for (; i < program.steps.size(); ++i) {
    const Program::Step& step = program.steps[i];
    if (step.op == Op::kFlip) {
      store.Flip(step.a, step.b, static_cast<uint8_t>(1u << step.b % 8));
    } else if (step.op == Op::kCut) {
      store.Cut(step.a, step.b);
    } else if (step.op == Op::kRemove) {
      store.Remove(step.a);
    } else {
      break;
    }
  }
  Session session(store);
  for (size_t done = 0; i < program.steps.size() && done < kMaxCommands;
       ++i, ++done) {
    std::string error = session.Perform(program.steps[i]);
    if (!error.empty()) return AtStep(i, error);
  }
  return "";
}

}  // namespace mmsb
