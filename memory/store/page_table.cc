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

constexpr uint64_t kLeafPages = PageTableLeaf::kPages;
constexpr uint64_t kNodePages = PageTableNode::kPages;
constexpr size_t kFanout = 1024;
static_assert(kFanout == PageTableLeaf::kPages &&
              kFanout == PageTableNode::kLeaves);

uint32_t ChecksumOf(std::span<const uint32_t> values) {
  std::array<std::byte, kFanout * sizeof(uint32_t)> bytes;
  for (size_t i = 0; i < values.size(); ++i) {
    StoreLittleEndian<uint32_t>(values[i], bytes, i * sizeof(uint32_t));
  }
  return Crc32c(std::span(bytes).first(values.size() * sizeof(uint32_t)));
}

// Of kFanout values `value`.
uint32_t ChecksumOfAlike(uint32_t value) {
  std::array<uint32_t, kFanout> values;
  values.fill(value);
  return ChecksumOf(values);
}

// What `block` keeps of the checksum of its first `pages` pages; `compute`s it
// where it keeps none.
template <typename Compute>
uint32_t KeptChecksum(PageTableBlock& block, uint64_t pages, Compute compute) {
  const uint64_t known = block.checksum_of.load(std::memory_order_relaxed);
  if (known >> 32 == pages) return static_cast<uint32_t>(known);
  const uint32_t checksum = compute();
  block.checksum_of.store(pages << 32 | checksum, std::memory_order_relaxed);
  return checksum;
}

// The first page behind the block of `pages` pages that `page` is in.
uint64_t Behind(uint64_t page, uint64_t pages) {
  return (page / pages + 1) * pages;
}

}  // namespace

PageTableLeaf* PageTablePool::New(const PageTableLeaf* block,
                                  uint32_t zero_page_checksum) {
  static_assert(std::is_trivially_destructible_v<PageTableLeaf>);
  void* memory;
  {
    const absl::MutexLock lock(mutex_);
    memory = leaves_.Allocate();
  }
  if (memory == nullptr) return nullptr;
  auto* const created = ::new (memory) PageTableLeaf;
  created->pool = this;
  if (block != nullptr) {
    created->versions = block->versions;
    created->checksums = block->checksums;
  } else {
    created->versions.fill(PageVersion{});
    created->checksums.fill(zero_page_checksum);
  }
  return created;
}

PageTableNode* PageTablePool::New(const PageTableNode* block,
                                  uint32_t /*zero_page_checksum*/) {
  void* memory;
  {
    const absl::MutexLock lock(mutex_);
    memory = nodes_.Allocate();
  }
  if (memory == nullptr) return nullptr;
  auto* const created = ::new (memory) PageTableNode;
  created->pool = this;
  if (block != nullptr) created->leaves = block->leaves;
  return created;
}

void PageTablePool::Delete(PageTableLeaf* leaf) {
  const absl::MutexLock lock(mutex_);
  leaves_.Deallocate(leaf);
}

void PageTablePool::Delete(PageTableNode* node) {
  node->~PageTableNode();
  const absl::MutexLock lock(mutex_);
  nodes_.Deallocate(node);
}

AllocatorStats PageTablePool::Stats() const {
  const absl::MutexLock lock(mutex_);
  const AllocatorStats leaves = leaves_.Stats();
  const AllocatorStats nodes = nodes_.Stats();
  return AllocatorStats(
      {.live = leaves.live() + nodes.live(),
       .cached = leaves.cached() + nodes.cached(),
       .free = leaves.free() + nodes.free(),
       .metadata = leaves.metadata() + nodes.metadata(),
       .committed = leaves.committed() + nodes.committed(),
       .peak = leaves.peak() + nodes.peak(),
       .allocations = leaves.allocations() + nodes.allocations(),
       .deallocations = leaves.deallocations() + nodes.deallocations(),
       .failures = leaves.failures() + nodes.failures()});
}

PageTable::PageTable(PageTablePool& pool, size_t page_bytes)
    : pool_(&pool),
      zero_page_checksum_(Crc32c(std::vector<std::byte>(page_bytes))),
      zero_leaf_checksum_(ChecksumOfAlike(zero_page_checksum_)),
      zero_node_checksum_(ChecksumOfAlike(zero_leaf_checksum_)) {}

absl::Status PageTable::NoMemory() const {
  return absl::ResourceExhaustedError(
      absl::StrCat("no memory for the table of ", pages_, " pages"));
}

const PageTableNode* PageTable::NodeOf(uint64_t page) const {
  const uint64_t node = page / kNodePages;
  return node < nodes_.size() ? nodes_[node].get() : nullptr;
}

const PageTableLeaf* PageTable::LeafOf(uint64_t page) const {
  const PageTableNode* const node = NodeOf(page);
  return node == nullptr ? nullptr
                         : node->leaves[page / kLeafPages % kFanout].get();
}

template <typename Block>
bool PageTable::Own(PageTableRef<Block>& block) {
  if (block.is_alone()) return true;
  Block* const own = pool_->New(block.get(), zero_page_checksum_);
  if (own == nullptr) return false;
  block = PageTableRef<Block>(own);
  return true;
}

absl::Status PageTable::Resize(uint64_t pages) {
  if (pages > kMaxPages) {
    return absl::OutOfRangeError(
        absl::StrCat(pages, " pages; the limit is ", kMaxPages));
  }
  if (pages < pages_) {
    if (absl::Status status = CutOff(pages); !status.ok()) return status;
  }
  nodes_.resize(static_cast<size_t>((pages + kNodePages - 1) / kNodePages));
  pages_ = pages;
  return absl::OkStatus();
}

