#include "cli/table.h"

#include "gtest/gtest.h"

namespace mmsb {
namespace {

TEST(TableTest, ColumnsAreAsWideAsTheirWidestCell) {
  Table table({"EPOCH", "SIZE", "MESSAGE"});
  table.Add({"10", "1.0 KiB", "first"});
  table.Add({"9", "1 byte", ""});
  table.Add({"1234567"});
  EXPECT_EQ(table.Text(),
            "EPOCH    SIZE     MESSAGE\n"
            "10       1.0 KiB  first\n"
            "9        1 byte\n"
            "1234567\n");
}

TEST(TableTest, AnEmptyLineStaysALine) {
  Table table({"A"});
  table.Add({});
  table.Add({"b"});
  EXPECT_EQ(table.Text(), "A\n\nb\n");
}

}  // namespace
}  // namespace mmsb
