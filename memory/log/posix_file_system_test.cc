#include "memory/log/posix_file_system.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "memory/log/file_system.h"
#include "memory/log/testing/file_system_conformance.h"

namespace mmsb {
namespace {

class PosixSubject {
 public:
  PosixSubject() { EXPECT_TRUE(files().CreateDirectory(folder_).ok()); }
  ~PosixSubject() { EXPECT_TRUE(files().Remove(folder_).ok()); }

  FileSystem& files() { return PosixFileSystem(); }
  std::string folder() { return folder_; }

 private:
  const std::string folder_ =
      testing::TempDir() + "posix_" +
      testing::UnitTest::GetInstance()->current_test_info()->name();
};

INSTANTIATE_TYPED_TEST_SUITE_P(Posix, FileSystemConformanceTest, PosixSubject);
INSTANTIATE_TYPED_TEST_SUITE_P(Posix, FileSystemTreeConformanceTest,
                               PosixSubject);

using PosixFileSystemTest = FileSystemConformanceTest<PosixSubject>;

TEST_F(PosixFileSystemTest, PermissionsAreThoseAskedForLessTheMask) {
  const mode_t mask = ::umask(022);
  const auto shared = files().CreateNew(Path("shared"), 0666);
  ASSERT_TRUE(shared.ok()) << shared.status();
  EXPECT_EQ((*shared)->Info()->permissions, 0644u);
  EXPECT_EQ(Make("made", "")->Info()->permissions, 0644u);
  ::umask(mask);
}

TEST_F(PosixFileSystemTest, ANewFileTakesNoLinksName) {
  ASSERT_EQ(::symlink("nowhere", Path("link").c_str()), 0);
  EXPECT_EQ(files().CreateNew(Path("link"), 0600).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(::access(Path("nowhere").c_str(), F_OK), -1);
  ASSERT_EQ(::unlink(Path("link").c_str()), 0);
}

TEST_F(PosixFileSystemTest, OtherKindsOfFiles) {
  EXPECT_EQ(files().Info("/dev/null")->kind, FileKind::kOther);
  const std::unique_ptr<File> full =
      *files().Open("/dev/full", Access::kReadWrite);
  const std::array<std::byte, 4> bytes{};
  EXPECT_EQ(full->WriteAt(0, bytes).code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace mmsb
