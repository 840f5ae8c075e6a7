#include "memory/log/file_system.h"

#include "gtest/gtest.h"

namespace mmsb {
namespace {

TEST(FileSystemTest, ParentPath) {
  EXPECT_EQ(ParentPath("a"), ".");
  EXPECT_EQ(ParentPath("a/"), ".");
  EXPECT_EQ(ParentPath("a/b"), "a");
  EXPECT_EQ(ParentPath("a/b//"), "a");
  EXPECT_EQ(ParentPath("/a"), "/");
  EXPECT_EQ(ParentPath("/"), "/");
  EXPECT_EQ(ParentPath(""), ".");
}

}  // namespace
}  // namespace mmsb
