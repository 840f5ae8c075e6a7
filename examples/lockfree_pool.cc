// Buffers of 4 KiB between two threads: one takes them out of a pool, fills
// them and hands them over; the other reads them and gives them back.
//
//   ./bazelw run //examples:lockfree_pool

#include "mmsb/lockfree_pool.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <new>
#include <numeric>
#include <string_view>
#include <thread>

#include "mmsb/allocator_stats.h"

namespace {

constexpr size_t kBuffers = 64;
constexpr uint64_t kMessages = 100000;

struct Buffer {
  uint64_t number;
  std::array<uint64_t, 511> words;
};

// A ring of names: a BlockId takes 8 bytes and means the same in every thread.
class Ring {
 public:
  void Push(mmsb::BlockId id) {
    // acquire and release: what is in the slot, and in the buffer that it
    // names, was written before `end_` moved.
    while (end_.load(std::memory_order_relaxed) -
               begin_.load(std::memory_order_acquire) ==
           ids_.size()) {
      std::this_thread::yield();
    }
    const uint64_t end = end_.load(std::memory_order_relaxed);
    ids_[end % ids_.size()] = id;
    end_.store(end + 1, std::memory_order_release);
  }

  mmsb::BlockId Pop() {
    const uint64_t begin = begin_.load(std::memory_order_relaxed);
    while (end_.load(std::memory_order_acquire) == begin) {
      std::this_thread::yield();
    }
    const mmsb::BlockId id = ids_[begin % ids_.size()];
    begin_.store(begin + 1, std::memory_order_release);
    return id;
  }

 private:
  std::array<mmsb::BlockId, 16> ids_;
  std::atomic<uint64_t> begin_ = 0;
  std::atomic<uint64_t> end_ = 0;
};

}  // namespace

int main() {
  mmsb::LockFreePool pool(
      {.block_size = sizeof(Buffer), .capacity = kBuffers, .alignment = 64});
  Ring ring;
  uint64_t wrong = 0;

  std::thread reader([&] {
    for (uint64_t i = 0; i < kMessages; ++i) {
      const mmsb::BlockId id = ring.Pop();
      const auto& buffer = *static_cast<const Buffer*>(pool.AddressOf(id));
      if (buffer.number != i || buffer.words.back() != i + 510) ++wrong;
      pool.Deallocate(id);
    }
  });

  for (uint64_t i = 0; i < kMessages; ++i) {
    mmsb::BlockId id = pool.AllocateId();
    while (!id.valid()) {  // All 64 buffers are on their way.
      std::this_thread::yield();
      id = pool.AllocateId();
    }
    auto* const buffer = ::new (pool.AddressOf(id)) Buffer;
    buffer->number = i;
    std::iota(buffer->words.begin(), buffer->words.end(), i);
    ring.Push(id);
  }
  reader.join();

  const mmsb::AllocatorStats stats = pool.Stats();
  char text[1024];
  const std::string_view json(text, stats.FormatJson(text));
  std::printf("%.*s\n", static_cast<int>(json.size()), json.data());
  return wrong == 0 && stats.live() == 0 && stats.deallocations() == kMessages
             ? 0
             : 1;
}
