#include "allocator/testing/block_ledger.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <sstream>
#include <string>

namespace mmsb {
namespace {

// Contents of large blocks are written and looked at only this far from both
// ends.
constexpr size_t kEdgeBytes = 4096;

unsigned char ByteAt(uint64_t seed, size_t i) {
  return static_cast<unsigned char>((seed * 0x9E3779B97F4A7C15u) >> 56 ^
                                    (i * 0x9D));
}

template <class Visit>
void VisitContents(size_t bytes, Visit visit) {
  const size_t head = std::min(bytes, kEdgeBytes);
  const size_t tail = std::max(head, bytes - std::min(bytes, kEdgeBytes));
  for (size_t i = 0; i < head; ++i) visit(i);
  for (size_t i = tail; i < bytes; ++i) visit(i);
}

std::string Describe(uintptr_t begin, const BlockLedger::Block& block) {
  std::ostringstream out;
  out << "block of " << block.bytes << " bytes at 0x" << std::hex << begin;
  return out.str();
}

std::string CheckContents(uintptr_t begin, const BlockLedger::Block& block) {
  const auto* const data = reinterpret_cast<const unsigned char*>(begin);
  std::string error;
  VisitContents(block.bytes, [&](size_t i) {
    if (error.empty() && data[i] != ByteAt(block.seed, i)) {
      error = Describe(begin, block) + " was overwritten at byte " +
              std::to_string(i);
    }
  });
  return error;
}

uintptr_t EndOf(uintptr_t begin, const BlockLedger::Block& block) {
  return begin + std::max<size_t>(block.bytes, 1);
}

}  // namespace

std::string BlockLedger::Add(void* p, size_t bytes, size_t alignment) {
  const auto begin = reinterpret_cast<uintptr_t>(p);
  const Block block = {bytes, alignment, next_seed_++};
  if (p == nullptr) return "null is no block";
  if (begin % alignment != 0) {
    return Describe(begin, block) + " is not at a multiple of " +
           std::to_string(alignment);
  }
  const auto after = blocks_.lower_bound(begin);
  if (after != blocks_.end() && after->first < EndOf(begin, block)) {
    return Describe(begin, block) + " overlaps " +
           Describe(after->first, after->second);
  }
  if (after != blocks_.begin()) {
    const auto before = std::prev(after);
    if (EndOf(before->first, before->second) > begin) {
      return Describe(begin, block) + " overlaps " +
             Describe(before->first, before->second);
    }
  }
  auto* const data = static_cast<unsigned char*>(p);
  VisitContents(bytes, [&](size_t i) { data[i] = ByteAt(block.seed, i); });
  blocks_.emplace(begin, block);
  bytes_ += bytes;
  return "";
}

std::string BlockLedger::Remove(void* p) {
  const auto found = blocks_.find(reinterpret_cast<uintptr_t>(p));
  if (found == blocks_.end()) return "no live block starts there";
  std::string error = CheckContents(found->first, found->second);
  Drop(p);
  return error;
}

void BlockLedger::Drop(void* p) {
  const auto found = blocks_.find(reinterpret_cast<uintptr_t>(p));
  if (found == blocks_.end()) return;
  bytes_ -= found->second.bytes;
  blocks_.erase(found);
}

std::string BlockLedger::Check() const {
  for (const auto& [begin, block] : blocks_) {
    std::string error = CheckContents(begin, block);
    if (!error.empty()) return error;
  }
  return "";
}

}  // namespace mmsb
