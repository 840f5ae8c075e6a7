#ifndef MMSB_MEMORY_LOG_TESTING_FILE_SYSTEM_CONFORMANCE_H_
#define MMSB_MEMORY_LOG_TESTING_FILE_SYSTEM_CONFORMANCE_H_

#include <algorithm>
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
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "memory/log/file_system.h"

namespace mmsb {

// The tests that every FileSystem passes: the contract of file_system.h.
//
// A subject is a default-constructible class around one file system, and a
// directory in it that is empty and stays so but for what the tests make:
//
//   struct MemorySubject {
//     FileSystem& files() { return files_; }
//     std::string folder() { return "."; }
//     MemoryFileSystem files_;
//   };
//   INSTANTIATE_TYPED_TEST_SUITE_P(Memory, FileSystemConformanceTest,
//                                  MemorySubject);
//
// FileSystemTreeConformanceTest is for file systems that understand "." and
// ".." inside a path, and rename directories.
template <class Subject>
class FileSystemConformanceTest : public testing::Test {
 protected:
  using Access = FileSystem::Access;
  using IfExists = FileSystem::IfExists;
  using Code = absl::StatusCode;

  ~FileSystemConformanceTest() override { RemoveAllIn(subject_.folder()); }

  FileSystem& files() { return subject_.files(); }

  std::string Path(std::string_view name) {
    return absl::StrCat(subject_.folder(), "/", name);
  }

  static std::span<const std::byte> Bytes(std::string_view text) {
    return std::as_bytes(std::span(text));
  }

  std::unique_ptr<File> Open(std::string_view name,
                             Access access = Access::kReadWrite) {
    absl::StatusOr<std::unique_ptr<File>> file =
        files().Open(Path(name), access);
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }

  std::unique_ptr<File> Make(std::string_view name, std::string_view text) {
    std::unique_ptr<File> file = Open(name, Access::kCreate);
    EXPECT_TRUE(file->WriteAt(0, Bytes(text)).ok());
    return file;
  }

  static std::string Contents(File& file) {
    const absl::StatusOr<FileInfo> info = file.Info();
    EXPECT_TRUE(info.ok()) << info.status();
    // One more than there are.
    std::string text(static_cast<size_t>(info->bytes) + 1, '?');
    const absl::StatusOr<size_t> read =
        file.ReadAt(0, std::as_writable_bytes(std::span(text)));
    EXPECT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, info->bytes);
    text.resize(*read);
    return text;
  }

  std::string Contents(std::string_view name) {
    const absl::StatusOr<std::unique_ptr<File>> file =
        files().Open(Path(name), Access::kRead);
    return file.ok() ? Contents(**file) : "none";
  }

  std::vector<std::string> Names(std::string_view name = ".") {
    const std::string path =
        name == "." ? subject_.folder() : Path(std::string(name));
    const absl::StatusOr<std::vector<std::string>> names = files().List(path);
    EXPECT_TRUE(names.ok()) << names.status();
    return *names;
  }

  void RemoveAllIn(const std::string& folder) {
    const absl::StatusOr<std::vector<std::string>> names = files().List(folder);
    EXPECT_TRUE(names.ok()) << names.status();
    for (const std::string& name : *names) {
      const std::string path = absl::StrCat(folder, "/", name);
      if (files().Info(path)->kind == FileKind::kDirectory) RemoveAllIn(path);
      EXPECT_TRUE(files().Remove(path).ok()) << path;
    }
  }

  Subject subject_;
};

TYPED_TEST_SUITE_P(FileSystemConformanceTest);

TYPED_TEST_P(FileSystemConformanceTest, WhatIsWrittenIsRead) {
  const std::unique_ptr<File> file = this->Make("a", "hello");
  EXPECT_EQ(this->Contents("a"), "hello");
  ASSERT_TRUE(file->WriteAt(7, this->Bytes("x")).ok());
  EXPECT_EQ(this->Contents("a"), std::string("hello\0\0x", 8));
  ASSERT_TRUE(file->WriteAt(100, {}).ok());
  EXPECT_EQ(file->Info()->bytes, 8u) << "nothing was written there";
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_TRUE(this->files().SyncDirectory(this->subject_.folder()).ok());
  std::array<std::byte, 4> out{};
  EXPECT_EQ(*file->ReadAt(8, out), 0u) << "at the end";
  EXPECT_EQ(*file->ReadAt(100, out), 0u) << "past the end";
  EXPECT_EQ(*file->ReadAt(6, out), 2u);
  // Opening it again takes nothing away.
  this->Open("a", FileSystem::Access::kCreate);
  EXPECT_EQ(this->Contents("a"), std::string("hello\0\0x", 8));
}

