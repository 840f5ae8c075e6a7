#include "allocator/pmr.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "allocator/allocator_ref.h"
#include "allocator/arena.h"
#include "allocator/limit_allocator.h"
#include "allocator/memory_pool.h"
#include "allocator/raw_allocator.h"
#include "allocator/stats_allocator.h"
#include "allocator/system_source.h"
#include "gtest/gtest.h"

namespace mmsb {
namespace {

constexpr size_t kMax = std::numeric_limits<size_t>::max();

TEST(PmrResourceTest, ServesPmrContainers) {
  StatsAllocator<> counted;
  PmrResource resource{AllocatorRef(counted)};
  {
    std::pmr::vector<std::pmr::string> names(&resource);
    std::pmr::map<int, std::pmr::string> by_number(&resource);
    std::pmr::unordered_map<std::pmr::string, int> by_name(&resource);
    std::pmr::list<int> numbers(&resource);
    for (int i = 0; i < 1000; ++i) {
      names.emplace_back(std::string(40, 'x') + std::to_string(i));
      by_number.emplace(i, names.back());
      by_name.emplace(names.back(), i);
      numbers.push_back(i);
    }
    EXPECT_EQ(by_name.at(names[777]), 777);
    EXPECT_EQ(by_number.at(5), names[5]);
    EXPECT_EQ(names[3].get_allocator().resource(), &resource);
    EXPECT_GT(counted.Stats().live(), 0u);
  }
  EXPECT_EQ(counted.Stats().live(), 0u);
  EXPECT_TRUE(counted.Stats().IdentityHolds());
}

TEST(PmrResourceTest, ThrowsWhereThereIsNoMore) {
  PmrResource<LimitAllocator<>> resource(
      LimitAllocatorOptions{.max_bytes = 64});
  void* const p = resource.allocate(64, 8);
  EXPECT_THROW(static_cast<void>(resource.allocate(1, 1)), std::bad_alloc);
  resource.deallocate(p, 64, 8);
  EXPECT_EQ(resource.upstream().used(), 0u);
  std::pmr::vector<char> chars(&resource);
  EXPECT_THROW(chars.resize(65), std::bad_alloc);
  chars.resize(64);
}

TEST(PmrResourceTest, IsEqualWhereEachMayFreeTheOthersBlocks) {
  MemoryPool pool({.block_size = 64});
  MemoryPool other_pool({.block_size = 64});
  const PmrResource a{AllocatorRef(pool)};
  const PmrResource b{AllocatorRef(pool)};
  const PmrResource c{AllocatorRef(other_pool)};
  EXPECT_TRUE(a.is_equal(a));
#if defined(__cpp_rtti)
  EXPECT_TRUE(a.is_equal(b));
  EXPECT_TRUE(
      PmrResource<SystemSource>().is_equal(PmrResource<SystemSource>()));
#endif
  EXPECT_FALSE(a.is_equal(c));
  EXPECT_FALSE(a.is_equal(PmrResource<SystemSource>()));
  EXPECT_FALSE(a.is_equal(*std::pmr::new_delete_resource()));
  const PmrResource<Arena<>> mine;
  const PmrResource<Arena<>> yours;
  EXPECT_TRUE(mine.is_equal(mine));
  EXPECT_FALSE(mine.is_equal(yours));
}

TEST(PmrUpstreamTest, CarriesAPoolAndReturnsNullForWhatIsThrown) {
  std::byte buffer[4096];
  std::pmr::monotonic_buffer_resource monotonic(
      buffer, sizeof(buffer), std::pmr::null_memory_resource());
  MemoryPool pool({.block_size = 64}, PmrUpstream(&monotonic));
  size_t blocks = 0;
  while (pool.Allocate() != nullptr) ++blocks;
  EXPECT_GT(blocks, 10u);
  EXPECT_LT(blocks, 64u);
  EXPECT_TRUE(pool.Stats().IdentityHolds());
}

TEST(PmrUpstreamTest, RefusesWhatResourcesCannotRoundUp) {
  PmrUpstream upstream(std::pmr::new_delete_resource());
  for (const size_t bytes : {kMax, kMax - 63, kMax / 2 + 2}) {
    for (const size_t alignment : {size_t{1}, size_t{64}, size_t{1} << 21}) {
      EXPECT_EQ(upstream.Allocate(bytes, alignment), nullptr);
    }
  }
  EXPECT_EQ(upstream.Allocate(1, size_t{1} << 63), nullptr);
  EXPECT_EQ(upstream.Allocate(1, 3), nullptr);
  void* const p = upstream.Allocate(0, 1);
  EXPECT_NE(p, nullptr);
  upstream.Deallocate(p, 0, 1);
  upstream.Deallocate(nullptr, 0, 1);
}

TEST(PmrUpstreamTest, EqualsByItsResource) {
  std::pmr::monotonic_buffer_resource monotonic;
  EXPECT_EQ(PmrUpstream(), PmrUpstream(std::pmr::get_default_resource()));
  EXPECT_NE(PmrUpstream(), PmrUpstream(&monotonic));
  EXPECT_EQ(PmrUpstream(&monotonic).resource(), &monotonic);
}

template <class T>
using InArena = StdAllocator<T, Arena<>>;
template <class T>
using InSystem = StdAllocator<T, SystemSource>;
template <class T>
using Counted = StdAllocator<T, StatsAllocator<>>;

static_assert(sizeof(InArena<int>) == sizeof(void*));
static_assert(std::is_empty_v<InSystem<int>>);
static_assert(!std::allocator_traits<InArena<int>>::is_always_equal::value);
static_assert(std::allocator_traits<InSystem<int>>::is_always_equal::value);
static_assert(
    std::is_same_v<std::allocator_traits<InArena<int>>::rebind_alloc<char>,
                   InArena<char>>);
static_assert(std::is_nothrow_copy_constructible_v<InArena<int>>);
static_assert(!std::is_default_constructible_v<InArena<int>>);
static_assert(
    std::is_nothrow_move_assignable_v<std::vector<int, InArena<int>>>);
static_assert(std::is_nothrow_swappable_v<std::vector<int, InArena<int>>>);

using CountedString =
    std::basic_string<char, std::char_traits<char>, Counted<char>>;

TEST(StdAllocatorTest, ServesStandardContainers) {
  StatsAllocator<> counted;
  {
    std::vector<int, Counted<int>> numbers(counted);
    std::list<int, Counted<int>> list(counted);
    std::map<int, int, std::less<>, Counted<std::pair<const int, int>>> map(
        counted);
    std::unordered_map<int, int, std::hash<int>, std::equal_to<>,
                       Counted<std::pair<const int, int>>>
        unordered(counted);
    CountedString text(1000, 'x', counted);
    for (int i = 0; i < 1000; ++i) {
      numbers.push_back(i);
      list.push_front(i);
      map[i] = i;
      unordered[i] = i;
      text += 'y';
    }
    EXPECT_EQ(numbers[999] + list.back() + map[998] + unordered[997],
              999 + 0 + 998 + 997);
    EXPECT_EQ(text.size(), 2000u);
    const auto shared = std::allocate_shared<int>(Counted<int>(counted), 7);
    EXPECT_EQ(*shared, 7);
    EXPECT_GT(counted.Stats().live(), 0u);
  }
  EXPECT_EQ(counted.Stats().live(), 0u);
  EXPECT_TRUE(counted.Stats().IdentityHolds());
}

TEST(StdAllocatorTest, HoldsNothingWhereNothingIsToBeHeld) {
  std::vector<int, InSystem<int>> a{1, 2, 3};
  std::vector<int, InSystem<int>> b;
  b = std::move(a);
  EXPECT_EQ(b, (std::vector<int, InSystem<int>>{1, 2, 3}));
  EXPECT_EQ(InSystem<int>(), InSystem<char>());
}

TEST(StdAllocatorTest, EqualsByWhatItNames) {
  Arena a;
  Arena b;
  EXPECT_EQ(InArena<int>(a), InArena<int>(a));
  EXPECT_EQ(InArena<int>(a), InArena<char>(a));
  EXPECT_EQ(InArena<int>(InArena<char>(a)), InArena<int>(a));
  EXPECT_NE(InArena<int>(a), InArena<int>(b));
  EXPECT_NE(InArena<int>(a), InArena<char>(b));
}

TEST(StdAllocatorTest, MovesAndSwapsTakeTheAllocatorAlong) {
  StatsAllocator<> first;
  StatsAllocator<> second;
  {
    std::vector<int, Counted<int>> a({1, 2, 3}, first);
    std::vector<int, Counted<int>> b({4, 5}, second);
    const int* const a_data = a.data();
    const int* const b_data = b.data();
    swap(a, b);
    EXPECT_EQ(a.data(), b_data);
    EXPECT_EQ(b.data(), a_data);
    EXPECT_EQ(a.get_allocator(), Counted<int>(second));
    a = std::move(b);
    EXPECT_EQ(a.data(), a_data);
    EXPECT_EQ(a.get_allocator(), Counted<int>(first));
    EXPECT_EQ(second.Stats().live(), 0u);
    std::vector<int, Counted<int>> moved(std::move(a));
    EXPECT_EQ(moved.data(), a_data);
  }
  EXPECT_EQ(first.Stats().live(), 0u);
  EXPECT_EQ(first.Stats().allocations(), 1u);
}

TEST(StdAllocatorTest, CopiesUseTheSameAndAssignmentsKeepTheirOwn) {
  StatsAllocator<> first;
  StatsAllocator<> second;
  {
    const std::list<int, Counted<int>> a({1, 2, 3}, first);
    const auto copy = a;
    EXPECT_EQ(copy.get_allocator(), Counted<int>(first));
    std::list<int, Counted<int>> b({4}, second);
    b = a;
    EXPECT_EQ(b, a);
    EXPECT_EQ(b.get_allocator(), Counted<int>(second));
    const std::list<int, Counted<int>> elsewhere(a, Counted<int>(second));
    EXPECT_EQ(elsewhere, a);
    EXPECT_GT(second.Stats().live(), 0u);
  }
  EXPECT_EQ(first.Stats().live(), 0u);
  EXPECT_EQ(second.Stats().live(), 0u);
}

TEST(StdAllocatorTest, ThrowsWhatTheStandardSays) {
  LimitAllocator limited({.max_bytes = 64});
  StdAllocator<uint64_t, LimitAllocator<>> allocator(limited);
  EXPECT_THROW(static_cast<void>(allocator.allocate(9)), std::bad_alloc);
  EXPECT_THROW(static_cast<void>(allocator.allocate(kMax / 8 + 1)),
               std::bad_array_new_length);
  EXPECT_THROW(static_cast<void>(allocator.allocate(kMax)),
               std::bad_array_new_length);
  EXPECT_THROW(static_cast<void>(allocator.allocate(kMax / 8)), std::bad_alloc);
  uint64_t* const p = allocator.allocate(8);
  allocator.deallocate(p, 8);
  EXPECT_EQ(limited.used(), 0u);
}

TEST(StdAllocatorTest, KeepsOverAlignedObjectsAligned) {
  struct alignas(128) Line {
    char bytes[128];
  };
  Arena arena;
  std::vector<Line, StdAllocator<Line, Arena<>>> lines(arena);
  lines.resize(100);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(lines.data()) % 128, 0u);
}

}  // namespace
}  // namespace mmsb
