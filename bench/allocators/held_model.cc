// What other designs of the slab allocator would hold of the memory that
// held_benchmark looks at: its blocks and replacements, with places for blocks
// but no memory behind them. The first row is the design as it is, and says
// what held_benchmark says, but for a hundredth that the process itself takes.
//
// `batches` is how many there were for each replacement.
//
//   ./bazelw run -c opt //bench/allocators:held_model

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <map>
#include <set>
#include <unordered_set>
#include <utility>
#include <vector>

#include "bench/allocators/pseudo_random.h"

namespace mmsb {
namespace {

constexpr uint64_t kGranule = 4096;
constexpr uint64_t kUnit = 65536;
constexpr size_t kMaxBytes = 4096;

struct Design {
  const char* name;
  size_t steps;         // sizes in a doubling, a power of two
  size_t stack_bytes;   // on a class's stack at most, and in its depot
  size_t least_blocks;  // there may be as many of each
  bool depot;
  size_t lenders;       // larger sizes asked before another slab is begun
  bool fullest_first;   // from which slab blocks are taken
  size_t joined_above;  // bytes of blocks that lie in no slab: see Joined
};

constexpr size_t kNever = kMaxBytes;
constexpr Design kDesigns[] = {
    {"as it is", 8, 32768, 8, true, 0, false, kNever},
    {"fullest slab first", 8, 32768, 8, true, 0, true, kNever},
    {"the same, least stacks, no depot", 8, 4096, 2, false, 0, true, kNever},
    {"16 sizes", 16, 32768, 8, true, 0, false, kNever},
    {"16 sizes, small stacks", 16, 8192, 4, true, 0, false, kNever},
    {"the same, 1 lends", 16, 8192, 4, true, 1, false, kNever},
    {"the same, 2 lend", 16, 8192, 4, true, 2, false, kNever},
    {"the same, 2 lend, fullest first", 16, 8192, 4, true, 2, true, kNever},
    {"the same, 4 lend", 16, 8192, 4, true, 4, false, kNever},
    {"joined", 8, 32768, 8, true, 0, false, 128},
    {"joined, 16 sizes, small stacks", 16, 8192, 4, true, 0, false, 128},
    {"joined, 16, least stacks, no depot", 16, 4096, 2, false, 0, false, 128},
    {"joined, 32, least stacks, no depot", 32, 4096, 2, false, 0, false, 128},
};

// Free places of any size in regions of a unit, neighbours joined, the one that
// fits best taken first: what a general heap does, with its bookkeeping
// elsewhere.
class Joined {
 public:
  static constexpr uint64_t kBegin = uint64_t{1} << 40;

  uint64_t Take(uint64_t bytes) {
    auto best = by_size_.lower_bound({bytes, 0});
    if (best == by_size_.end()) {
      best = Add(end_, kUnit);
      end_ += kUnit;
    }
    const auto [size, begin] = *best;
    Remove(best);
    if (size > bytes) Add(begin + bytes, size - bytes);
    return begin;
  }

  void Give(uint64_t begin, uint64_t bytes) {
    const auto next = by_address_.lower_bound(begin);
    if (next != by_address_.end() && next->first == begin + bytes &&
        next->first % kUnit != 0) {
      bytes += next->second;
      Remove(by_size_.find({next->second, next->first}));
    }
    const auto behind = by_address_.lower_bound(begin);
    if (behind != by_address_.begin() && begin % kUnit != 0) {
      const auto [before, size] = *std::prev(behind);
      if (before + size == begin) {
        Remove(by_size_.find({size, before}));
        begin = before;
        bytes += size;
      }
    }
    Add(begin, bytes);
  }

 private:
  using BySize = std::set<std::pair<uint64_t, uint64_t>>;  // size, address

  BySize::iterator Add(uint64_t begin, uint64_t bytes) {
    by_address_[begin] = bytes;
    return by_size_.emplace(bytes, begin).first;
  }
  void Remove(BySize::iterator place) {
    by_address_.erase(place->second);
    by_size_.erase(place);
  }

  BySize by_size_;
  std::map<uint64_t, uint64_t> by_address_;
  uint64_t end_ = kBegin;
};

class Model {
 public:
  explicit Model(const Design& design) : design_(design) {
    for (size_t i = 0; i <= ClassOf(kMaxBytes); ++i) {
      const uint64_t bytes = ClassBytes(i);
      Class its = {};
      its.bytes = bytes;
      its.capacity = std::clamp<size_t>(design.stack_bytes / bytes,
                                        design.least_blocks, 128);
      its.limit = std::max<size_t>(1, its.capacity / 8);
      // Many blocks have their bits in front of them.
      its.blocks = kUnit / bytes;
      if (its.blocks > 512) its.blocks = (kUnit - its.blocks / 8) / bytes;
      classes_.push_back(its);
    }
  }

