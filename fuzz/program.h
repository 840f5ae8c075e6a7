#ifndef MMSB_FUZZ_PROGRAM_H_
#define MMSB_FUZZ_PROGRAM_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mmsb {

// A run of a structure: how it is made, and what is done with it. What the
// numbers mean is said by the kind of the program.
struct Program {
  struct Step {
    uint8_t op;
    uint64_t a = 0;
    uint64_t b = 0;
  };

  std::vector<uint64_t> setup = {};  // one number for each name of the kind
  std::vector<Step> steps = {};
};

// How a number is read from the input (program_reader.h).
enum class ProgramArg : uint8_t { kNone, kByte, kSize, kAlignment };

// The programs of one structure: every input of bytes decodes to one, and every
// one can be run and printed as C++, so that what a fuzzer found becomes a test
// with a name. corpus.py reads the tables of setup and operations out of the
// sources, and writes inputs by name.
struct ProgramKind {
  struct Value {
    const char* name;
    ProgramArg arg;
  };
  struct Op {
    const char* name;  // of the enumerator
    ProgramArg a = ProgramArg::kNone;
    ProgramArg b = ProgramArg::kNone;
  };

  const char* name;  // "Arena": RunArenaProgram runs it, ArenaOp has its ops
  std::span<const Value> setup;
  std::span<const Op> ops;
  // Performs the program on the structure and on a model, and compares. Returns
  // what is wrong, naming the step, or an empty string.
  std::string (*run)(const Program& program);
};

// The most steps of one program; what is left of the input is ignored.
inline constexpr size_t kMaxProgramSteps = 2048;

Program DecodeProgram(const ProgramKind& kind, std::span<const uint8_t> input);

// A test case that pastes into program_regression_test.cc.
std::string PrintProgram(const ProgramKind& kind, const Program& program);

// The body of a fuzz target: runs the program that `input` is, and ends the
// process when something is wrong, after it printed the program. With
// MMSB_FUZZ_PRINT in the environment every program is printed before its run,
// for those that end in a sanitizer's report.
int FuzzProgram(const ProgramKind& kind, std::span<const uint8_t> input);

// "step 3: " before what is wrong there; nothing stays nothing.
std::string AtStep(size_t step, const std::string& error);

}  // namespace mmsb

#endif  // MMSB_FUZZ_PROGRAM_H_
