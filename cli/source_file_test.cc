#include "cli/source_file.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "memory/log/posix_file_system.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

class SourceFileTest : public testing::Test {
 protected:
  SourceFileTest() {
    path_ = testing::TempDir() + "/" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(path_);
    Write("before");
  }

  void Write(std::string_view text) { std::ofstream(path_) << text; }

  absl::StatusOr<SourceFile> Open(const std::string& path) {
    return SourceFile::Open(PosixFileSystem(), Clock::System(), path);
  }

  std::string path_;
};

TEST_F(SourceFileTest, AnUntouchedFileIsUnchanged) {
  absl::StatusOr<SourceFile> file = Open(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->bytes(), 6u);
  std::array<std::byte, 3> bytes;
  ASSERT_TRUE(file->Read(2, bytes).ok());
  EXPECT_EQ(bytes[0], std::byte{'f'});
  EXPECT_TRUE(file->CheckUnchanged().ok());
}

// The file is as new as can be: without the wait in Open, both writes would
// have one time stamp.
TEST_F(SourceFileTest, AWriteOfTheSameSizeIsSeen) {
  absl::StatusOr<SourceFile> file = Open(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  std::fstream(path_, std::ios::in | std::ios::out) << "B";
  const absl::Status status = file->CheckUnchanged();
  EXPECT_TRUE(absl::IsAborted(status));
  EXPECT_EQ(status.message(), "'" + path_ + "' changed while it was read");
}

// Somebody who writes while Open waits for the file's time stamp to grow old,
// as it does when the time is before that of the file.
class WritingClock final : public Clock {
 public:
  explicit WritingClock(std::string path) : path_(std::move(path)) {}

  int64_t Now() const override { return System().Now(); }
  int64_t WallTime() const override {
    std::ofstream(path_, std::ios::app) << "more";
    return 0;
  }

 private:
  const std::string path_;
};

TEST_F(SourceFileTest, AFileThatIsBeingWrittenToIsRefused) {
  WritingClock clock(path_);
  const absl::Status status =
      SourceFile::Open(PosixFileSystem(), clock, path_).status();
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  EXPECT_EQ(status.message(), "'" + path_ + "' is being written to");
}

TEST_F(SourceFileTest, ATimeStampThatIsPutBackIsSeen) {
  absl::StatusOr<SourceFile> file = Open(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  const auto time = std::filesystem::last_write_time(path_);
  std::fstream(path_, std::ios::in | std::ios::out) << "B";
  std::filesystem::last_write_time(path_, time);
  EXPECT_TRUE(absl::IsAborted(file->CheckUnchanged()));
}

TEST_F(SourceFileTest, AFileThatShrinksIsSeenByRead) {
  absl::StatusOr<SourceFile> file = Open(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  std::filesystem::resize_file(path_, 2);
  std::array<std::byte, 3> bytes;
  EXPECT_TRUE(absl::IsAborted(file->Read(0, bytes)));
  EXPECT_TRUE(absl::IsAborted(file->CheckUnchanged()));
}

TEST_F(SourceFileTest, ARemovedFileIsSeen) {
  absl::StatusOr<SourceFile> file = Open(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  // A second name keeps the number of the file from being used again.
  std::filesystem::rename(path_, path_ + ".old");
  const absl::Status status = file->CheckUnchanged();
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  Write("before");
  EXPECT_TRUE(absl::IsAborted(file->CheckUnchanged()));
  std::filesystem::remove(path_ + ".old");
}

TEST_F(SourceFileTest, WhatIsNoRegularFileIsRefused) {
  const std::string folder = testing::TempDir();
  for (const absl::Status& status :
       {Open(folder).status(), SourceFile::Check(PosixFileSystem(), folder)}) {
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_EQ(status.message(), "'" + folder + "' is a directory");
  }
  const absl::Status device = Open("/dev/zero").status();
  EXPECT_TRUE(absl::IsInvalidArgument(device));
  EXPECT_EQ(device.message(), "'/dev/zero' is not a regular file");
  EXPECT_TRUE(absl::IsNotFound(Open(path_ + ".none").status()));
}

}  // namespace
}  // namespace mmsb
