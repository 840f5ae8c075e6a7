#include "memory/log/memory_file_system.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "memory/log/file_system.h"
#include "memory/log/testing/file_system_conformance.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

using Access = FileSystem::Access;
using IfExists = FileSystem::IfExists;

constexpr size_t kBlock = MemoryFileSystem::kBlockBytes;
constexpr size_t kEntry = MemoryFileSystem::kEntryBytes;

// In the root and, as the working directory, ".".
struct RootSubject {
  FileSystem& files() { return memory; }
  std::string folder() { return "."; }

  MemoryFileSystem memory;
};

struct FolderSubject {
  FolderSubject() { EXPECT_TRUE(memory.CreateDirectory("/folder").ok()); }
  FileSystem& files() { return memory; }
  std::string folder() { return "/folder"; }

  MemoryFileSystem memory;
};

INSTANTIATE_TYPED_TEST_SUITE_P(MemoryRoot, FileSystemConformanceTest,
                               RootSubject);
INSTANTIATE_TYPED_TEST_SUITE_P(MemoryRoot, FileSystemTreeConformanceTest,
                               RootSubject);
INSTANTIATE_TYPED_TEST_SUITE_P(MemoryFolder, FileSystemConformanceTest,
                               FolderSubject);
INSTANTIATE_TYPED_TEST_SUITE_P(MemoryFolder, FileSystemTreeConformanceTest,
                               FolderSubject);

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::unique_ptr<File> Make(FileSystem& files, const std::string& path,
                           std::string_view text) {
  absl::StatusOr<std::unique_ptr<File>> file =
      files.Open(path, Access::kCreate);
  EXPECT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE((*file)->WriteAt(0, Bytes(text)).ok());
  return *std::move(file);
}

