#include "memory/store/testing/forged_flip.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "memory/epoch/epoch.h"
#include "memory/log/faulty_file_system.h"
#include "memory/log/file_system.h"
#include "memory/log/log_record.h"
#include "memory/log/store_header.h"
#include "memory/store/page_store.h"
#include "memory/store/testing/states.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;

class ForgedFlipTest : public testing::Test {
 protected:
  ForgedFlipTest() {
    const auto store = PageStore::Open(
        disk_, "store", {.mode = PageStore::Mode::kCreate, .page_bytes = 512});
    for (const Bytes& state : history_) {
      EXPECT_TRUE(CommitState(**store, state, std::string("a message")).ok());
    }
  }

  Bytes Load(const std::string& name) {
    const auto file = *disk_.Open("store/" + name, FileSystem::Access::kRead);
    Bytes bytes(static_cast<size_t>(file->Info()->bytes));
    EXPECT_EQ(*file->ReadAt(0, bytes), bytes.size());
    return bytes;
  }

  void Save(const std::string& name, const Bytes& bytes) {
    const auto file =
        *disk_.Open("store/" + name, FileSystem::Access::kReadWrite);
    ASSERT_TRUE(file->WriteAt(0, bytes).ok());
  }

  // What a store says of itself after a byte was forged.
  absl::StatusOr<std::unique_ptr<PageStore>> Forge(const std::string& name,
                                                   size_t position) {
    const uint64_t salt = StoreHeader::Decode(Load("MMSB"), "")->salt();
    Bytes bytes = Load(name);
    ForgeFlip(name, bytes, salt, position, std::byte{1});
    Save(name, bytes);
    return PageStore::Open(disk_, "store", {});
  }

  const std::vector<Bytes> history_ = RandomHistory(32, 4);
  FaultyFileSystem disk_;
};

TEST_F(ForgedFlipTest, AMessageIsAnotherAndNobodySeesIt) {
  const Bytes log = Load("log");
  const std::string message = "a message";
  const auto found = std::search(
      log.begin(), log.end(), message.begin(), message.end(),
      [](std::byte b, char c) { return b == static_cast<std::byte>(c); });
  ASSERT_NE(found, log.end());
  const auto store = Forge("log", static_cast<size_t>(found - log.begin()));
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_TRUE((*store)->Verify([](uint64_t, uint64_t) {})->ok());
  EXPECT_EQ((*store)->epochs().front().message, "` message");
  for (size_t i = 0; i < history_.size(); ++i) {
    EXPECT_EQ(*ReadState(**store, Epoch::FromValue(i + 1)), history_[i]);
  }
}

TEST_F(ForgedFlipTest, APageIsSeenByItsOwnChecksum) {
  const Bytes log = Load("log");
  const uint64_t salt = StoreHeader::Decode(Load("MMSB"), "")->salt();
  size_t at = StoreHeader::kBytes;
  auto head = RecordHead::Decode(std::span(log).subspan(at), at, salt);
  while (head.has_value() && head->data_bytes == 0) {
    at = static_cast<size_t>(head->end());
    head = RecordHead::Decode(std::span(log).subspan(at), at, salt);
  }
  ASSERT_TRUE(head.has_value());
  const auto store = Forge("log", static_cast<size_t>(head->end()) - 1);
  ASSERT_TRUE(store.ok()) << store.status();
  const absl::StatusOr<VerifyReport> report =
      (*store)->Verify([](uint64_t, uint64_t) {});
  EXPECT_FALSE(report->ok());
}

TEST_F(ForgedFlipTest, AHeaderIsOfAnotherVersion) {
  const auto store = Forge("MMSB", 8);
  EXPECT_TRUE(absl::IsUnimplemented(store.status())) << store.status();
}

TEST_F(ForgedFlipTest, ATipNamesAnotherPlace) {
  const uint64_t salt = StoreHeader::Decode(Load("MMSB"), "")->salt();
  const Bytes right = Load("tip");
  const std::optional<LogTip> before = LogTip::Decode(right, salt);
  ASSERT_TRUE(before.has_value());
  Bytes forged = right;
  ForgeFlip("tip", forged, salt, 8, std::byte{1});
  const std::optional<LogTip> after = LogTip::Decode(forged, salt);
  ASSERT_TRUE(after.has_value());
  EXPECT_EQ(after->end, before->end ^ 1);
  EXPECT_EQ(after->epoch, before->epoch);
}

}  // namespace
}  // namespace mmsb
