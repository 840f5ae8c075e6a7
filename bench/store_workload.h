#ifndef MMSB_BENCH_STORE_WORKLOAD_H_
#define MMSB_BENCH_STORE_WORKLOAD_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memory/delta/delta.h"
#include "memory/log/posix_file_system.h"
#include "memory/store/page_store.h"
#include "primitives/page_id.h"

namespace mmsb {

// What fails measures nothing: ends the program.
inline void Require(bool ok, const char* what, const char* why) {
  if (ok) return;
  std::fprintf(stderr, "%s: %s\n", what, why);
  std::exit(1);
}
inline void Require(const absl::Status& status) {
  Require(status.ok(), "mmsb", std::string(status.message()).c_str());
}
template <class T>
T Require(absl::StatusOr<T> result) {
  Require(result.status());
  return *std::move(result);
}

// A folder in TMPDIR, gone with this.
class BenchFolder {
 public:
  BenchFolder() {
    const char* const parent = std::getenv("TMPDIR");
    path_ =
        std::string(parent == nullptr ? "/tmp" : parent) + "/mmsb_bench_XXXXXX";
    Require(mkdtemp(path_.data()) != nullptr, path_.c_str(), "no folder");
  }
  BenchFolder(const BenchFolder&) = delete;
  BenchFolder& operator=(const BenchFolder&) = delete;
  ~BenchFolder() { std::filesystem::remove_all(path_); }

  std::string In(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// A store on disk whose state is random bytes, and changes of 16 bytes in a row
// in random pages.
class BenchStore {
 public:
  // Commits the first state; keeps a copy of it.
  BenchStore(const std::string& path, size_t pages, uint32_t page_bytes)
      : page_bytes_(page_bytes),
        contents_(pages * page_bytes),
        store_(Open(path, PageStore::Mode::kCreate, page_bytes)) {
    // Words, as there may be many.
    for (size_t i = 0; i < contents_.size(); i += sizeof(uint64_t)) {
      const uint64_t word = random_();
      std::copy_n(reinterpret_cast<const std::byte*>(&word), sizeof(word),
                  contents_.begin() + static_cast<ptrdiff_t>(i));
    }
    PageStore::Batch batch = Require(store_->Begin(contents_.size()));
    for (size_t page = 0; page < pages; ++page) {
      Require(
          batch.PutWhole(PageId::FromValue(page), PageOf(page), page_bytes_));
    }
    Require(store_->Commit(std::move(batch), {}).status());
  }

  static std::unique_ptr<PageStore> Open(const std::string& path,
                                         PageStore::Mode mode,
                                         uint32_t page_bytes = 4096) {
    return Require(PageStore::Open(PosixFileSystem(), path,
                                   {.mode = mode, .page_bytes = page_bytes}));
  }

  // Commits a change to each of `count` pages.
  void Change(size_t count) {
    std::vector<size_t> pages;
    while (pages.size() < count) {
      pages.push_back(random_() % (contents_.size() / page_bytes_));
      std::ranges::sort(pages);
      const auto same = std::ranges::unique(pages);
      pages.erase(same.begin(), same.end());
    }
    PageStore::Batch batch = Require(store_->Begin(contents_.size()));
    for (const size_t page : pages) {
      const size_t at = random_() % (page_bytes_ / 16) * 16;
      std::vector<uint8_t> mask(Delta::MaskBytes(page_bytes_));
      mask[at / 8] = 0xFF;
      mask[at / 8 + 1] = 0xFF;
      std::vector<std::byte> payload(16);
      for (std::byte& b : payload) b = static_cast<std::byte>(random_());
      const Delta delta = Require(
          Delta::FromParts(page_bytes_, std::move(mask), std::move(payload)));
      Require(delta.Apply(PageOf(page)));
      Require(batch.Put(PageId::FromValue(page), delta, PageOf(page)));
    }
    Require(store_->Commit(std::move(batch), {}).status());
  }

  PageStore& store() { return *store_; }
  size_t pages() const { return contents_.size() / page_bytes_; }
  uint64_t Random() { return random_(); }

 private:
  std::span<std::byte> PageOf(size_t page) {
    return std::span(contents_).subspan(page * page_bytes_, page_bytes_);
  }

  std::mt19937_64 random_{512};
  size_t page_bytes_;
  std::vector<std::byte> contents_;
  std::unique_ptr<PageStore> store_;
};

}  // namespace mmsb

#endif  // MMSB_BENCH_STORE_WORKLOAD_H_
