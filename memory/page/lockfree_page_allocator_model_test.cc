// The whole allocator in the ways that small programs of it can go.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "allocator/system_source.h"
#include "allocator/testing/model_atomic.h"
#include "allocator/testing/model_checker.h"
#include "gtest/gtest.h"
#include "memory/page/frame_layout.h"
#include "memory/page/lockfree_page_allocator.h"
#include "primitives/alignment.h"
#include "primitives/os_error.h"
#include "primitives/os_memory.h"

namespace mmsb {
namespace {

using AsGiven = ModelSync<true>;
using Relaxed = ModelSync<true, ModelOrders::kRelaxed>;

// Bookkeeping from the heap, and regions at addresses that nobody touches: an
// exploration makes an allocator a hundred thousand times.
class CheapMapper final : public MemoryMapper {
 public:
  Alignment Granule() const override {
    return Alignment::FromBytes(kFrameBytes);
  }
  Alignment HugeGranule() const override { return Granule(); }
  OsError Reserve(size_t bytes, Alignment alignment, void** address) override {
    *address = alignment > Granule()
                   ? reinterpret_cast<void*>(uintptr_t{1} << 40)
                   : heap_.Allocate(bytes, alignment.bytes());
    return OsError();
  }
  OsError Commit(void*, size_t) override { return OsError(); }
  OsError Decommit(void*, size_t) override { return OsError(); }
  OsError Discard(void*, size_t) override { return OsError(); }
  OsError Protect(void*, size_t, Access) override { return OsError(); }
  OsError AdviseHuge(void*, size_t) override { return OsError(); }
  OsError MapHuge(size_t, void**) override { return OsError(); }
  OsError Release(void* address, size_t bytes) override {
    if (address != reinterpret_cast<void*>(uintptr_t{1} << 40)) {
      heap_.Deallocate(address, bytes, kFrameBytes);
    }
    return OsError();
  }

 private:
  SystemSource heap_;
};

// Two huge frames with one free frame each, and a thing for each of the two
// that only its holder uses.
template <class Sync>
struct State {
  explicit State(size_t slots)
      : frames(*BasicLockFreePageAllocator<Sync>::Create(
            {.bytes = 2 * kHugeBytes, .max_threads = slots}, mapper)) {
    std::vector<uint64_t> bitmap(2 * kWordsPerHuge, ~uint64_t{0});
    bitmap[0] &= ~uint64_t{1};
    bitmap[kWordsPerHuge] &= ~uint64_t{1};
    ModelExpect(frames->Recover(bitmap).ok(), "it is a bitmap");
  }

  void Use() {
    const absl::StatusOr<void*> p = frames->Allocate(0);
    ModelExpect(p.ok(), "none, where there is one for each thread");
    if (!p.ok()) return;
    const bool second = *p != frames->region();
    things[second].Touch();
    ModelExpect(frames->Free(*p, 0).ok(), "it was allocated");
  }

  CheapMapper mapper;
  std::unique_ptr<BasicLockFreePageAllocator<Sync>> frames;
  std::array<ModelCell, 2> things;
};

// As many frames as threads, each of which takes one at a time and gives it
// back. None may ever be refused, and none may have another's.
template <class Sync>
ModelResult Explore(size_t slots, int times) {
  return ExploreModel(
      [=](ModelProgram& program) {
        auto state = std::make_shared<State<Sync>>(slots);
        for (const int n : {times, 1}) {
          program.Thread([=] {
            for (int i = 0; i < n; ++i) state->Use();
            state->frames->DetachThread();
          });
        }
        program.Finally([=] {
          ModelExpect(state->frames->FreeFrames() == 2, "both are back");
          ModelExpect(state->frames->CheckInvariants().ok(), "all is counted");
        });
      },
      {.max_preemptions = 2, .max_stale_reads = 1});
}

void ExpectPassed(const ModelResult& result) {
  EXPECT_TRUE(result.complete) << "ended after " << result.executions;
  EXPECT_EQ(result.error, "");
  ::testing::Test::RecordProperty("executions",
                                  std::to_string(result.executions));
}

TEST(LockFreePageAllocatorModelTest, AFrameForEachThreadIsEnough) {
  ExpectPassed(Explore<AsGiven>(2, 2));
}

TEST(LockFreePageAllocatorModelTest, WithOneSlotForTwoThreads) {
  ExpectPassed(Explore<AsGiven>(1, 2));
}

TEST(LockFreePageAllocatorModelTest, WithWeakerOrdersIsCaught) {
  EXPECT_NE(Explore<Relaxed>(2, 2).error, "");
}

}  // namespace
}  // namespace mmsb
