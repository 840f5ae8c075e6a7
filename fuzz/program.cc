#include "fuzz/program.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <ostream>
#include <span>
#include <sstream>
#include <string>

#include "fuzz/program_reader.h"

namespace mmsb {
namespace {

uint64_t Read(ProgramReader& reader, ProgramArg arg) {
  switch (arg) {
    case ProgramArg::kNone:
      return 0;
    case ProgramArg::kByte:
      return reader.Byte();
    case ProgramArg::kSize:
      return reader.Size();
    case ProgramArg::kAlignment:
      return reader.Alignment();
  }
  return 0;
}

void PrintNumber(std::ostream& out, uint64_t number) {
  out << number << (number >> 63 != 0 ? "u" : "");
}

}  // namespace

Program DecodeProgram(const ProgramKind& kind, std::span<const uint8_t> input) {
  ProgramReader reader(input);
  Program program;
  program.setup.reserve(kind.setup.size());
  for (const ProgramKind::Value& value : kind.setup) {
    program.setup.push_back(Read(reader, value.arg));
  }
  while (!reader.done() && program.steps.size() < kMaxProgramSteps) {
    const auto op = static_cast<uint8_t>(reader.Byte() % kind.ops.size());
    const uint64_t a = Read(reader, kind.ops[op].a);
    program.steps.push_back({op, a, Read(reader, kind.ops[op].b)});
  }
  return program;
}

std::string PrintProgram(const ProgramKind& kind, const Program& program) {
  std::ostringstream out;
  out << "TEST(" << kind.name << "RegressionTest, NAME_IT) {\n"
      << "  using Op = " << kind.name << "Op;\n"
      << "  EXPECT_EQ(Run" << kind.name << "Program({\n      .setup = {";
  for (size_t i = 0; i < program.setup.size(); ++i) {
    out << (i == 0 ? "" : ", ") << "/*" << kind.setup[i].name << "=*/";
    PrintNumber(out, program.setup[i]);
  }
  out << "},\n      .steps = {";
  for (const Program::Step& step : program.steps) {
    const ProgramKind::Op& op = kind.ops[step.op];
    out << "\n          {Op::" << op.name;
    if (op.a != ProgramArg::kNone) {
      out << ", ";
      PrintNumber(out, step.a);
    }
    if (op.b != ProgramArg::kNone) {
      out << ", ";
      PrintNumber(out, step.b);
    }
    out << "},";
  }
  out << "\n      }}), \"\");\n}\n";
  return out.str();
}

int FuzzProgram(const ProgramKind& kind, std::span<const uint8_t> input) {
  const Program program = DecodeProgram(kind, input);
  static const bool print = std::getenv("MMSB_FUZZ_PRINT") != nullptr;
  if (print) std::cerr << PrintProgram(kind, program);
  const std::string error = kind.run(program);
  if (!error.empty()) {
    std::cerr << error << "\n\n" << PrintProgram(kind, program);
    std::abort();
  }
  return 0;
}

std::string AtStep(size_t step, const std::string& error) {
  return error.empty() ? "" : "step " + std::to_string(step) + ": " + error;
}

}  // namespace mmsb
