#include "memory/store/page_table.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "allocator/allocator_stats.h"
#include "memory/log/crc32c.h"
#include "memory/log/little_endian.h"
#include "memory/store/page_version.h"

namespace mmsb {
namespace {

constexpr size_t kFanout = PageTableLeaf::kPages;

uint32_t ChecksumOf(std::span<const uint32_t> values) {
  std::array<std::byte, kFanout * sizeof(uint32_t)> bytes;
  for (size_t i = 0; i < values.size(); ++i) {
    StoreLittleEndian<uint32_t>(values[i], bytes, i * sizeof(uint32_t));
  }
  return Crc32c(std::span(bytes).first(values.size() * sizeof(uint32_t)));
}

}  // namespace

PageTableLeaf* PageTablePool::New(const PageTableLeaf* leaf,
                                  uint32_t zero_page_checksum) {
  static_assert(std::is_trivially_destructible_v<PageTableLeaf>);
  void* block;
  {
    const absl::MutexLock lock(mutex_);
    block = pool_.Allocate();
  }
  if (block == nullptr) return nullptr;
  auto* const created = ::new (block) PageTableLeaf;
  created->pool = this;
  if (leaf != nullptr) {
    created->versions = leaf->versions;
    created->checksums = leaf->checksums;
    created->checksum_of.store(
        leaf->checksum_of.load(std::memory_order_relaxed),
        std::memory_order_relaxed);
  } else {
    created->versions.fill(PageVersion{});
    created->checksums.fill(zero_page_checksum);
  }
  return created;
}

void PageTablePool::Delete(PageTableLeaf* leaf) {
  const absl::MutexLock lock(mutex_);
  pool_.Deallocate(leaf);
}

AllocatorStats PageTablePool::Stats() const {
  const absl::MutexLock lock(mutex_);
  return pool_.Stats();
}

PageTable::PageTable(PageTablePool& pool, size_t page_bytes)
    : pool_(&pool),
      zero_page_checksum_(Crc32c(std::vector<std::byte>(page_bytes))),
      zero_leaf_checksum_(
          ChecksumOf(std::vector<uint32_t>(kFanout, zero_page_checksum_))) {}

absl::Status PageTable::Resize(uint64_t pages) {
  if (pages > kMaxPages) {
    return absl::OutOfRangeError(
        absl::StrCat(pages, " pages; the limit is ", kMaxPages));
  }
  // What is cut off must read as zeros if the table grows again. Whole leaves
  // are dropped; this is for the one that stays in part.
  for (uint64_t page = pages; page < pages_ && page % kFanout != 0; ++page) {
    if (Get(page) == zero()) continue;
    if (absl::Status status = Set(page, zero()); !status.ok()) return status;
  }
  const auto leaves = static_cast<size_t>((pages + kFanout - 1) / kFanout);
  for (uint64_t page = NextStored(uint64_t{leaves} * kFanout); page < pages_;
       page = NextStored(page + 1)) {
    --stored_pages_;
  }
  leaves_.resize(leaves);
  pages_ = pages;
  return absl::OkStatus();
}

PageTable::Entry PageTable::Get(uint64_t page) const {
  const PageTableLeaf* const leaf = leaves_[page / kFanout].get();
  if (leaf == nullptr) return zero();
  return Entry{leaf->versions[page % kFanout], leaf->checksums[page % kFanout]};
}

absl::Status PageTable::Set(uint64_t page, const Entry& entry) {
  PageTableLeafRef& leaf = leaves_[page / kFanout];
  if (!leaf.is_alone()) {
    PageTableLeaf* const own = pool_->New(leaf.get(), zero_page_checksum_);
    if (own == nullptr) {
      return absl::ResourceExhaustedError(
          absl::StrCat("no memory for the table of ", pages_, " pages"));
    }
    leaf = PageTableLeafRef(own);
  }
  if (Get(page) != zero()) --stored_pages_;
  if (entry != zero()) ++stored_pages_;
  leaf->versions[page % kFanout] = entry.version;
  leaf->checksums[page % kFanout] = entry.checksum;
  // relaxed: nobody else has the leaf.
  leaf->checksum_of.store(0, std::memory_order_relaxed);
  return absl::OkStatus();
}

uint32_t PageTable::LeafChecksum(size_t index) const {
  const auto count = static_cast<uint32_t>(
      std::min<uint64_t>(kFanout, pages_ - index * kFanout));
  PageTableLeaf* const leaf = leaves_[index].get();
  if (leaf == nullptr) {
    if (count == kFanout) return zero_leaf_checksum_;
    return ChecksumOf(std::vector<uint32_t>(count, zero_page_checksum_));
  }
  const uint64_t known = leaf->checksum_of.load(std::memory_order_relaxed);
  if (known >> 32 == count) return static_cast<uint32_t>(known);
  const uint32_t checksum = ChecksumOf(std::span(leaf->checksums).first(count));
  leaf->checksum_of.store(uint64_t{count} << 32 | checksum,
                          std::memory_order_relaxed);
  return checksum;
}

uint32_t PageTable::Root() const {
  if (pages_ == 0) return 0;
  if (pages_ == 1) return Get(0).checksum;
  std::vector<uint32_t> level(leaves_.size());
  for (size_t i = 0; i < level.size(); ++i) level[i] = LeafChecksum(i);
  while (level.size() > 1) {
    std::vector<uint32_t> above;
    for (size_t i = 0; i < level.size(); i += kFanout) {
      above.push_back(ChecksumOf(
          std::span(level).subspan(i, std::min(kFanout, level.size() - i))));
    }
    level = std::move(above);
  }
  return level[0];
}

PageTable::Counts PageTable::Count() const {
  Counts counts;
  for (size_t i = 0; i < leaves_.size(); ++i) {
    const uint64_t first = i * kFanout;
    const auto count =
        static_cast<size_t>(std::min<uint64_t>(kFanout, pages_ - first));
    if (leaves_[i].get() == nullptr) {
      counts.zero += count;
      continue;
    }
    for (const PageVersion& version :
         std::span(leaves_[i]->versions).first(count)) {
      counts.zero += version.form == PageVersion::Form::kZero ? 1 : 0;
      counts.delta += version.is_delta() ? 1 : 0;
    }
  }
  return counts;
}

uint64_t PageTable::NextDifference(const PageTable& other,
                                   uint64_t page) const {
  while (page < pages_) {
    const size_t leaf = page / kFanout;
    const PageTableLeafRef none;
    const PageTableLeafRef& theirs =
        leaf < other.leaves_.size() ? other.leaves_[leaf] : none;
    if (leaves_[leaf] == theirs) {
      page = (page / kFanout + 1) * kFanout;
      continue;
    }
    if (Get(page) != (page < other.pages_ ? other.Get(page) : zero())) {
      return page;
    }
    ++page;
  }
  return pages_;
}

uint64_t PageTable::NextStored(uint64_t page) const {
  while (page < pages_) {
    if (leaves_[page / kFanout].get() == nullptr) {
      page = (page / kFanout + 1) * kFanout;
    } else if (Get(page) == zero()) {
      ++page;
    } else {
      return page;
    }
  }
  return pages_;
}

}  // namespace mmsb
