#include "allocator/testing/block_ledger.h"

#include <vector>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

TEST(BlockLedgerTest, AcceptsNeighbours) {
  alignas(8) char memory[24];
  BlockLedger ledger;
  EXPECT_EQ(ledger.Add(memory + 8, 8, 8), "");
  EXPECT_EQ(ledger.Add(memory, 8, 8), "");
  EXPECT_EQ(ledger.Add(memory + 16, 0, 8), "");
  EXPECT_EQ(ledger.Check(), "");
  EXPECT_EQ(ledger.bytes(), 16u);
  EXPECT_EQ(ledger.Remove(memory), "");
  EXPECT_EQ(ledger.bytes(), 8u);
  EXPECT_EQ(ledger.blocks().size(), 2u);
}

TEST(BlockLedgerTest, RefusesOverlapFromEitherSide) {
  alignas(8) char memory[24];
  BlockLedger ledger;
  ASSERT_EQ(ledger.Add(memory + 8, 8, 1), "");
  EXPECT_NE(ledger.Add(memory + 8, 8, 1).find("overlaps"), std::string::npos);
  EXPECT_NE(ledger.Add(memory + 1, 8, 1).find("overlaps"), std::string::npos);
  EXPECT_NE(ledger.Add(memory + 15, 8, 1).find("overlaps"), std::string::npos);
  EXPECT_NE(ledger.Add(memory + 8, 0, 1).find("overlaps"), std::string::npos);
}

TEST(BlockLedgerTest, RefusesNullAndMisalignment) {
  alignas(8) char memory[24];
  BlockLedger ledger;
  EXPECT_NE(ledger.Add(nullptr, 1, 1), "");
  EXPECT_NE(ledger.Add(memory + 4, 1, 8).find("multiple"), std::string::npos);
}

TEST(BlockLedgerTest, SeesAnOverwrittenByteAnywhere) {
  std::vector<char> memory(100);
  for (size_t i = 0; i < memory.size(); ++i) {
    BlockLedger ledger;
    ASSERT_EQ(ledger.Add(memory.data(), memory.size(), 1), "");
    memory[i] ^= 1;
    EXPECT_NE(ledger.Check(), "");
    EXPECT_NE(ledger.Remove(memory.data()).find("overwritten"),
              std::string::npos);
  }
}

TEST(BlockLedgerTest, SeesDamageAtBothEndsOfALargeBlock) {
  std::vector<char> memory(1 << 20);
  BlockLedger ledger;
  ASSERT_EQ(ledger.Add(memory.data(), memory.size(), 1), "");
  EXPECT_EQ(ledger.Check(), "");
  memory.back() ^= 1;
  EXPECT_NE(ledger.Check(), "");
}

TEST(BlockLedgerTest, KnowsWhatIsNotLive) {
  char memory[8];
  BlockLedger ledger;
  ASSERT_EQ(ledger.Add(memory, 8, 1), "");
  EXPECT_NE(ledger.Remove(memory + 1), "");
  EXPECT_EQ(ledger.Remove(memory), "");
  EXPECT_NE(ledger.Remove(memory), "");
  ASSERT_EQ(ledger.Add(memory, 8, 1), "");
  ledger.Drop(memory);
  EXPECT_EQ(ledger.bytes(), 0u);
  EXPECT_TRUE(ledger.blocks().empty());
}

}  // namespace
}  // namespace mmsb