TYPED_TEST_P(FileSystemConformanceTest, WhatWasCutOffDoesNotComeBack) {
  const std::unique_ptr<File> file = this->Make("a", "hello");
  ASSERT_TRUE(file->Truncate(2).ok());
  EXPECT_EQ(this->Contents("a"), "he");
  ASSERT_TRUE(file->Truncate(4).ok());
  EXPECT_EQ(this->Contents("a"), std::string("he\0\0", 4));
  ASSERT_TRUE(file->Truncate(0).ok());
  ASSERT_TRUE(file->WriteAt(3, this->Bytes("x")).ok());
  EXPECT_EQ(this->Contents("a"), std::string("\0\0\0x", 4));
}

// Random operations on a file of two Files beside a string.
TYPED_TEST_P(FileSystemConformanceTest, AgreesWithAString) {
  constexpr size_t kMaxBytes = 150'000;
  std::mt19937_64 random(4);
  std::string model;
  const std::array<std::unique_ptr<File>, 2> files = {this->Make("a", ""),
                                                      this->Open("a")};
  for (int i = 0; i < 300; ++i) {
    File& file = *files[random() % 2];
    // Often beside a multiple of what is likely to be a block.
    const size_t near = random() % 10 * 16384;
    const size_t at =
        std::min(kMaxBytes, random() % 2 == 0 ? near + random() % 3
                                              : size_t{random() % kMaxBytes});
    const size_t bytes = random() % 3 == 0 ? random() % 40'000 : random() % 20;
    switch (random() % 4) {
      case 0:
        ASSERT_TRUE(file.Truncate(at).ok());
        model.resize(at);
        break;
      case 1: {
        std::string out(bytes, '?');
        const absl::StatusOr<size_t> read =
            file.ReadAt(at, std::as_writable_bytes(std::span(out)));
        ASSERT_TRUE(read.ok()) << read.status();
        out.resize(*read);
        ASSERT_EQ(out, at < model.size() ? model.substr(at, bytes) : "");
        break;
      }
      default: {
        const std::string text(bytes, static_cast<char>('a' + i % 26));
        ASSERT_TRUE(file.WriteAt(at, this->Bytes(text)).ok());
        if (text.empty()) break;
        model.resize(std::max(model.size(), at + bytes));
        model.replace(at, bytes, text);
      }
    }
    ASSERT_EQ(file.Info()->bytes, model.size());
    if (i % 30 == 0) {
      ASSERT_EQ(this->Contents("a"), model);
    }
  }
  EXPECT_TRUE(this->Contents("a") == model);
}

TYPED_TEST_P(FileSystemConformanceTest, OffsetsThatNoFileHasAreRefused) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  constexpr uint64_t kMaxFile = std::numeric_limits<int64_t>::max();
  const std::unique_ptr<File> file = this->Make("a", "hello");
  std::array<std::byte, 4> bytes{};
  for (const uint64_t offset :
       {kMax, kMax - 2, kMaxFile + 1, kMaxFile, kMaxFile - 2}) {
    EXPECT_EQ(file->ReadAt(offset, bytes).status().code(),
              absl::StatusCode::kOutOfRange)
        << offset;
    EXPECT_FALSE(file->WriteAt(offset, bytes).ok()) << offset;
  }
  EXPECT_FALSE(file->Truncate(kMax).ok());
  EXPECT_FALSE(file->Truncate(kMaxFile + 1).ok());
  EXPECT_EQ(this->Contents("a"), "hello");
}

