#ifndef MMSB_ALLOCATOR_PMR_H_
#define MMSB_ALLOCATOR_PMR_H_

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <memory_resource>
#include <new>
#include <type_traits>
#include <utility>

#include "allocator/allocator_ref.h"
#include "allocator/raw_allocator.h"
#include "allocator/system_source.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"

namespace mmsb {

// Any RawAllocator as a std::pmr::memory_resource, for the std::pmr containers.
//
// Owns the allocator by value (AllocatorRef lends one). Neither copied nor
// moved. As thread-safe as the allocator.
//
// allocate() throws std::bad_alloc where Allocate() returns null. Two resources
// are equal when they are the same object, or have the same type and their
// allocators compare equal, which says that each may free the other's blocks:
// AllocatorRefs that name one allocator, any two SystemSources. (Types can be
// told apart only with run-time type information; without it only the same
// object is equal.)
//
//   Arena arena;
//   PmrResource resource{AllocatorRef(arena)};
//   std::pmr::vector<int> numbers(&resource);
template <RawAllocator A>
class PmrResource : public std::pmr::memory_resource {
 public:
  // The arguments are those of the allocator's constructor.
  template <class... Args>
    requires std::constructible_from<A, Args...>
  explicit PmrResource(Args&&... args)
      : allocator_(std::forward<Args>(args)...) {}

  PmrResource(const PmrResource&) = delete;
  PmrResource& operator=(const PmrResource&) = delete;

  [[nodiscard]] A& upstream() noexcept { return allocator_; }
  [[nodiscard]] const A& upstream() const noexcept { return allocator_; }

 protected:
  void* do_allocate(size_t bytes, size_t alignment) override {
    void* const p = allocator_.Allocate(bytes, alignment);
    if (p == nullptr) throw std::bad_alloc();
    return p;
  }

  void do_deallocate(void* p, size_t bytes, size_t alignment) override {
    allocator_.Deallocate(p, bytes, alignment);
  }

  bool do_is_equal(
      const std::pmr::memory_resource& other) const noexcept override {
    if (this == &other) return true;
#if defined(__cpp_rtti)
    if constexpr (std::equality_comparable<A>) {
      const auto* const same = dynamic_cast<const PmrResource*>(&other);
      return same != nullptr && allocator_ == same->allocator_;
    }
#endif
    return false;
  }

 private:
  [[no_unique_address]] A allocator_;
};

template <RawAllocator A>
PmrResource(A) -> PmrResource<A>;

// Any std::pmr::memory_resource as a RawAllocator: an upstream.
//
// Copied like a pointer; the resource is not owned and outlives what was
// allocated. As thread-safe as the resource. Two are equal when their resources
// are. Null where the resource throws, whatever it throws, and for requests of
// more than SystemSource::kMaxBytes bytes, which not every resource can round
// up.
//
//   std::pmr::monotonic_buffer_resource buffer;
//   MemoryPool pool({.block_size = 64}, PmrUpstream(&buffer));
class PmrUpstream {
 public:
  // Null stands for std::pmr::get_default_resource(), as of now.
  explicit PmrUpstream(std::pmr::memory_resource* resource = nullptr) noexcept
      : resource_(resource != nullptr ? resource
                                      : std::pmr::get_default_resource()) {}

  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment) noexcept {
    if (!Alignment::IsValid(alignment) || bytes > SystemSource::kMaxBytes ||
        alignment > SystemSource::kMaxBytes / 2) {
      return nullptr;
    }
    try {
      return resource_->allocate(std::max<size_t>(bytes, 1), alignment);
    } catch (...) {
      return nullptr;
    }
  }

  void Deallocate(void* p, size_t bytes, size_t alignment) noexcept {
    if (p == nullptr) return;
    resource_->deallocate(p, std::max<size_t>(bytes, 1), alignment);
  }

  [[nodiscard]] std::pmr::memory_resource* resource() const noexcept {
    return resource_;
  }

  friend bool operator==(const PmrUpstream& a, const PmrUpstream& b) noexcept {
    return *a.resource_ == *b.resource_;
  }

 private:
  std::pmr::memory_resource* resource_;
};

static_assert(RawAllocator<PmrUpstream>);

// Any RawAllocator as the allocator of a standard container that is not a pmr
// one.
//
// Holds a pointer to the allocator, which is not owned and outlives the
// container; or, when A is empty and made by default (SystemSource), nothing at
// all. Copied freely. As thread-safe as A.
//
// Two are equal when they name the same allocator; those that hold nothing
// always are. A container takes its allocator along when it is moved or
// swapped, so both are always O(1) and never throw for the allocator's sake; a
// container that is copied uses the same allocator in the copy; one that is
// assigned to by copying keeps its own, so the elements stay where they were.
//
// allocate() throws std::bad_alloc where A has no more, and
// std::bad_array_new_length when the size overflows.
//
//   Arena arena;
//   std::vector<int, StdAllocator<int, Arena<>>> numbers(arena);
template <class T, RawAllocator A>
class StdAllocator {
  static constexpr bool kHoldsNothing =
      std::is_empty_v<A> && std::default_initializable<A>;

 public:
  using value_type = T;
  using propagate_on_container_copy_assignment = std::false_type;
  using propagate_on_container_move_assignment = std::true_type;
  using propagate_on_container_swap = std::true_type;
  using is_always_equal = std::bool_constant<kHoldsNothing>;

  StdAllocator() noexcept
    requires kHoldsNothing
  = default;

  // Implicit, as a container takes it in place of an allocator.
  StdAllocator(A& allocator) noexcept  // NOLINT: see above
    requires(!kHoldsNothing)
      : allocator_(allocator) {}
  StdAllocator(A&) noexcept  // NOLINT: see above
    requires kHoldsNothing
  {}

  // Rebinds: the same allocator, for objects of another type.
  template <class U>
  StdAllocator(const StdAllocator<U, A>& other) noexcept  // NOLINT
      : allocator_(other.allocator_) {}

  [[nodiscard]] T* allocate(size_t n) {
    size_t bytes = 0;
    if (!CheckedMultiply(n, sizeof(T), &bytes)) {
      throw std::bad_array_new_length();
    }
    void* const p = allocator_.Allocate(bytes, alignof(T));
    if (p == nullptr) throw std::bad_alloc();
    return static_cast<T*>(p);
  }

  void deallocate(T* p, size_t n) noexcept {
    allocator_.Deallocate(p, n * sizeof(T), alignof(T));
  }

  [[nodiscard]] StdAllocator select_on_container_copy_construction() const {
    return *this;
  }

  template <class U>
  friend bool operator==(const StdAllocator& a,
                         const StdAllocator<U, A>& b) noexcept {
    if constexpr (kHoldsNothing) {
      return true;
    } else {
      return a.handle() == b.handle();
    }
  }

 private:
  template <class U, RawAllocator B>
  friend class StdAllocator;

  using Handle = std::conditional_t<kHoldsNothing, A, AllocatorRef<A>>;

 public:
  // How this names its allocator; for comparing.
  [[nodiscard]] const Handle& handle() const noexcept { return allocator_; }

 private:
  [[no_unique_address]] Handle allocator_;
};

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_PMR_H_
