#include "fuzz/damaged_store.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "memory/log/faulty_file_system.h"
#include "memory/log/file_system.h"
#include "memory/log/store_header.h"
#include "memory/log/transaction_log.h"
#include "memory/store/page_store.h"
#include "memory/store/testing/forged_flip.h"
#include "memory/store/testing/states.h"
#include "primitives/check.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

using Bytes = DamagedStore::Bytes;

// More than any file of the stores here.
constexpr size_t kMaxFileBytes = size_t{1} << 18;

struct Made {
  std::vector<Bytes> epochs;
  uint64_t salt;
  std::map<std::string, Bytes> files;
};

Bytes ReadFile(FileSystem& disk, const std::string& path) {
  const auto file = disk.Open(path, FileSystem::Access::kRead);
  MMSB_CHECK(file.ok(), "DamagedStore: %s cannot be opened", path.c_str());
  Bytes contents((*file)->Info()->bytes);
  MMSB_CHECK((*file)->ReadAt(0, contents).ok(), "DamagedStore: no read");
  return contents;
}

Made Make(size_t number) {
  constexpr std::array<size_t, DamagedStore::kStores> kEpochs = {1,  4, 9,
                                                                 20, 6, 12};
  constexpr std::array<uint64_t, DamagedStore::kStores> kSegmentBytes = {
      TransactionLog::kSegmentBytes,
      TransactionLog::kSegmentBytes,
      TransactionLog::kSegmentBytes,
      TransactionLog::kSegmentBytes,
      0,
      4000};
  Made made;
  made.epochs = RandomHistory(number + 1, kEpochs[number]);
  FaultyFileSystem disk;
  ManualClock clock(0, 1'000'000);
  {
    const auto store = PageStore::Open(
        disk, DamagedStore::kPath,
        {.mode = PageStore::Mode::kCreate,
         .page_bytes = 512,
         .checkpoint_slack_bytes = number % 2 == 0 ? ~uint64_t{0} : 0,
         .segment_bytes = kSegmentBytes[number],
         .clock = clock});
    MMSB_CHECK(store.ok(), "DamagedStore: no store");
    for (const Bytes& state : made.epochs) {
      MMSB_CHECK(CommitState(**store, state, std::string("message")).ok(),
                 "DamagedStore: no commit");
    }
  }
  const std::vector<std::string> names = *disk.List(DamagedStore::kPath);
  for (const std::string& name : names) {
    made.files[name] =
        ReadFile(disk, std::string(DamagedStore::kPath) + "/" + name);
  }
  made.salt = StoreHeader::Decode(made.files.at("MMSB"), "MMSB")->salt();
  return made;
}

const Made& MadeOnce(size_t number) {
  static std::array<Made, DamagedStore::kStores>* const stores = [] {
    auto* made = new std::array<Made, DamagedStore::kStores>;
    for (size_t i = 0; i < made->size(); ++i) (*made)[i] = Make(i);
    return made;
  }();
  return (*stores)[number];
}

}  // namespace

DamagedStore::DamagedStore(uint64_t number)
    : epochs_(&MadeOnce(number % kStores).epochs),
      salt_(MadeOnce(number % kStores).salt),
      made_(&MadeOnce(number % kStores).files),
      files_(*made_) {}

DamagedStore::Files::iterator DamagedStore::Find(uint64_t file) {
  if (files_.empty()) return files_.end();
  return std::next(files_.begin(),
                   static_cast<ptrdiff_t>(file % files_.size()));
}

Bytes* DamagedStore::File(uint64_t file) {
  const Files::iterator found = Find(file);
  return found == files_.end() ? nullptr : &found->second;
}

void DamagedStore::Flip(uint64_t file, uint64_t position, uint8_t bits) {
  Bytes* const bytes = File(file);
  if (bytes == nullptr || bytes->empty()) return;
  (*bytes)[position % bytes->size()] ^= static_cast<std::byte>(bits);
}

void DamagedStore::Cut(uint64_t file, uint64_t bytes) {
  Bytes* const contents = File(file);
  if (contents == nullptr) return;
  contents->resize(contents->size() - bytes % (contents->size() + 1));
}

void DamagedStore::Append(uint64_t file, uint64_t bytes, uint8_t value) {
  Bytes* const contents = File(file);
  if (contents == nullptr || contents->size() + bytes > kMaxFileBytes) return;
  contents->resize(contents->size() + bytes, static_cast<std::byte>(value));
}

void DamagedStore::Zero(uint64_t file, uint64_t position, uint64_t bytes) {
  Bytes* const contents = File(file);
  if (contents == nullptr || contents->empty()) return;
  const size_t begin = position % contents->size();
  const size_t count = std::min<size_t>(bytes, contents->size() - begin);
  std::fill_n(contents->begin() + static_cast<ptrdiff_t>(begin), count,
              std::byte{0});
}

void DamagedStore::Move(uint64_t file, uint64_t from, uint64_t to,
                        uint64_t bytes) {
  Bytes* const contents = File(file);
  if (contents == nullptr || contents->empty()) return;
  const Bytes before = *contents;
  for (size_t i = 0; i < bytes; ++i) {
    (*contents)[(to + i) % before.size()] = before[(from + i) % before.size()];
  }
}

void DamagedStore::Forge(uint64_t file, uint64_t position, uint8_t bits) {
  const Files::iterator found = Find(file);
  if (found == files_.end() || found->second.empty()) return;
  auto& [name, bytes] = *found;
  ForgeFlip(name, bytes, salt_, position % bytes.size(),
            static_cast<std::byte>(bits));
}

void DamagedStore::Remove(uint64_t file) {
  const Files::iterator found = Find(file);
  if (found != files_.end()) files_.erase(found);
}

void DamagedStore::Replace(uint64_t file, Bytes contents) {
  Bytes* const old = File(file);
  if (old != nullptr) *old = std::move(contents);
}

bool DamagedStore::Differs(std::string_view prefix) const {
  return std::ranges::any_of(*made_, [&](const auto& made) {
    const auto& [name, contents] = made;
    if (!name.starts_with(prefix)) return false;
    const auto now = files_.find(name);
    return now == files_.end() || now->second.size() < contents.size() ||
           !std::equal(contents.begin(), contents.end(), now->second.begin());
  });
}

void DamagedStore::WriteTo(FaultyFileSystem& disk) const {
  MMSB_CHECK(disk.CreateDirectory(kPath).ok(), "DamagedStore: no directory");
  for (const auto& [name, contents] : files_) {
    const auto file = disk.CreateNew(std::string(kPath) + "/" + name, 0600);
    MMSB_CHECK(file.ok() && (*file)->WriteAt(0, contents).ok(),
               "DamagedStore: %s cannot be written", name.c_str());
  }
}

}  // namespace mmsb