TYPED_TEST_P(FileSystemConformanceTest, InfoTellsKindSizeAndIdentity) {
  const std::unique_ptr<File> file = this->Make("a", "hello");
  FileSystem& files = this->files();
  const FileInfo a = *files.Info(this->Path("a"));
  EXPECT_EQ(a.kind, FileKind::kRegular);
  EXPECT_EQ(a.bytes, 5u);
  EXPECT_GT(a.modified_ns, 0);
  EXPECT_EQ(*files.Info(this->Path("a")), a);
  EXPECT_EQ(*file->Info(), a);
  EXPECT_EQ(files.Info(this->subject_.folder())->kind, FileKind::kDirectory);
  this->Make("b", "hello");
  EXPECT_NE(files.Info(this->Path("b"))->identity, a.identity);
  ASSERT_TRUE(file->WriteAt(0, this->Bytes("longer")).ok());
  EXPECT_EQ(files.Info(this->Path("a"))->bytes, 6u);
  EXPECT_GE(files.Info(this->Path("a"))->modified_ns, a.modified_ns);
  // Who replaces a file is told from it.
  ASSERT_TRUE(files
                  .Rename(this->Path("b"), this->Path("a"),
                          FileSystem::IfExists::kReplace)
                  .ok());
  EXPECT_NE(files.Info(this->Path("a"))->identity, a.identity);
  EXPECT_EQ(file->Info()->identity, a.identity);
}

