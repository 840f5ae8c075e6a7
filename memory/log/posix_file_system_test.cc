#include "memory/log/posix_file_system.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "memory/log/file_system.h"

namespace mmsb {
namespace {

using Access = FileSystem::Access;
using IfExists = FileSystem::IfExists;

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

class PosixFileSystemTest : public testing::Test {
 protected:
  PosixFileSystemTest() {
    const testing::TestInfo& test =
        *testing::UnitTest::GetInstance()->current_test_info();
    directory_ = testing::TempDir() + "posix_" + test.name();
    EXPECT_TRUE(files_.CreateDirectory(directory_).ok());
  }

  ~PosixFileSystemTest() override {
    const absl::StatusOr<std::vector<std::string>> names =
        files_.List(directory_);
    EXPECT_TRUE(names.ok()) << names.status();
    for (const std::string& name : *names) {
      EXPECT_TRUE(files_.Remove(Path(name)).ok());
    }
    EXPECT_TRUE(files_.Remove(directory_).ok());
  }

  std::string Path(const std::string& name) const {
    return directory_ + "/" + name;
  }

  std::unique_ptr<File> Make(const std::string& name, std::string_view text) {
    absl::StatusOr<std::unique_ptr<File>> file =
        files_.Open(Path(name), Access::kCreate);
    EXPECT_TRUE(file.ok()) << file.status();
    EXPECT_TRUE((*file)->WriteAt(0, Bytes(text)).ok());
    return *std::move(file);
  }

  std::string Contents(const std::string& name) {
    absl::StatusOr<std::unique_ptr<File>> file =
        files_.Open(Path(name), Access::kRead);
    if (!file.ok()) return std::string(file.status().message());
    std::string text(100, '?');
    const absl::StatusOr<size_t> read =
        (*file)->ReadAt(0, std::as_writable_bytes(std::span(text)));
    EXPECT_TRUE(read.ok());
    text.resize(*read);
    return text;
  }

  FileSystem& files_ = PosixFileSystem();
  std::string directory_;
};

TEST_F(PosixFileSystemTest, WhatIsWrittenIsRead) {
  const std::unique_ptr<File> file = Make("a", "hello");
  EXPECT_EQ(Contents("a"), "hello");
  ASSERT_TRUE(file->WriteAt(7, Bytes("x")).ok());
  EXPECT_EQ(Contents("a"), std::string("hello\0\0x", 8));
  ASSERT_TRUE(file->Truncate(2).ok());
  EXPECT_EQ(Contents("a"), "he");
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_TRUE(files_.SyncDirectory(directory_).ok());
  std::array<std::byte, 4> out{};
  EXPECT_EQ(*file->ReadAt(2, out), 0u) << "at the end";
  EXPECT_EQ(*file->ReadAt(100, out), 0u) << "past the end";
}

TEST_F(PosixFileSystemTest, InfoTellsKindSizeAndIdentity) {
  Make("a", "hello");
  const FileInfo a = *files_.Info(Path("a"));
  EXPECT_EQ(a.kind, FileKind::kRegular);
  EXPECT_EQ(a.bytes, 5u);
  EXPECT_GT(a.modified_ns, 0);
  EXPECT_EQ(*files_.Info(Path("a")), a);
  EXPECT_EQ(files_.Info(directory_)->kind, FileKind::kDirectory);
  EXPECT_EQ(files_.Info("/dev/null")->kind, FileKind::kOther);
  Make("b", "hello");
  EXPECT_NE(files_.Info(Path("b"))->identity, a.identity);
}

TEST_F(PosixFileSystemTest, RenameReplacesOnlyWhenTold) {
  Make("a", "new");
  Make("b", "old");
  EXPECT_EQ(files_.Rename(Path("a"), Path("b"), IfExists::kFail).code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Contents("b"), "old");
  EXPECT_TRUE(files_.Rename(Path("a"), Path("c"), IfExists::kFail).ok());
  EXPECT_EQ(Contents("c"), "new");
  EXPECT_TRUE(files_.Rename(Path("c"), Path("b"), IfExists::kReplace).ok());
  EXPECT_EQ(Contents("b"), "new");
  EXPECT_EQ(*files_.List(directory_), std::vector<std::string>{"b"});
}

TEST_F(PosixFileSystemTest, LockIsExclusiveUntilTheFileIsClosed) {
  std::unique_ptr<File> first = Make("lock", "");
  const std::unique_ptr<File> second = Make("lock", "");
  EXPECT_TRUE(*first->TryLock());
  EXPECT_FALSE(*second->TryLock());
  std::thread closer([&] { first.reset(); });
  EXPECT_TRUE(second->Lock().ok());
  closer.join();
}

TEST_F(PosixFileSystemTest, PermissionsAreThoseAskedForLessTheMask) {
  const mode_t mask = ::umask(022);
  const auto shared = files_.CreateNew(Path("shared"), 0666);
  const auto mine = files_.CreateNew(Path("mine"), 0600);
  ASSERT_TRUE(shared.ok()) << shared.status();
  ASSERT_TRUE(mine.ok()) << mine.status();
  EXPECT_EQ((*shared)->Info()->permissions, 0644u);
  EXPECT_EQ((*mine)->Info()->permissions, 0600u);
  EXPECT_TRUE((*mine)->SetPermissions(0666).ok());
  EXPECT_EQ(files_.Info(Path("mine"))->permissions, 0666u);
  EXPECT_EQ(files_.Info(directory_)->permissions, 0700u);
  ::umask(mask);
}

TEST_F(PosixFileSystemTest, ANewFileTakesNobodysName) {
  ASSERT_EQ(::symlink("nowhere", Path("link").c_str()), 0);
  Make("file", "hello");
  for (const char* name : {"link", "file"}) {
    EXPECT_EQ(files_.CreateNew(Path(name), 0600).status().code(),
              absl::StatusCode::kAlreadyExists);
  }
  EXPECT_EQ(Contents("file"), "hello");
  EXPECT_EQ(::access(Path("nowhere").c_str(), F_OK), -1);
}

TEST_F(PosixFileSystemTest, ErrorsNameTheFileAndTheReason) {
  const std::string missing = Path("missing");
  for (const absl::Status& status :
       {files_.Open(missing, Access::kRead).status(),
        files_.Info(missing).status(), files_.List(missing).status(),
        files_.Remove(missing), files_.SyncDirectory(missing),
        files_.Rename(missing, Path("x"), IfExists::kReplace)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
    EXPECT_NE(status.message().find(missing), std::string_view::npos) << status;
    EXPECT_NE(status.message().find("No such file"), std::string_view::npos)
        << status;
  }
  EXPECT_EQ(files_.CreateDirectory(directory_).code(),
            absl::StatusCode::kAlreadyExists);

  const std::unique_ptr<File> file = Make("a", "hello");
  constexpr uint64_t kFar = std::numeric_limits<uint64_t>::max();
  std::array<std::byte, 4> bytes{};
  EXPECT_FALSE(file->ReadAt(kFar, bytes).ok());
  EXPECT_FALSE(file->WriteAt(kFar - 2, bytes).ok());
  EXPECT_FALSE(file->Truncate(kFar).ok());
  EXPECT_EQ(Contents("a"), "hello");

  const std::unique_ptr<File> read_only =
      *files_.Open(Path("a"), Access::kRead);
  EXPECT_FALSE(read_only->WriteAt(0, bytes).ok());
  const std::unique_ptr<File> full =
      *files_.Open("/dev/full", Access::kReadWrite);
  EXPECT_EQ(full->WriteAt(0, bytes).code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace mmsb