TEST(MemoryFileSystemTest, TheRootIsTheWorkingDirectory) {
  MemoryFileSystem files;
  Make(files, "a", "hello");
  for (const char* path : {"/a", "./a", "//a", "/../a", "../../a"}) {
    EXPECT_EQ(files.Info(path)->identity, files.Info("a")->identity) << path;
  }
  for (const char* path : {"/", ".", "..", "//", "./.."}) {
    EXPECT_EQ(*files.List(path), std::vector<std::string>{"a"}) << path;
    EXPECT_FALSE(files.Remove(path).ok()) << path;
    EXPECT_FALSE(files.Rename(path, "b", IfExists::kReplace).ok()) << path;
    EXPECT_FALSE(files.Rename("a", path, IfExists::kReplace).ok()) << path;
    EXPECT_EQ(files.CreateDirectory(path).code(),
              absl::StatusCode::kAlreadyExists)
        << path;
  }
  EXPECT_EQ(files.Info(std::string("a\0b", 3)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(MemoryFileSystemTest, TheMaskTakesPermissionsAway) {
  MemoryFileSystem files({.permission_mask = 027});
  EXPECT_EQ((*files.CreateNew("a", 0666))->Info()->permissions, 0640u);
  EXPECT_EQ(Make(files, "b", "")->Info()->permissions, 0640u);
}

TEST(MemoryFileSystemTest, EveryChangeShowsThoughTheClockStands) {
  ManualClock clock(0, 1000);
  MemoryFileSystem files({.clock = clock});
  const std::unique_ptr<File> file = Make(files, "a", "hello");
  FileInfo before = *file->Info();
  EXPECT_GE(before.modified_ns, 1000);
  const auto changed = [&] {
    const FileInfo now = *file->Info();
    const bool is_other = now != before;
    before = now;
    return is_other;
  };
  EXPECT_FALSE(changed());
  EXPECT_TRUE(file->WriteAt(0, Bytes("hello")).ok());
  EXPECT_TRUE(changed());
  EXPECT_TRUE(file->SetPermissions(before.permissions).ok());
  EXPECT_TRUE(changed());
  EXPECT_TRUE(file->Truncate(5).ok());
  EXPECT_TRUE(changed());
  clock.SetWallTime(std::numeric_limits<int64_t>::max());
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(file->Truncate(5).ok());
  EXPECT_EQ(file->Info()->modified_ns, std::numeric_limits<int64_t>::max());

  const FileInfo folder = *files.Info(".");
  Make(files, "b", "");
  EXPECT_NE(*files.Info("."), folder);
}

TEST(MemoryFileSystemTest, CountsWhatItHolds) {
  MemoryFileSystem files;
  EXPECT_EQ(files.used_bytes(), 0u);
  std::unique_ptr<File> file = Make(files, "a", "");
  EXPECT_EQ(files.used_bytes(), kEntry);
  ASSERT_TRUE(file->Truncate(uint64_t{1} << 62).ok());
  EXPECT_EQ(files.used_bytes(), kEntry) << "nothing was written";
  ASSERT_TRUE(file->WriteAt((uint64_t{1} << 61) - 1, Bytes("xy")).ok());
  EXPECT_EQ(files.used_bytes(), kEntry + 2 * kBlock);
  ASSERT_TRUE(file->Truncate(uint64_t{1} << 61).ok());
  EXPECT_EQ(files.used_bytes(), kEntry + kBlock);
  ASSERT_TRUE(file->Truncate(0).ok());
  EXPECT_EQ(files.used_bytes(), kEntry);

  ASSERT_TRUE(file->WriteAt(0, Bytes("x")).ok());
  ASSERT_TRUE(files.CreateDirectory("d").ok());
  EXPECT_EQ(files.used_bytes(), 2 * kEntry + kBlock);
  ASSERT_TRUE(files.Remove("a").ok());
  EXPECT_EQ(files.used_bytes(), 2 * kEntry + kBlock) << "it is open";
  file = nullptr;
  EXPECT_EQ(files.used_bytes(), kEntry);
  Make(files, "a", "x");
  Make(files, "b", "x");
  ASSERT_TRUE(files.Rename("a", "b", IfExists::kReplace).ok());
  EXPECT_EQ(files.used_bytes(), 2 * kEntry + kBlock);
}

TEST(MemoryFileSystemTest, MoreThanTheLimitFindsNoRoom) {
  MemoryFileSystem files({.max_bytes = 2 * kEntry + 3 * kBlock});
  const std::unique_ptr<File> file = Make(files, "a", "");
  const std::string text(4 * kBlock, 'x');
  const absl::Status full = file->WriteAt(0, Bytes(text));
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(full.message().find("cannot write 'a'"), std::string_view::npos);
  EXPECT_EQ(file->Info()->bytes, 3 * kBlock) << "what there was room for";
  // What has its block is written.
  EXPECT_TRUE(file->WriteAt(kBlock, Bytes("again")).ok());

  ASSERT_TRUE(files.CreateDirectory("d").ok());
  using Code = absl::StatusCode;
  EXPECT_EQ(files.CreateDirectory("e").code(), Code::kResourceExhausted);
  EXPECT_EQ(files.CreateNew("f", 0600).status().code(),
            Code::kResourceExhausted);
  EXPECT_EQ(files.Open("f", Access::kCreate).status().code(),
            Code::kResourceExhausted);
  EXPECT_EQ(*files.List("."), (std::vector<std::string>{"a", "d"}));

  EXPECT_TRUE(files.Remove("d").ok());
  ASSERT_TRUE(file->Truncate(kBlock).ok());
  Make(files, "b", "x");
  EXPECT_EQ(files.used_bytes(), 2 * kEntry + 2 * kBlock);
}

TEST(MemoryFileSystemTest, ATreeMayBeDeeperThanAStack) {
  constexpr int kDepth = 60'000;
  MemoryFileSystem files;
  ASSERT_TRUE(files.CreateDirectory("chain").ok());
  for (int i = 1; i < kDepth; ++i) {
    ASSERT_TRUE(files.CreateDirectory("next").ok());
    ASSERT_TRUE(files.Rename("chain", "next/d", IfExists::kFail).ok());
    ASSERT_TRUE(files.Rename("next", "chain", IfExists::kFail).ok());
  }
  EXPECT_EQ(files.used_bytes(), kDepth * kEntry);
}

// What all threads took and gave is counted, and never more than the limit.
TEST(MemoryFileSystemTest, ThreadsShareTheLimit) {
  // One thread by itself wants more.
  constexpr uint64_t kMax = 4 * kEntry + 3 * kBlock;
  MemoryFileSystem files({.max_bytes = kMax});
  std::atomic<uint64_t> refused = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<uint64_t>(t));
      const std::unique_ptr<File> file = Make(files, absl::StrCat(t), "");
      for (int i = 0; i < 500; ++i) {
        if (random() % 2 == 0) {
          EXPECT_TRUE(file->Truncate(random() % 4 * kBlock).ok());
        } else {
          const absl::Status status =
              file->WriteAt(random() % 4 * kBlock, Bytes("x"));
          EXPECT_TRUE(status.ok() || absl::IsResourceExhausted(status));
          // relaxed: read after the threads have ended.
          if (!status.ok()) refused.fetch_add(1, std::memory_order_relaxed);
        }
        EXPECT_LE(files.used_bytes(), kMax);
      }
      EXPECT_TRUE(file->Truncate(0).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(refused.load(std::memory_order_relaxed), 0u);
  EXPECT_EQ(files.used_bytes(), 4 * kEntry);
}

}  // namespace
}  // namespace mmsb