TYPED_TEST_P(FileSystemConformanceTest, RenameReplacesOnlyWhenTold) {
  using IfExists = FileSystem::IfExists;
  FileSystem& files = this->files();
  const std::string a = this->Path("a");
  const std::string b = this->Path("b");
  const std::string c = this->Path("c");
  this->Make("a", "new");
  this->Make("b", "old");
  EXPECT_EQ(files.Rename(a, b, IfExists::kFail).code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(this->Contents("b"), "old");
  EXPECT_TRUE(files.Rename(a, c, IfExists::kFail).ok());
  EXPECT_EQ(this->Contents("c"), "new");
  EXPECT_TRUE(files.Rename(c, c, IfExists::kReplace).ok());
  EXPECT_TRUE(files.Rename(c, b, IfExists::kReplace).ok());
  EXPECT_EQ(this->Contents("b"), "new");
  EXPECT_EQ(this->Names(), std::vector<std::string>{"b"});

  const std::string d = this->Path("d");
  ASSERT_TRUE(files.CreateDirectory(d).ok());
  EXPECT_FALSE(files.Rename(b, d, IfExists::kReplace).ok());
  EXPECT_TRUE(files.Rename(b, d + "/b", IfExists::kFail).ok());
  EXPECT_EQ(this->Contents("d/b"), "new");
  EXPECT_EQ(this->Names(), std::vector<std::string>{"d"});
  EXPECT_FALSE(
      files.Rename(d + "/b", this->Path("no/b"), IfExists::kFail).ok());
  EXPECT_FALSE(files.Rename(d + "/b", d + "/b/b", IfExists::kReplace).ok());
}

TYPED_TEST_P(FileSystemConformanceTest, AFileLivesWhileItIsOpen) {
  const std::unique_ptr<File> removed = this->Make("a", "removed");
  ASSERT_TRUE(this->files().Remove(this->Path("a")).ok());
  const std::unique_ptr<File> replaced = this->Make("a", "replaced");
  this->Make("b", "b");
  ASSERT_TRUE(this->files()
                  .Rename(this->Path("b"), this->Path("a"),
                          FileSystem::IfExists::kReplace)
                  .ok());
  ASSERT_TRUE(removed->WriteAt(0, this->Bytes("R")).ok());
  ASSERT_TRUE(replaced->WriteAt(0, this->Bytes("R")).ok());
  EXPECT_EQ(this->Contents(*removed), "Removed");
  EXPECT_EQ(this->Contents(*replaced), "Replaced");
  EXPECT_EQ(this->Contents("a"), "b");
}

TYPED_TEST_P(FileSystemConformanceTest, LockIsExclusiveUntilTheFileIsClosed) {
  std::unique_ptr<File> first = this->Make("lock", "");
  const std::unique_ptr<File> second = this->Open("lock");
  const std::unique_ptr<File> other = this->Make("other", "");
  EXPECT_TRUE(*first->TryLock());
  EXPECT_TRUE(*first->TryLock()) << "it is this File that has it";
  EXPECT_TRUE(first->Lock().ok());
  EXPECT_FALSE(*second->TryLock());
  EXPECT_TRUE(*other->TryLock());
  // The lock is the file's, not the name's.
  ASSERT_TRUE(this->files()
                  .Rename(this->Path("lock"), this->Path("renamed"),
                          FileSystem::IfExists::kFail)
                  .ok());
  EXPECT_FALSE(*this->Open("renamed")->TryLock());
  EXPECT_TRUE(*this->Make("lock", "")->TryLock());
  std::thread closer([&] { first.reset(); });
  EXPECT_TRUE(second->Lock().ok());
  closer.join();
  EXPECT_FALSE(*this->Open("renamed")->TryLock());
}

TYPED_TEST_P(FileSystemConformanceTest, PermissionsAreKept) {
  FileSystem& files = this->files();
  const auto mine = files.CreateNew(this->Path("mine"), 0600);
  ASSERT_TRUE(mine.ok()) << mine.status();
  EXPECT_EQ((*mine)->Info()->permissions, 0600u);
  EXPECT_TRUE((*mine)->SetPermissions(0666).ok());
  EXPECT_EQ(files.Info(this->Path("mine"))->permissions, 0666u);
  EXPECT_TRUE((*mine)->WriteAt(0, this->Bytes("x")).ok());
  ASSERT_TRUE(files.CreateDirectory(this->Path("d")).ok());
  EXPECT_EQ(files.Info(this->Path("d"))->permissions, 0700u);
}

TYPED_TEST_P(FileSystemConformanceTest, WhatIsNewTakesNobodysName) {
  FileSystem& files = this->files();
  this->Make("file", "hello");
  ASSERT_TRUE(files.CreateDirectory(this->Path("d")).ok());
  for (const char* name : {"file", "d"}) {
    EXPECT_EQ(files.CreateNew(this->Path(name), 0600).status().code(),
              absl::StatusCode::kAlreadyExists);
    EXPECT_EQ(files.CreateDirectory(this->Path(name)).code(),
              absl::StatusCode::kAlreadyExists);
  }
  EXPECT_EQ(this->Contents("file"), "hello");
}

TYPED_TEST_P(FileSystemConformanceTest, DirectoriesHoldNames) {
  FileSystem& files = this->files();
  ASSERT_TRUE(files.CreateDirectory(this->Path("d/")).ok());
  ASSERT_TRUE(files.CreateDirectory(this->Path("d/e")).ok());
  for (const char* name : {"d/c", "d/a", "d/b", "d/e/x", "dd"}) {
    this->Make(name, name);
  }
  EXPECT_EQ(this->Names("d"), (std::vector<std::string>{"a", "b", "c", "e"}));
  EXPECT_EQ(this->Names("d/"), (std::vector<std::string>{"a", "b", "c", "e"}));
  EXPECT_EQ(this->Names(), (std::vector<std::string>{"d", "dd"}));
  EXPECT_FALSE(files.Remove(this->Path("d")).ok()) << "it is not empty";
  EXPECT_FALSE(files.Remove(this->Path("d/e")).ok()) << "it is not empty";
  EXPECT_TRUE(files.Remove(this->Path("d/e/x")).ok());
  EXPECT_TRUE(files.Remove(this->Path("d/e/")).ok());
  EXPECT_EQ(this->Names("d"), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(this->Contents("d/b"), "d/b");
}

TYPED_TEST_P(FileSystemConformanceTest, WhatTheKindForbidsIsRefused) {
  using Access = FileSystem::Access;
  FileSystem& files = this->files();
  const std::unique_ptr<File> file = this->Make("a", "hello");
  ASSERT_TRUE(files.CreateDirectory(this->Path("d")).ok());
  EXPECT_FALSE(files.Open(this->Path("d"), Access::kReadWrite).ok());
  EXPECT_FALSE(files.Open(this->Path("d"), Access::kCreate).ok());
  EXPECT_FALSE(files.Open(this->Path("new/"), Access::kCreate).ok());
  EXPECT_FALSE(files.CreateNew(this->Path("new/"), 0600).ok());
  EXPECT_FALSE(files.Open(this->Path("a/"), Access::kRead).ok());
  EXPECT_FALSE(files.Open(this->Path("a/b"), Access::kCreate).ok());
  EXPECT_FALSE(files.Info(this->Path("a/")).ok());
  EXPECT_FALSE(files.Remove(this->Path("a/")).ok());
  EXPECT_FALSE(files.CreateDirectory(this->Path("a/b")).ok());
  EXPECT_FALSE(files.SyncDirectory(this->Path("a")).ok());
  EXPECT_FALSE(files.List(this->Path("a")).ok());

  std::array<std::byte, 4> bytes{};
  const std::unique_ptr<File> directory = this->Open("d", Access::kRead);
  EXPECT_EQ(directory->Info()->kind, FileKind::kDirectory);
  EXPECT_FALSE(directory->ReadAt(0, bytes).ok());
  const std::unique_ptr<File> read_only = this->Open("a", Access::kRead);
  EXPECT_FALSE(read_only->WriteAt(0, bytes).ok());
  EXPECT_FALSE(read_only->Truncate(0).ok());
  EXPECT_EQ(this->Names(), (std::vector<std::string>{"a", "d"}));
  EXPECT_EQ(this->Contents("a"), "hello");
}

TYPED_TEST_P(FileSystemConformanceTest, ErrorsNameTheFileAndTheReason) {
  using Access = FileSystem::Access;
  FileSystem& files = this->files();
  const std::string missing = this->Path("missing");
  for (const absl::Status& status :
       {files.Open(missing, Access::kRead).status(),
        files.Open(missing, Access::kReadWrite).status(),
        files.Open(missing + "/a", Access::kCreate).status(),
        files.CreateNew(missing + "/a", 0600).status(),
        files.CreateDirectory(missing + "/a"), files.Info(missing).status(),
        files.List(missing).status(), files.Remove(missing),
        files.SyncDirectory(missing),
        files.Rename(missing, this->Path("x"),
                     FileSystem::IfExists::kReplace)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
    EXPECT_NE(status.message().find(missing), std::string_view::npos) << status;
    EXPECT_NE(status.message().find("No such file"), std::string_view::npos)
        << status;
  }
  for (const absl::Status& status :
       {files.Open("", Access::kCreate).status(), files.CreateDirectory(""),
        files.Info("").status(), files.Remove("")}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  }
}

// Threads that make, write, rename and remove files of their own in one
// directory, while one lists it.
TYPED_TEST_P(FileSystemConformanceTest, ThreadsShareADirectory) {
  constexpr int kThreads = 3;
  constexpr int kRounds = 40;
  // relaxed: only ends the loop.
  std::atomic<int> working = kThreads;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRounds; ++i) {
        const std::string name = absl::StrCat(t, " ", i);
        const std::string text(100 * static_cast<size_t>(i), 'x');
        this->Make("new " + name, text);
        EXPECT_TRUE(this->files()
                        .Rename(this->Path("new " + name),
                                this->Path("last " + absl::StrCat(t)),
                                FileSystem::IfExists::kReplace)
                        .ok());
        EXPECT_EQ(this->Contents("last " + absl::StrCat(t)), text);
      }
      working.fetch_sub(1, std::memory_order_relaxed);
    });
  }
  while (working.load(std::memory_order_relaxed) > 0) {
    EXPECT_LE(this->Names().size(), size_t{2 * kThreads});
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(this->Names(),
            (std::vector<std::string>{"last 0", "last 1", "last 2"}));
}

