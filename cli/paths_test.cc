#include "cli/paths.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

class CheckOutsideStoreTest : public testing::Test {
 protected:
  CheckOutsideStoreTest() {
    folder_ = testing::TempDir() + "/outside";
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ + "/store");
    std::filesystem::create_directory_symlink("store", folder_ + "/link");
    std::ofstream(folder_ + "/store/log") << "x";
    std::filesystem::create_symlink("store/log", folder_ + "/to_log");
  }

  absl::Status Check(const std::string& path, const std::string& store) {
    return CheckOutsideStore(folder_ + "/" + path, folder_ + "/" + store);
  }

  std::string folder_;
};

TEST_F(CheckOutsideStoreTest, WhatIsBesideIsOutside) {
  EXPECT_TRUE(Check("file", "store").ok());
  EXPECT_TRUE(Check("store2", "store").ok());
  EXPECT_TRUE(Check("store/../file", "store").ok());
  EXPECT_TRUE(Check("file", "none").ok());
}

TEST_F(CheckOutsideStoreTest, TheStoreAndItsFilesAreNot) {
  EXPECT_EQ(Check("store", "store").message(),
            "'" + folder_ + "/store' is the store itself");
  EXPECT_EQ(
      Check("store/log", "store").message(),
      "'" + folder_ + "/store/log' lies in the store '" + folder_ + "/store'");
  for (const std::string path : {"store/", "store/none", "link", "link/log",
                                 "to_log", "store/../store/log"}) {
    for (const std::string store : {"store", "store/", "link"}) {
      EXPECT_TRUE(absl::IsInvalidArgument(Check(path, store)))
          << path << " " << store;
    }
  }
}

TEST_F(CheckOutsideStoreTest, RelativeAndAbsoluteNamesMeet) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_);
  EXPECT_TRUE(
      absl::IsInvalidArgument(CheckOutsideStore("new/file", folder_ + "/new")));
  EXPECT_TRUE(absl::IsInvalidArgument(
      CheckOutsideStore(folder_ + "/store/log", "store")));
  EXPECT_TRUE(CheckOutsideStore("file", "store").ok());
  std::filesystem::current_path(before);
}

}  // namespace
}  // namespace mmsb
