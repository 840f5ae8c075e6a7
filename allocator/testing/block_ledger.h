#ifndef MMSB_ALLOCATOR_TESTING_BLOCK_LEDGER_H_
#define MMSB_ALLOCATOR_TESTING_BLOCK_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace mmsb {

// The model of an allocator: which intervals of addresses are live, and what
// was written to them.
//
// Every block added is filled with bytes of its own, so that two blocks that
// share an address, or an allocator that writes to a live block, are seen when
// the block is looked at again. Owns no block. Not thread-safe. Each call
// returns what is wrong, or an empty string.
//
//   BlockLedger ledger;
//   EXPECT_EQ(ledger.Add(p, 100, 8), "");
//   EXPECT_EQ(ledger.Remove(p), "");  // just before Deallocate(p, 100, 8)
class BlockLedger {
 public:
  struct Block {
    size_t bytes;
    size_t alignment;
    uint64_t seed;  // of its contents
  };
  using Blocks = std::map<uintptr_t, Block>;

  // Takes note of a block as Allocate(bytes, alignment) returned it, and fills
  // it. A block of 0 bytes counts as 1 byte that may not be written.
  [[nodiscard]] std::string Add(void* p, size_t bytes, size_t alignment);

  // Looks at the contents and forgets the block.
  [[nodiscard]] std::string Remove(void* p);

  // Forgets a block that is already gone, contents unseen.
  void Drop(void* p);

  // Looks at the contents of every block.
  [[nodiscard]] std::string Check() const;

  [[nodiscard]] const Blocks& blocks() const { return blocks_; }

  // Sum of the sizes asked for, bytes.
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  Blocks blocks_;
  size_t bytes_ = 0;
  uint64_t next_seed_ = 1;
};

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_TESTING_BLOCK_LEDGER_H_