  uint64_t Allocate(size_t bytes) {
    Class& its = classes_[ClassOf(bytes)];
    if (its.stack.empty()) {
      its.limit = std::min(2 * its.limit, its.capacity);
      Refill(ClassOf(bytes), std::max<size_t>(1, its.limit / 2));
    }
    const uint64_t block = its.stack.back();
    its.stack.pop_back();
    touched_.insert(block / kGranule);
    return block;
  }

  void Deallocate(uint64_t block, size_t bytes) {
    Class& its = classes_[ClassOf(bytes)];
    if (its.stack.size() == its.limit) {
      if (its.limit < its.capacity) {
        its.limit = std::min(2 * its.limit, its.capacity);
      } else {
        Flush(its, std::max<size_t>(1, its.limit / 2));
      }
    }
    its.stack.push_back(block);
  }

  // All of a live block is written.
  void Write(uint64_t block, size_t bytes) {
    for (uint64_t i = block / kGranule; i <= (block + bytes - 1) / kGranule;
         ++i) {
      touched_.insert(i);
    }
  }

  // Bytes of the granules that were written, descriptors with them.
  [[nodiscard]] double Resident() const {
    return static_cast<double>(touched_.size() * kGranule +
                               slabs_.size() * sizeof(uint64_t) * 16);
  }
  // How often a stack was filled or emptied, under a lock.
  [[nodiscard]] double Batches() const { return static_cast<double>(batches_); }
  // Bytes of the block that serves so many.
  [[nodiscard]] double Rounded(size_t bytes) const {
    return static_cast<double>(ClassBytes(ClassOf(bytes)));
  }
  [[nodiscard]] double Cached() const {
    double sum = 0;
    for (const Class& its : classes_) {
      sum += static_cast<double>((its.stack.size() + its.depot.size()) *
                                 its.bytes);
    }
    return sum;
  }

 private:
  struct Slab {
    size_t slab_class;
    uint64_t begin;
    size_t out;
    std::array<uint64_t, kUnit / 8 / 64> bits;  // set: the block is here
  };
  struct Class {
    uint64_t bytes;
    size_t blocks;  // of a slab
    size_t capacity;
    size_t limit;
    std::vector<uint64_t> stack;
    std::vector<uint64_t> depot;
    std::vector<size_t> with_blocks;  // slabs, the last that got one at the end
  };

  // As in slab_size_classes.h, where there are 8 steps.
  [[nodiscard]] size_t ClassOf(size_t bytes) const {
    const size_t eighths = (bytes - 1) / 8;
    const int shift =
        std::bit_width(eighths | design_.steps) - std::bit_width(design_.steps);
    return static_cast<size_t>(shift) * design_.steps + (eighths >> shift);
  }
  [[nodiscard]] uint64_t ClassBytes(size_t i) const {
    if (i < 2 * design_.steps) return (i + 1) * 8;
    return (i % design_.steps + design_.steps + 1) * 8
           << (i / design_.steps - 1);
  }

  void Refill(size_t slab_class, size_t most) {
    ++batches_;
    Class& its = classes_[slab_class];
    if (its.bytes > design_.joined_above) {
      if (MoveFromDepot(its, most)) return;
      for (size_t i = 0; i < most; ++i) {
        its.stack.push_back(joined_.Take(its.bytes));
      }
      return;
    }
    if (MoveFromDepot(its, most) || TakeFromSlabs(slab_class, its, most)) {
      return;
    }
    // What loses less than an eighth by it may be served by larger blocks.
    for (size_t i = 1; i <= design_.lenders; ++i) {
      if (its.bytes > 128 && slab_class + i < classes_.size() &&
          TakeFromSlabs(slab_class + i, its, most)) {
        return;
      }
    }
    BeginSlab(slab_class);
    TakeFromSlabs(slab_class, its, most);
  }

  bool MoveFromDepot(Class& its, size_t most) {
    const size_t count = std::min(most, its.depot.size());
    its.stack.insert(its.stack.end(), its.depot.end() - Signed(count),
                     its.depot.end());
    its.depot.resize(its.depot.size() - count);
    return count != 0;
  }

