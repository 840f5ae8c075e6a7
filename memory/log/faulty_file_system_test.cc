#include "memory/log/faulty_file_system.h"

#include <cstddef>
#include <memory>
#include <set>
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

namespace mmsb {
namespace {

using Access = FileSystem::Access;
using IfExists = FileSystem::IfExists;
using Fault = FaultyFileSystem::Fault;

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string Contents(FileSystem& disk, const std::string& path) {
  absl::StatusOr<std::unique_ptr<File>> file = disk.Open(path, Access::kRead);
  if (!file.ok()) return "none";
  std::string text((*file)->Info()->bytes, '?');
  EXPECT_EQ(*(*file)->ReadAt(0, std::as_writable_bytes(std::span(text))),
            text.size());
  for (char& c : text) {
    if (c == 0) c = '0';
  }
  return text;
}

std::unique_ptr<File> Make(FileSystem& disk, const std::string& path,
                           std::string_view text) {
  absl::StatusOr<std::unique_ptr<File>> file = disk.Open(path, Access::kCreate);
  EXPECT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE((*file)->WriteAt(0, Bytes(text)).ok());
  return *std::move(file);
}

// The contents that each file of a disk may have, as one text a state.
std::set<std::string> StatesOf(
    const FaultyFileSystem& disk, const std::vector<std::string>& paths,
    const FaultyFileSystem::CrashOptions& options = {},
    FaultyFileSystem::CrashStates* counts = nullptr) {
  std::set<std::string> states;
  const auto shown =
      disk.ForEachCrashState(options, [&](FaultyFileSystem& left) {
        std::string state;
        for (const std::string& path : paths) {
          absl::StrAppend(&state, state.empty() ? "" : " ",
                          Contents(left, path));
        }
        states.insert(state);
      });
  if (counts != nullptr) *counts = shown;
  return states;
}

struct FaultySubject {
  FaultySubject() { EXPECT_TRUE(disk.CreateDirectory("folder").ok()); }
  FileSystem& files() { return disk; }
  std::string folder() { return "folder"; }