// What is cut off must read as zeros if the table grows again. Whole nodes are
// dropped after this.
absl::Status PageTable::CutOff(uint64_t pages) {
  const uint64_t whole = (pages + kLeafPages - 1) / kLeafPages * kLeafPages;
  for (uint64_t page = NextStored(pages); page < std::min(whole, pages_);
       page = NextStored(page + 1)) {
    if (absl::Status status = Set(page, zero()); !status.ok()) return status;
  }
  uint64_t dropped = 0;
  for (uint64_t page = NextStored(whole); page < pages_;
       page = NextStored(page + 1)) {
    ++dropped;
  }
  if (dropped > 0 && whole % kNodePages != 0 && NodeOf(whole) != nullptr) {
    PageTableRef<PageTableNode>& node = nodes_[whole / kNodePages];
    if (!Own(node)) return NoMemory();
    std::ranges::fill(
        std::span(node->leaves).subspan(whole / kLeafPages % kFanout),
        PageTableRef<PageTableLeaf>());
    node->checksum_of.store(0, std::memory_order_relaxed);
  }
  stored_pages_ -= dropped;
  return absl::OkStatus();
}

PageTable::Entry PageTable::Get(uint64_t page) const {
  const PageTableLeaf* const leaf = LeafOf(page);
  if (leaf == nullptr) return zero();
  return Entry{leaf->versions[page % kLeafPages],
               leaf->checksums[page % kLeafPages]};
}

absl::Status PageTable::Set(uint64_t page, const Entry& entry) {
  PageTableRef<PageTableNode>& node = nodes_[page / kNodePages];
  if (!Own(node)) return NoMemory();
  PageTableRef<PageTableLeaf>& leaf = node->leaves[page / kLeafPages % kFanout];
  if (!Own(leaf)) return NoMemory();
  if (Get(page) != zero()) --stored_pages_;
  if (entry != zero()) ++stored_pages_;
  leaf->versions[page % kLeafPages] = entry.version;
  leaf->checksums[page % kLeafPages] = entry.checksum;
  // relaxed: nobody else has them.
  leaf->checksum_of.store(0, std::memory_order_relaxed);
  node->checksum_of.store(0, std::memory_order_relaxed);
  return absl::OkStatus();
}

uint32_t PageTable::Checksum(PageTableLeaf* block, uint64_t first) const {
  const uint64_t pages = PagesFrom(first, kLeafPages);
  if (block != nullptr) {
    return KeptChecksum(*block, pages, [&] {
      return ChecksumOf(std::span(block->checksums).first(pages));
    });
  }
  if (pages == kLeafPages) return zero_leaf_checksum_;
  return ChecksumOf(std::vector<uint32_t>(pages, zero_page_checksum_));
}

uint32_t PageTable::Checksum(PageTableNode* block, uint64_t first) const {
  const uint64_t pages = PagesFrom(first, kNodePages);
  const auto compute = [&] {
    std::vector<uint32_t> leaves;
    for (uint64_t page = 0; page < pages; page += kLeafPages) {
      leaves.push_back(Checksum(
          block == nullptr ? nullptr : block->leaves[page / kLeafPages].get(),
          first + page));
    }
    return ChecksumOf(leaves);
  };
  if (block != nullptr) return KeptChecksum(*block, pages, compute);
  return pages == kNodePages ? zero_node_checksum_ : compute();
}

uint32_t PageTable::Root() const {
  if (pages_ == 0) return 0;
  if (pages_ == 1) return Get(0).checksum;
  if (pages_ <= kLeafPages) {
    const PageTableNode* const node = NodeOf(0);
    return Checksum(node == nullptr ? nullptr : node->leaves[0].get(), 0);
  }
  std::vector<uint32_t> level(nodes_.size());
  for (size_t i = 0; i < level.size(); ++i) {
    level[i] = Checksum(nodes_[i].get(), i * kNodePages);
  }
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
  Counts counts = {.zero = pages_};
  for (uint64_t first = 0; first < pages_;) {
    if (NodeOf(first) == nullptr) {
      first = Behind(first, kNodePages);
      continue;
    }
    if (const PageTableLeaf* const leaf = LeafOf(first); leaf != nullptr) {
      for (const PageVersion& version :
           std::span(leaf->versions).first(PagesFrom(first, kLeafPages))) {
        counts.zero -= version.form != PageVersion::Form::kZero ? 1 : 0;
        counts.delta += version.is_delta() ? 1 : 0;
      }
    }
    first += kLeafPages;
  }
  return counts;
}

uint64_t PageTable::NextDifference(const PageTable& other,
                                   uint64_t page) const {
  while (page < pages_) {
    if (NodeOf(page) == other.NodeOf(page)) {
      page = Behind(page, kNodePages);
      continue;
    }
    const uint64_t end = std::min(Behind(page, kLeafPages), pages_);
    if (LeafOf(page) == other.LeafOf(page)) {
      page = end;
      continue;
    }
    for (; page < end; ++page) {
      if (Get(page) != (page < other.pages_ ? other.Get(page) : zero())) {
        return page;
      }
    }
  }
  return pages_;
}

uint64_t PageTable::NextStored(uint64_t page) const {
  while (page < pages_) {
    if (NodeOf(page) == nullptr) {
      page = Behind(page, kNodePages);
      continue;
    }
    const uint64_t end = std::min(Behind(page, kLeafPages), pages_);
    if (LeafOf(page) == nullptr) {
      page = end;
      continue;
    }
    for (; page < end; ++page) {
      if (Get(page) != zero()) return page;
    }
  }
  return pages_;
}

}  // namespace mmsb