  // Blocks of another class lie at multiples of what `its` blocks do.
  bool TakeFromSlabs(size_t from, Class& its, size_t most) {
    Class& lender = classes_[from];
    const int lacking = std::max(
        0, std::countr_zero(its.bytes) - std::countr_zero(lender.bytes));
    if (lacking > 5) return false;
    uint64_t aligned = 1;
    for (int step = 1 << lacking, i = step; i < 64; i += step) {
      aligned |= uint64_t{1} << i;
    }
    const size_t before = its.stack.size();
    std::vector<size_t>& slabs = lender.with_blocks;
    if (design_.fullest_first) {
      std::sort(slabs.begin(), slabs.end(), [&](size_t a, size_t b) {
        return slabs_[a].out < slabs_[b].out;
      });
    }
    for (size_t i = slabs.size(); i-- > 0;) {
      Slab& slab = slabs_[slabs[i]];
      for (size_t word = 0; word < slab.bits.size(); ++word) {
        uint64_t& bits = slab.bits[word];
        while ((bits & aligned) != 0 && its.stack.size() < before + most) {
          const int bit = std::countr_zero(bits & aligned);
          bits &= ~(uint64_t{1} << bit);
          ++slab.out;
          its.stack.push_back(slab.begin +
                              (word * 64 + static_cast<size_t>(bit)) *
                                  lender.bytes);
        }
      }
      if (slab.out == lender.blocks) slabs.erase(slabs.begin() + Signed(i));
      if (its.stack.size() == before + most) break;
    }
    return its.stack.size() != before;
  }

  void BeginSlab(size_t slab_class) {
    Slab slab = {slab_class, 0, 0, {}};
    Class& its = classes_[slab_class];
    for (size_t i = 0; i < its.blocks; ++i) {
      slab.bits[i / 64] |= uint64_t{1} << i % 64;
    }
    size_t number = slabs_.size();
    if (empty_.empty()) {
      slabs_.push_back(slab);
    } else {
      number = empty_.back();
      empty_.pop_back();
    }
    slab.begin = number * kUnit;
    slabs_[number] = slab;
    its.with_blocks.push_back(number);
  }

  void Flush(Class& its, size_t count) {
    ++batches_;
    const auto end = its.stack.begin() + Signed(count);
    if (design_.depot && its.depot.size() + count <= its.capacity) {
      its.depot.insert(its.depot.end(), its.stack.begin(), end);
    } else {
      for (auto block = its.stack.begin(); block != end; ++block) {
        SendHome(its, *block);
      }
    }
    its.stack.erase(its.stack.begin(), end);
  }

  void SendHome(const Class& its, uint64_t block) {
    if (block >= Joined::kBegin) {
      joined_.Give(block, its.bytes);
      return;
    }
    const size_t number = block / kUnit;
    Slab& slab = slabs_[number];
    Class& home = classes_[slab.slab_class];
    const size_t index = (block - slab.begin) / home.bytes;
    slab.bits[index / 64] |= uint64_t{1} << index % 64;
    if (slab.out-- == home.blocks) home.with_blocks.push_back(number);
    if (slab.out == 0) {
      home.with_blocks.erase(
          std::find(home.with_blocks.begin(), home.with_blocks.end(), number));
      empty_.push_back(number);
    }
  }

  static std::ptrdiff_t Signed(size_t n) {
    return static_cast<std::ptrdiff_t>(n);
  }

  const Design& design_;
  std::vector<Class> classes_;
  std::vector<Slab> slabs_;
  std::vector<size_t> empty_;  // slabs that any class may have
  Joined joined_;
  uint64_t batches_ = 0;
  std::unordered_set<uint64_t> touched_;  // granules
};

void Run(const Design& design) {
  struct Block {
    uint64_t place;
    size_t bytes;
  };
  Model model(design);
  // As LiveSet, in general_workloads.h.
  PseudoRandom random(1);
  const LogUniformSizes sizes(8, kMaxBytes);
  std::vector<Block> blocks(65536);
  const auto take = [&](Block& block) {
    block.bytes = sizes(random.Next());
    block.place = model.Allocate(block.bytes);
  };
  for (Block& block : blocks) take(block);
  constexpr int kTimes = 2000000;
  const double before = model.Batches();
  for (int i = 0; i < kTimes; ++i) {
    Block& block = blocks[random.Next() % blocks.size()];
    model.Deallocate(block.place, block.bytes);
    take(block);
  }
  const double batches = (model.Batches() - before) / kTimes;
  double asked = 0;
  double rounded = 0;
  for (const Block& block : blocks) {
    asked += static_cast<double>(block.bytes);
    rounded += model.Rounded(block.bytes);
    model.Write(block.place, block.bytes);
  }
  std::printf("%-36s %9.3f %9.3f %9.3f %9.3f\n", design.name, rounded / asked,
              model.Cached() / asked, model.Resident() / asked, batches);
}

}  // namespace
}  // namespace mmsb

int main() {
  std::printf("%-36s %9s %9s %9s %9s\n", "of the bytes asked for", "rounded",
              "on stacks", "resident", "batches");
  for (const mmsb::Design& design : mmsb::kDesigns) mmsb::Run(design);
  return 0;
}
