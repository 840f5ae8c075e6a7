#include "primitives/os_error.h"

#include <cerrno>
#include <cstring>
#include <string>

#include "gtest/gtest.h"

namespace mmsb {
namespace {

static_assert(OsError().ok());
static_assert(!OsError("mmap", ENOMEM).ok());

TEST(OsErrorTest, SuccessHasNoCodeAndNoOperation) {
  const OsError error;
  EXPECT_EQ(error.code(), 0);
  EXPECT_STREQ(error.operation(), "");
  char text[OsError::kTextBytes];
  EXPECT_STREQ(error.Describe(text, sizeof(text)), "success");
}

TEST(OsErrorTest, DescribesOperationReasonAndNumber) {
  const OsError error("mmap", ENOMEM);
  EXPECT_EQ(error.code(), ENOMEM);
  EXPECT_STREQ(error.operation(), "mmap");
  char text[OsError::kTextBytes];
  EXPECT_STREQ(error.Describe(text, sizeof(text)),
               "mmap: Cannot allocate memory (errno 12)");
}

TEST(OsErrorTest, AnUnknownNumberIsStillTold) {
  char text[OsError::kTextBytes];
  const std::string told = OsError("mmap", 99999).Describe(text, sizeof(text));
  EXPECT_NE(told.find("(errno 99999)"), std::string::npos) << told;
}

TEST(OsErrorTest, CutsToTheBufferAndWritesNotOneByteMore) {
  const std::string whole = "mmap: Cannot allocate memory (errno 12)";
  for (size_t bytes = 1; bytes <= whole.size() + 1; ++bytes) {
    char text[OsError::kTextBytes];
    std::memset(text, '#', sizeof(text));
    OsError("mmap", ENOMEM).Describe(text, bytes);
    EXPECT_EQ(std::string(text), whole.substr(0, bytes - 1));
    EXPECT_EQ(text[bytes], '#');
  }
}

TEST(OsErrorDeathTest, NoRoomAtAllIsRefused) {
  char text[1];
  EXPECT_DEATH(OsError("mmap", ENOMEM).Describe(text, 0), "no room");
}

}  // namespace
}  // namespace mmsb
