#include "fuzz/memory_pool_program.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <ostream>
#include <span>
#include <sstream>
#include <string>

#include "allocator/memory_pool.h"
#include "allocator/testing/failing_upstream.h"

namespace mmsb {
namespace {

using Step = MemoryPoolProgram::Step;

constexpr size_t kHeaderBytes = 8;

constexpr std::array<const char*, 8> kStepNames = {
    "kAllocate",         "kAllocateSized",   "kAllocateAtLeast",
    "kDeallocate",       "kDeallocateSized", "kDeallocateNewest",
    "kDeallocateOldest", "kDeallocateNull"};

Step DecodeStep(uint8_t op, uint8_t arg) {
  const auto kind = static_cast<Step::Kind>(op % kStepNames.size());
  const size_t high = op / kStepNames.size();  // 0 to 31
  switch (kind) {
    case Step::kAllocateSized:
    case Step::kAllocateAtLeast:
      // The rarer alignments are no powers of two.
      return {kind, arg, high < 16 ? size_t{1} << high : high * 3};
    case Step::kAllocate:
    case Step::kDeallocateNewest:
    case Step::kDeallocateOldest:
      return {kind, size_t{arg % 32u} + 1};
    default:
      return {kind, arg};
  }
}

// Field by field, those that are not the default.
template <class T>
void PrintField(std::ostream& out, const char* name, T value, T usual) {
  if (value == usual) return;
  out << "." << name << " = ";
  if (value == std::numeric_limits<T>::max()) {
    out << "SIZE_MAX";
  } else {
    out << value;
  }
  out << ", ";
}

}  // namespace

MemoryPoolProgram MemoryPoolProgram::Decode(std::span<const uint8_t> input) {
  std::array<uint8_t, kHeaderBytes> header = {};
  for (size_t i = 0; i < header.size() && i < input.size(); ++i) {
    header[i] = input[i];
  }
  const auto [flags, size, alignment, per_chunk, max_low, max_high, fail,
              room] = header;
  MemoryPoolProgram program;
  program.in_region = (flags & 1) != 0;
  program.checked = (flags & 2) != 0;
  program.options.block_size = size_t{size} + 1;
  program.options.alignment =
      alignment == 0 ? 0 : size_t{1} << (alignment - 1) % 10;
  program.options.blocks_per_chunk = per_chunk % 33;
  const size_t max_blocks = max_low | size_t{max_high} << 8;
  if (max_blocks != 0xFFFF) program.options.max_blocks = max_blocks;
  if (program.in_region) {
    program.region_bytes = size_t{room} * 67;
    program.region_offset = flags >> 2;
  } else {
    if (fail != 0) {
      ((flags & 4) != 0 ? program.upstream.fail_from
                        : program.upstream.fail_at) = fail;
    }
    if (room != 0) program.upstream.max_bytes = size_t{room} * 512;
  }
  for (size_t i = kHeaderBytes; i + 1 < input.size(); i += 2) {
    program.steps.push_back(DecodeStep(input[i], input[i + 1]));
  }
  return program;
}

std::string MemoryPoolProgram::Print() const {
  constexpr MemoryPoolOptions kUsual;
  const FailingUpstream::Options usual_upstream;
  std::ostringstream out;
  out << "TEST(MemoryPoolRegressionTest, NAME_IT) {\n"
         "  using Step = MemoryPoolProgram::Step;\n"
         "  EXPECT_EQ(RunMemoryPoolProgram({\n      .options = {";
  PrintField(out, "block_size", options.block_size, kUsual.block_size);
  PrintField(out, "alignment", options.alignment, kUsual.alignment);
  PrintField(out, "blocks_per_chunk", options.blocks_per_chunk,
             kUsual.blocks_per_chunk);
  PrintField(out, "max_blocks", options.max_blocks, kUsual.max_blocks);
  out << "},\n      .checked = " << (checked ? "true" : "false") << ",\n";
  if (in_region) {
    out << "      .in_region = true,\n      .region_bytes = " << region_bytes
        << ",\n      .region_offset = " << region_offset << ",\n";
  } else {
    out << "      .upstream = {";
    PrintField(out, "fail_at", upstream.fail_at, usual_upstream.fail_at);
    PrintField(out, "fail_from", upstream.fail_from, usual_upstream.fail_from);
    PrintField(out, "max_bytes", upstream.max_bytes, usual_upstream.max_bytes);
    out << "},\n";
  }
  out << "      .steps = {";
  for (const Step& step : steps) {
    out << "\n          {Step::" << kStepNames[step.kind] << ", " << step.a
        << ", " << step.b << "},";
  }
  out << "\n      }}), \"\");\n}\n";
  return out.str();
}

}  // namespace mmsb
