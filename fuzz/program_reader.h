#ifndef MMSB_FUZZ_PROGRAM_READER_H_
#define MMSB_FUZZ_PROGRAM_READER_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace mmsb {

// Takes values off the front of a fuzzer's input; what is past its end reads as
// zeros. corpus.py writes what this reads.
//
// Does not own the input. Never fails.
//
//   ProgramReader reader(input);
//   while (!reader.done()) Perform(reader.Byte() % kOps, reader.Size());
class ProgramReader {
 public:
  explicit ProgramReader(std::span<const uint8_t> input) : rest_(input) {}

  [[nodiscard]] bool done() const { return rest_.empty(); }
  [[nodiscard]] std::span<const uint8_t> rest() const { return rest_; }

  uint8_t Byte() {
    if (rest_.empty()) return 0;
    const uint8_t byte = rest_.front();
    rest_ = rest_.subspan(1);
    return byte;
  }

  // A number of any magnitude, most often one where things go wrong: a first
  // byte below 192 is the number; above, its low six bits name a power of two,
  // to which a second byte adds -128 to 127. So 2^0 has the numbers just below
  // 2^64 beside it.
  uint64_t Size() {
    const uint8_t byte = Byte();
    if (byte < kFirstPower) return byte;
    return (uint64_t{1} << (byte - kFirstPower)) +
           static_cast<uint64_t>(static_cast<int8_t>(Byte()));
  }

  // One byte: a power of two from 1 to 32768 below 192, and most often none
  // above. The last is 2^63.
  uint64_t Alignment() {
    const uint8_t byte = Byte();
    if (byte < kFirstPower) return uint64_t{1} << (byte % 16);
    if (byte == 0xFF) return uint64_t{1} << 63;
    return uint64_t{byte - kFirstPower} * 3;
  }

 private:
  static constexpr unsigned kFirstPower = 192;

  std::span<const uint8_t> rest_;
};

}  // namespace mmsb

#endif  // MMSB_FUZZ_PROGRAM_READER_H_