// What was written when it was told of is what is read, however the file grows
// meanwhile.
TYPED_TEST_P(FileSystemConformanceTest, ReadersFollowAWriter) {
  constexpr uint64_t kWords = 40'000;
  const std::unique_ptr<File> file = this->Make("a", "");
  std::atomic<uint64_t> written = 0;
  std::vector<std::thread> readers;
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&] {
      std::vector<uint64_t> words(kWords);
      uint64_t there = 0;
      while (there < kWords) {
        // acquire: pairs with the release below; the words were written.
        there = written.load(std::memory_order_acquire);
        const absl::StatusOr<size_t> read = file->ReadAt(
            0, std::as_writable_bytes(std::span(words)).first(there * 8));
        ASSERT_TRUE(read.ok()) << read.status();
        ASSERT_EQ(*read, there * 8);
        for (uint64_t i = 0; i < there; ++i) ASSERT_EQ(words[i], i);
      }
    });
  }
  std::mt19937_64 random(5);
  for (uint64_t next = 0; next < kWords;) {
    std::vector<uint64_t> words;
    for (uint64_t n = 1 + random() % 3000; n > 0 && next < kWords; --n) {
      words.push_back(next++);
    }
    const uint64_t first = next - words.size();
    EXPECT_TRUE(file->WriteAt(first * 8, std::as_bytes(std::span(words))).ok());
    // release: pairs with the acquire above.
    written.store(next, std::memory_order_release);
  }
  for (std::thread& reader : readers) reader.join();
}

REGISTER_TYPED_TEST_SUITE_P(FileSystemConformanceTest, WhatIsWrittenIsRead,
                            WhatWasCutOffDoesNotComeBack, AgreesWithAString,
                            OffsetsThatNoFileHasAreRefused,
                            InfoTellsKindSizeAndIdentity,
                            RenameReplacesOnlyWhenTold, AFileLivesWhileItIsOpen,
                            LockIsExclusiveUntilTheFileIsClosed,
                            PermissionsAreKept, WhatIsNewTakesNobodysName,
                            DirectoriesHoldNames, WhatTheKindForbidsIsRefused,
                            ErrorsNameTheFileAndTheReason,
                            ThreadsShareADirectory, ReadersFollowAWriter);

