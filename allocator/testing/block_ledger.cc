#include "allocator/testing/block_ledger.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <sstream>
#include <string>

namespace mmsb {
namespace {

// Contents of large blocks are written and looked at only this far from both
// ends.
constexpr size_t kEdgeBytes = 4096;

// What blocks are filled with: each from a place in here that its seed chooses.
constexpr size_t kPlaces = 251;
constexpr auto kPattern = [] {
  std::array<unsigned char, kEdgeBytes + kPlaces> pattern{};
  uint32_t state = 1;
  for (unsigned char& byte : pattern) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<unsigned char>(state >> 24);
  }
  return pattern;
}();

// The written part of a block: both of its ends, or all of it and nothing.
struct Edge {
  size_t offset;
  size_t bytes;
};
std::array<Edge, 2> EdgesOf(size_t bytes) {
  const size_t head = std::min(bytes, kEdgeBytes);
  const size_t tail = std::min(bytes - head, kEdgeBytes);
  return {{{0, head}, {bytes - tail, tail}}};
}

const unsigned char* PatternOf(const BlockLedger::Block& block) {
  return kPattern.data() + block.seed % kPlaces;
}

std::string Describe(uintptr_t begin, const BlockLedger::Block& block) {
  std::ostringstream out;
  out << "block of " << block.bytes << " bytes at 0x" << std::hex << begin;
  return out.str();
}

std::string CheckContents(uintptr_t begin, const BlockLedger::Block& block) {
  const auto* const data = reinterpret_cast<const unsigned char*>(begin);
  const unsigned char* const pattern = PatternOf(block);
  for (const auto& [offset, bytes] : EdgesOf(block.bytes)) {
    const unsigned char* const edge = data + offset;
    if (std::memcmp(edge, pattern, bytes) == 0) continue;
    const auto* const wrong = std::mismatch(edge, edge + bytes, pattern).first;
    return Describe(begin, block) + " was overwritten at byte " +
           std::to_string(wrong - data);
  }
  return "";
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
  for (const auto& edge : EdgesOf(bytes)) {
    std::memcpy(static_cast<unsigned char*>(p) + edge.offset, PatternOf(block),
                edge.bytes);
  }
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