  FaultyFileSystem disk;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Faulty, FileSystemConformanceTest,
                               FaultySubject);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(FileSystemTreeConformanceTest);

TEST(FaultyFileSystemTest, WhatIsNotSyncedMayBeThereOrNot) {
  FaultyFileSystem disk;
  const std::unique_ptr<File> file = Make(disk, "a", "abcd");
  ASSERT_TRUE(file->Sync().ok());
  // Its contents are safe, its name is not.
  EXPECT_EQ(StatesOf(disk, {"a"}), (std::set<std::string>{"none", "abcd"}));
  ASSERT_TRUE(disk.SyncDirectory(".").ok());
  EXPECT_EQ(StatesOf(disk, {"a"}), (std::set<std::string>{"abcd"}));

  ASSERT_TRUE(file->WriteAt(1, Bytes("X")).ok());
  ASSERT_TRUE(file->WriteAt(3, Bytes("Y")).ok());
  EXPECT_EQ(StatesOf(disk, {"a"}),
            (std::set<std::string>{"abcd", "aXcd", "abcY", "aXcY"}));
  ASSERT_TRUE(file->Truncate(2).ok());
  EXPECT_EQ(
      StatesOf(disk, {"a"}),
      (std::set<std::string>{"abcd", "aXcd", "abcY", "aXcY", "ab", "aX"}));
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_EQ(StatesOf(disk, {"a"}), (std::set<std::string>{"aX"}));
}

TEST(FaultyFileSystemTest, AWriteMayBeTornAtSectorsAndBesideOne) {
  FaultyFileSystem disk;
  const std::unique_ptr<File> file = Make(disk, "a", "----------");
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(disk.SyncDirectory(".").ok());
  ASSERT_TRUE(file->WriteAt(2, Bytes("ABCDEFGH")).ok());
  EXPECT_EQ(StatesOf(disk, {"a"}, {.sector_bytes = 4}),
            (std::set<std::string>{"----------", "--AB------", "--ABCDEF--",
                                   "--ABC-----", "--A-------", "--ABCDEFGH"}));
  // Within one sector, at its ends.
  EXPECT_EQ(StatesOf(disk, {"a"}),
            (std::set<std::string>{"----------", "--A-------", "--ABCDEFG-",
                                   "--ABCDEFGH"}));
  ASSERT_TRUE(file->Sync().ok());
  // Past the end the size may come before the bytes.
  ASSERT_TRUE(file->WriteAt(10, Bytes("I")).ok());
  EXPECT_EQ(
      StatesOf(disk, {"a"}),
      (std::set<std::string>{"--ABCDEFGH", "--ABCDEFGH0", "--ABCDEFGHI"}));
}

TEST(FaultyFileSystemTest, ARenameIsDoneOrNot) {
  FaultyFileSystem disk;
  ASSERT_TRUE(Make(disk, "old", "1")->Sync().ok());
  ASSERT_TRUE(disk.SyncDirectory(".").ok());
  ASSERT_TRUE(Make(disk, "new", "2")->Sync().ok());
  ASSERT_TRUE(disk.Rename("new", "old", IfExists::kReplace).ok());
  EXPECT_EQ(StatesOf(disk, {"old", "new"}),
            (std::set<std::string>{"1 none", "1 2", "2 none"}));
  ASSERT_TRUE(disk.SyncDirectory(".").ok());
  EXPECT_EQ(StatesOf(disk, {"old", "new"}), (std::set<std::string>{"2 none"}));
}

TEST(FaultyFileSystemTest, ARenameBetweenDirectoriesNeedsBothSynced) {
  FaultyFileSystem disk;
  ASSERT_TRUE(disk.CreateDirectory("d").ok());
  ASSERT_TRUE(Make(disk, "a", "1")->Sync().ok());
  ASSERT_TRUE(disk.SyncDirectory(".").ok());
  ASSERT_TRUE(disk.Rename("a", "d/a", IfExists::kFail).ok());
  ASSERT_TRUE(disk.SyncDirectory("d").ok());
  EXPECT_EQ(StatesOf(disk, {"a", "d/a"}),
            (std::set<std::string>{"1 none", "none 1"}));
  ASSERT_TRUE(disk.SyncDirectory(".").ok());
  EXPECT_EQ(StatesOf(disk, {"a", "d/a"}), (std::set<std::string>{"none 1"}));
}

TEST(FaultyFileSystemTest, ADirectoryThatIsLostTakesItsFilesAlong) {
  FaultyFileSystem disk;
  ASSERT_TRUE(disk.CreateDirectory("d").ok());
  ASSERT_TRUE(Make(disk, "d/a", "1")->Sync().ok());
  ASSERT_TRUE(disk.SyncDirectory("d").ok());
  EXPECT_EQ(StatesOf(disk, {"d/a"}), (std::set<std::string>{"none", "1"}));
}

TEST(FaultyFileSystemTest, AFailedSyncIsNotMadeUpForByAnother) {
  FaultyFileSystem disk;
  const std::unique_ptr<File> file = Make(disk, "a", "12");
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(disk.SyncDirectory(".").ok());
  ASSERT_TRUE(file->WriteAt(0, Bytes("X")).ok());
  disk.FailAfter(0, Fault::kIoError, 1);
  EXPECT_FALSE(file->Sync().ok());
  ASSERT_TRUE(file->WriteAt(1, Bytes("Y")).ok());
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_EQ(Contents(disk, "a"), "XY");
  EXPECT_EQ(StatesOf(disk, {"a"}), (std::set<std::string>{"1Y", "XY"}));
  ASSERT_TRUE(file->WriteAt(0, Bytes("X")).ok());
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_EQ(StatesOf(disk, {"a"}), (std::set<std::string>{"XY"}));

  ASSERT_TRUE(disk.Remove("a").ok());
  disk.FailAfter(0, Fault::kIoError, 1);
  EXPECT_FALSE(disk.SyncDirectory(".").ok());
  ASSERT_TRUE(disk.SyncDirectory(".").ok());
  EXPECT_EQ(StatesOf(disk, {"a"}), (std::set<std::string>{"XY", "none"}));
}

TEST(FaultyFileSystemTest, SmallProductsAreShownWhole) {
  FaultyFileSystem disk;
  const std::unique_ptr<File> file = Make(disk, "a", "--");
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(disk.SyncDirectory(".").ok());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(file->WriteAt(0, Bytes("XY")).ok());  // absent, whole, cut at 1
  }
  FaultyFileSystem::CrashStates counts;
  StatesOf(disk, {"a"}, {.max_states = 27}, &counts);
  EXPECT_EQ(counts.states, 27u);
  EXPECT_EQ(counts.changes, 3u);
  EXPECT_TRUE(counts.all);
  // 8 subsets, and each of 3 torn in 1 way beside 2 sets of others.
  StatesOf(disk, {"a"}, {.max_states = 26}, &counts);
  EXPECT_EQ(counts.states, 8u + 3 * 2);
  EXPECT_FALSE(counts.all);
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(file->WriteAt(0, Bytes("XY")).ok());
  }
  // 10 prefixes, 9 single drops, and each torn.
  StatesOf(disk, {"a"}, {.max_states = 1}, &counts);
  EXPECT_EQ(counts.states, 10u + 9 + 9 * 2);
}

TEST(FaultyFileSystemTest, CallsFailWhereTheyAreToldTo) {
  FaultyFileSystem disk;
  const std::unique_ptr<File> file = Make(disk, "a", "12");
  const uint64_t before = disk.calls();
  disk.FailAfter(1, Fault::kShortWrite, 2);
  EXPECT_TRUE(file->WriteAt(2, Bytes("34")).ok());
  EXPECT_EQ(file->WriteAt(4, Bytes("5678")).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(file->Info().ok());
  EXPECT_TRUE(file->Info().ok());
  EXPECT_EQ(disk.calls(), before + 4);
  EXPECT_EQ(Contents(disk, "a"), "123456");
  disk.FailAfter(0, Fault::kNoSpace);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(file->WriteAt(6, Bytes("78")).code(),
              absl::StatusCode::kResourceExhausted);
    EXPECT_FALSE(disk.Open("b", Access::kCreate).ok());
    EXPECT_FALSE(disk.List(".").ok());
  }
  disk.FailAfter(0, Fault::kIoError, 0);
  EXPECT_EQ(Contents(disk, "a"), "123456");
  EXPECT_EQ(*disk.List("."), (std::vector<std::string>{"a"}));
}

TEST(FaultyFileSystemTest, ACrashPointComesBeforeEachSync) {
  FaultyFileSystem disk;
  std::vector<std::set<std::string>> seen;
  disk.OnCrashPoint([&] { seen.push_back(StatesOf(disk, {"a"})); });
  const std::unique_ptr<File> file = Make(disk, "a", "1");
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(disk.SyncDirectory(".").ok());
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0], (std::set<std::string>{"none", "", "0", "1"}));
  EXPECT_EQ(seen[1], (std::set<std::string>{"none", "1"}));
}

}  // namespace
}  // namespace mmsb