template <class Subject>
class FileSystemTreeConformanceTest
    : public FileSystemConformanceTest<Subject> {};

TYPED_TEST_SUITE_P(FileSystemTreeConformanceTest);

TYPED_TEST_P(FileSystemTreeConformanceTest, PathsAreWalked) {
  FileSystem& files = this->files();
  ASSERT_TRUE(files.CreateDirectory(this->Path("d")).ok());
  ASSERT_TRUE(files.CreateDirectory(this->Path("d/e")).ok());
  this->Make("d/a", "hello");
  for (const char* name : {"d/./a", "./d//a", "d/e/../a", "d/e/../../d/a",
                           "./d/e/.././a", "d/e/./..//a"}) {
    EXPECT_EQ(this->Contents(name), "hello") << name;
  }
  EXPECT_EQ(files.Info(this->Path("d/e/.."))->identity,
            files.Info(this->Path("d"))->identity);
  EXPECT_EQ(files.Info(this->Path("d/."))->identity,
            files.Info(this->Path("d"))->identity);
  for (const char* name : {"no/../d/a", "d/a/.", "d/a/..", "d/a/../a"}) {
    EXPECT_FALSE(files.Info(this->Path(name)).ok()) << name;
  }
  for (const char* name : {"d/.", "d/e/.."}) {
    EXPECT_FALSE(files.Remove(this->Path(name)).ok()) << name;
    EXPECT_FALSE(files
                     .Rename(this->Path(name), this->Path("x"),
                             FileSystem::IfExists::kReplace)
                     .ok())
        << name;
  }
  const std::string longest(255, 'x');
  EXPECT_TRUE(files.CreateNew(this->Path(longest), 0600).ok());
  EXPECT_FALSE(files.CreateNew(this->Path(longest + "x"), 0600).ok());
  std::string path = this->Path("d");
  while (path.size() < 5000) path += "/.";
  EXPECT_FALSE(files.Info(path).ok());
}

TYPED_TEST_P(FileSystemTreeConformanceTest,
             DirectoriesAreRenamedWithAllInThem) {
  using IfExists = FileSystem::IfExists;
  FileSystem& files = this->files();
  for (const char* name : {"d", "d/e", "empty", "full"}) {
    ASSERT_TRUE(files.CreateDirectory(this->Path(name)).ok());
  }
  const std::unique_ptr<File> file = this->Make("d/e/a", "hello");
  this->Make("full/a", "");
  this->Make("f", "");
  const auto rename = [&](const char* from, const char* to,
                          IfExists if_exists = IfExists::kReplace) {
    return files.Rename(this->Path(from), this->Path(to), if_exists);
  };
  EXPECT_FALSE(rename("d", "d/e/d").ok()) << "into itself";
  EXPECT_FALSE(rename("d/e", "d").ok()) << "over what it is in";
  EXPECT_FALSE(rename("d", "full").ok()) << "over one that is not empty";
  EXPECT_FALSE(rename("d", "f").ok()) << "over a file";
  EXPECT_FALSE(rename("f", "g/").ok()) << "a file to a directory's name";
  EXPECT_EQ(rename("d", "empty", IfExists::kFail).code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(rename("d", "d").ok());
  EXPECT_TRUE(rename("d", "empty").ok());
  EXPECT_TRUE(rename("empty", "full/new/", IfExists::kFail).ok());
  EXPECT_EQ(this->Names(), (std::vector<std::string>{"f", "full"}));
  EXPECT_EQ(this->Contents("full/new/e/a"), "hello");
  EXPECT_EQ(this->Contents("full/new/e/../../a"), "");
  ASSERT_TRUE(file->WriteAt(0, this->Bytes("J")).ok());
  EXPECT_EQ(this->Contents("full/new/e/a"), "Jello");
}

REGISTER_TYPED_TEST_SUITE_P(FileSystemTreeConformanceTest, PathsAreWalked,
                            DirectoriesAreRenamedWithAllInThem);

}  // namespace mmsb

#endif  // MMSB_MEMORY_LOG_TESTING_FILE_SYSTEM_CONFORMANCE_H_
