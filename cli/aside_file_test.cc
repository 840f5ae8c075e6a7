#include "cli/aside_file.h"

#include <csignal>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "memory/log/file_system.h"
#include "memory/log/posix_file_system.h"

namespace mmsb {
namespace {

class AsideFileTest : public testing::Test {
 protected:
  AsideFileTest() {
    folder_ = testing::TempDir() + "/" +
              testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    path_ = folder_ + "/out";
  }

  absl::StatusOr<AsideFile> Create(std::string_view text) {
    absl::StatusOr<AsideFile> aside =
        AsideFile::Create(PosixFileSystem(), path_, 0600);
    if (!aside.ok()) return aside;
    EXPECT_TRUE(aside->file().WriteAt(0, std::as_bytes(std::span(text))).ok());
    return aside;
  }

  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  size_t FilesInFolder() {
    return static_cast<size_t>(
        std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  std::string folder_;
  std::string path_;
};

TEST_F(AsideFileTest, IsSeenWhenItIsPublished) {
  absl::StatusOr<AsideFile> aside = Create("new");
  ASSERT_TRUE(aside.ok()) << aside.status();
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_EQ(FilesInFolder(), 1u);
  ASSERT_TRUE(aside->Publish(FileSystem::IfExists::kFail).ok());
  EXPECT_EQ(Read(path_), "new");
  EXPECT_EQ(FilesInFolder(), 1u);
}

TEST_F(AsideFileTest, ReplacesOnlyWhenItMay) {
  std::ofstream(path_) << "old";
  {
    absl::StatusOr<AsideFile> aside = Create("new");
    ASSERT_TRUE(aside.ok()) << aside.status();
    EXPECT_TRUE(
        absl::IsAlreadyExists(aside->Publish(FileSystem::IfExists::kFail)));
  }
  EXPECT_EQ(Read(path_), "old");
  EXPECT_EQ(FilesInFolder(), 1u);
  absl::StatusOr<AsideFile> aside = Create("new");
  ASSERT_TRUE(aside.ok()) << aside.status();
  ASSERT_TRUE(aside->Publish(FileSystem::IfExists::kReplace).ok());
  EXPECT_EQ(Read(path_), "new");
  EXPECT_EQ(FilesInFolder(), 1u);
}

TEST_F(AsideFileTest, LeavesNothingWhenItIsNotPublished) {
  {
    ASSERT_TRUE(Create("new").ok());
  }
  EXPECT_EQ(FilesInFolder(), 0u);
}

TEST_F(AsideFileTest, AMovedOneIsStillThere) {
  absl::StatusOr<AsideFile> first = Create("new");
  ASSERT_TRUE(first.ok()) << first.status();
  AsideFile second = *std::move(first);
  first = absl::UnknownError("");
  ASSERT_TRUE(second.Publish(FileSystem::IfExists::kFail).ok());
  EXPECT_EQ(Read(path_), "new");
}

TEST_F(AsideFileTest, ALongNameIsCutForTheFileAside) {
  path_ = folder_ + "/" + std::string(255, 'n');
  absl::StatusOr<AsideFile> aside = Create("new");
  ASSERT_TRUE(aside.ok()) << aside.status();
  ASSERT_TRUE(aside->Publish(FileSystem::IfExists::kFail).ok());
  EXPECT_EQ(Read(path_), "new");
}

TEST_F(AsideFileTest, AFolderThatIsNotThereIsAnError) {
  path_ = folder_ + "/none/out";
  EXPECT_TRUE(absl::IsNotFound(Create("new").status()));
}

using AsideFileDeathTest = AsideFileTest;

TEST_F(AsideFileDeathTest, ASignalRemovesItAndEndsTheProcess) {
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
    EXPECT_EXIT(
        {
          absl::StatusOr<AsideFile> aside = Create("new");
          if (aside.ok() && FilesInFolder() == 1) std::raise(signal);
        },
        testing::KilledBySignal(signal), "");
    EXPECT_EQ(FilesInFolder(), 0u);
  }
}

TEST_F(AsideFileDeathTest, AnIgnoredSignalStaysIgnored) {
  EXPECT_EXIT(
      {
        std::signal(SIGHUP, SIG_IGN);
        absl::StatusOr<AsideFile> aside = Create("new");
        std::raise(SIGHUP);
        const bool done =
            aside.ok() && aside->Publish(FileSystem::IfExists::kFail).ok();
        std::_Exit(done ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  EXPECT_EQ(Read(path_), "new");
}

TEST_F(AsideFileDeathTest, TwoAtOnceEndTheProcess) {
  absl::StatusOr<AsideFile> first = Create("first");
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_DEATH(AsideFile::Create(PosixFileSystem(), path_, 0600).IgnoreError(),
               "two files are written aside at once");
}

}  // namespace
}  // namespace mmsb
