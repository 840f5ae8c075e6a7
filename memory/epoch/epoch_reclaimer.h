#ifndef MMSB_MEMORY_EPOCH_EPOCH_RECLAIMER_H_
#define MMSB_MEMORY_EPOCH_EPOCH_RECLAIMER_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "allocator/lockfree_sync.h"
#include "primitives/cache_line.h"
#include "primitives/check.h"
#include "primitives/os_clock.h"

namespace mmsb {

// Frees what readers without locks may still be looking at, once none is.
//
// A writer that took an object out of a shared structure retires it instead of
// freeing it. A reader pins itself before it looks for objects, and unpins when
// it holds none. A retired object is freed when every reader that was pinned
// while the object could be found has unpinned. (Fraser, Practical
// Lock-Freedom, Cambridge 2004, chapter 5; here with a count that every Retire
// raises, so that nothing waits for readers that came later.)
//
//   a reader is   Pin              Unpin            Collect
//   idle          -> pinned        (cannot be)      passes over it
//   pinned        counts (nests)   counts, -> idle  keeps what was retired
//   since
//
// Owns the objects from Retire() on, and frees what is left in its destructor,
// when all Readers must be gone. Thread-safe, but a Reader is one thread's at a
// time. Not for use in a forked child of a threaded process: pins of threads
// that are not there stay.
//
// Garbage is bounded: at most max_retired objects wait. When that many do and
// none can be freed, Retire() leaves the object with the caller and returns
// ResourceExhausted, with the name of the reader that has been pinned longest.
//
// Pin is a load of the count, whose line only Retire writes, and a store to the
// reader's own line; unpin is a store. There is no fence where the kernel has
// membarrier(2). Retire is O(1) but for one call in kCollectEvery, which
// collects: O(readers), and a heavy fence of some microseconds. `reclaim` runs
// in Retire(), Collect() and the destructor, without a lock, on their thread.
//
//   auto reader = reclaimer.AddReader("scan");
//   { auto pin = reader->Pin(); Use(head.load(std::memory_order_acquire)); }
//   Node* old = head.exchange(next, std::memory_order_acq_rel);
//   absl::Status status = reclaimer.Retire(std::unique_ptr<Node>(old));
//
// Why no object is freed too early. Let O be retired at count r, that is: O was
// made unreachable, then the count was raised from r. Let a reader pin itself
// at count e, which is: load the count (acquire), store e into its slot
// (release), light fence. Collect frees O after a heavy fence that follows the
// raise, when each slot that it then loads (acquire) is idle or above r.
//   e > r   The load read what the raise wrote or later, so O's being
//           unreachable happened before; the reader does not find O.
//   e <= r  Collect loads of the slot either a value older than e: then by the
//           pair of fences what came before the heavy one, O's being
//           unreachable, is visible to the reader, which does not find O. Or e
//           itself: O is kept. Or a later value: the reader stored it (release)
//           after its last look at O, which so happened before O is freed.
template <class Sync = SystemSync>
class BasicEpochReclaimer {
 public:
  struct Options {
    size_t max_readers = 64;  // at one time
    size_t max_retired = 4096;
    Clock& clock = Clock::System();
  };

  static constexpr uint64_t kCollectEvery = 64;

  class Reader;

  // A reader's being pinned. Movable; ends with its destructor, on the reader's
  // thread, before the Reader.
  class PinGuard {
   public:
    PinGuard(PinGuard&& other) noexcept
        : reader_(std::exchange(other.reader_, nullptr)) {}
    PinGuard& operator=(PinGuard&&) = delete;
    ~PinGuard() {
      if (reader_ != nullptr) reader_->Unpin();
    }

   private:
    friend class Reader;
    explicit PinGuard(Reader* reader) : reader_(reader) {}
    Reader* reader_;
  };

  struct PinnedReader {
    std::string name;
    // Since a Collect() first saw this pin; it is older.
    int64_t seen_for_ns = 0;
    uint64_t retired = 0;  // objects that wait for it
  };

  explicit BasicEpochReclaimer(const Options& options = Options())
      : options_(options),
        asymmetric_(Sync::HasAsymmetricFence()),
        slots_(std::make_unique<Slot[]>(options.max_readers)) {
    MMSB_CHECK(options.max_retired != 0, "EpochReclaimer: max_retired is 0");
  }
  BasicEpochReclaimer(const BasicEpochReclaimer&) = delete;
  BasicEpochReclaimer& operator=(const BasicEpochReclaimer&) = delete;

  ~BasicEpochReclaimer() {
    for (size_t i = 0; i < options_.max_readers; ++i) {
      MMSB_CHECK(!slots_[i].taken, "EpochReclaimer: reader '%s' outlives it",
                 slots_[i].name.c_str());
    }
    for (const Retired& retired : retired_) retired.reclaim(retired.object);
  }

  // ResourceExhausted when there are max_readers. `name` is for people.
  absl::StatusOr<Reader> AddReader(std::string name) {
    const absl::MutexLock lock(mutex_);
    for (size_t i = 0; i < options_.max_readers; ++i) {
      Slot& slot = slots_[i];
      if (slot.taken) continue;
      slot.taken = true;
      slot.name = std::move(name);
      slot.seen = kIdle;
      return Reader(this, &slot);
    }
    return absl::ResourceExhaustedError(
        absl::StrCat("epoch reclaimer: no reader '", name, "' beside ",
                     options_.max_readers, " others, which is the limit"));
  }

  // Frees `object` by `reclaim(object)` when no reader can hold it any more;
  // nobody who is not pinned already may be able to find it.
  absl::Status Retire(void* object, void (*reclaim)(void*)) {
    std::vector<Retired> free;
    absl::Status status;
    {
      const absl::MutexLock lock(mutex_);
      // relaxed: written under the lock alone.
      if (retired_.size() >= options_.max_retired ||
          count_.load(std::memory_order_relaxed) % kCollectEvery ==
              kCollectEvery - 1) {
        free = TakeFree();
      }
      if (retired_.size() >= options_.max_retired) {
        status = TooMany();
      } else {
        // acq_rel: pairs with the acquire in Pin; publishes that the object
        // cannot be found. Under the lock, so that retired_ is in order.
        const uint64_t count = count_.fetch_add(1, std::memory_order_acq_rel);
        retired_.push_back({count, object, reclaim});
      }
    }
    for (const Retired& retired : free) retired.reclaim(retired.object);
    return status;
  }

  // On success `object` is taken; after a failure it is still the caller's.
  template <class T>
  absl::Status Retire(std::unique_ptr<T>&& object) {
    absl::Status status =
        Retire(object.get(), [](void* p) { delete static_cast<T*>(p); });
    // Now the reclaimer's, and perhaps freed already.
    if (status.ok()) static_cast<void>(object.release());
    return status;
  }

  // Frees what can be freed; how many objects.
  size_t Collect() {
    std::vector<Retired> free;
    {
      const absl::MutexLock lock(mutex_);
      free = TakeFree();
    }
    for (const Retired& retired : free) retired.reclaim(retired.object);
    return free.size();
  }

  // Objects that wait.
  size_t retired() const {
    const absl::MutexLock lock(mutex_);
    return retired_.size();
  }

  // The readers that retired objects wait for, the one that was seen first in
  // front. Whoever stays here is stalled.
  std::vector<PinnedReader> PinnedReaders() {
    const absl::MutexLock lock(mutex_);
    OldestPin();
    return Pinned();
  }

  // Internal, with the place, when something does not hold that does whenever
  // no Pin is running: objects wait in the order in which they were retired, no
  // more than may, and each was retired before now; who is pinned has a place,
  // and was pinned before now.
  absl::Status CheckInvariants() const {
    const absl::MutexLock lock(mutex_);
    // relaxed: written under the lock alone.
    const uint64_t count = count_.load(std::memory_order_relaxed);
    if (retired_.size() > options_.max_retired) {
      return absl::InternalError(absl::StrCat(
          "epoch reclaimer: ", retired_.size(),
          " objects wait, and may not be more than ", options_.max_retired));
    }
    uint64_t least = 0;
    for (const Retired& retired : retired_) {
      if (retired.count < least || retired.count >= count) {
        return absl::InternalError(absl::StrCat(
            "epoch reclaimer: an object was retired at ", retired.count,
            ", behind one of ", least, " and at most at ", count));
      }
      least = retired.count + 1;
    }
    for (size_t i = 0; i < options_.max_readers; ++i) {
      const Slot& slot = slots_[i];
      // relaxed: no Pin is running.
      const uint64_t pinned = slot.pinned.load(std::memory_order_relaxed);
      if (pinned == kIdle || (slot.taken && pinned <= count)) continue;
      return absl::InternalError(
          absl::StrCat("epoch reclaimer: reader '", slot.name, "' is ",
                       slot.taken ? "there" : "gone", " and pinned at ", pinned,
                       " of ", count));
    }
    return absl::OkStatus();
  }

 private:
  static constexpr uint64_t kIdle = std::numeric_limits<uint64_t>::max();

  struct alignas(kFalseSharingBytes) Slot {
    // The count at which the reader was pinned, or kIdle.
    typename Sync::template Atomic<uint64_t> pinned{kIdle};
    // The rest is under mutex_.
    bool taken = false;
    std::string name;
    uint64_t seen = kIdle;  // by the last OldestPin()
    int64_t seen_since_ns = 0;
  };

  struct Retired {
    uint64_t count;  // before it was raised
    void* object;
    void (*reclaim)(void*);
  };

  void Pin(Slot& slot) {
    // acquire: pairs with the acq_rel in Retire. release: pairs with the
    // acquire in OldestPin, for what the reader did under an earlier pin.
    slot.pinned.store(count_.load(std::memory_order_acquire),
                      std::memory_order_release);
    if (asymmetric_) [[likely]] {
      Sync::LightFence();
    } else {
      Meet();
    }
  }

  static void Unpin(Slot& slot) {
    // release: pairs with the acquire in OldestPin; the reader is done.
    slot.pinned.store(kIdle, std::memory_order_release);
  }

  // What both fences are without the asymmetric pair: of two that meet, the
  // second sees what came before the first.
  void Meet() {
    // acq_rel: pairs with itself.
    meeting_.fetch_add(1, std::memory_order_acq_rel);
  }

  // What no reader can hold any more, which waits no longer.
  std::vector<Retired> TakeFree() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::vector<Retired> free;
    if (retired_.empty()) return free;
    const uint64_t oldest = OldestPin();
    while (!retired_.empty() && retired_.front().count < oldest) {
      free.push_back(retired_.front());
      retired_.pop_front();
    }
    return free;
  }

  // The least count at which a reader is pinned; kIdle when none is, and 0 when
  // that cannot be known.
  uint64_t OldestPin() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!asymmetric_) {
      Meet();
    } else if (!Sync::HeavyFence()) {
      return 0;
    }
    uint64_t oldest = kIdle;
    int64_t now_ns = -1;
    for (size_t i = 0; i < options_.max_readers; ++i) {
      Slot& slot = slots_[i];
      // acquire: pairs with the releases in Pin and Unpin.
      const uint64_t pinned = slot.pinned.load(std::memory_order_acquire);
      if (pinned != slot.seen && pinned != kIdle) {
        if (now_ns < 0) now_ns = options_.clock.Now();
        slot.seen_since_ns = now_ns;
      }
      slot.seen = pinned;
      oldest = std::min(oldest, pinned);
    }
    return oldest;
  }

  std::vector<PinnedReader> Pinned() const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const int64_t now_ns = options_.clock.Now();
    std::vector<PinnedReader> readers;
    for (size_t i = 0; i < options_.max_readers; ++i) {
      const Slot& slot = slots_[i];
      if (slot.seen == kIdle) continue;
      const auto behind =
          std::ranges::lower_bound(retired_, slot.seen, {}, &Retired::count);
      if (behind == retired_.end()) continue;
      readers.push_back(
          {.name = slot.name,
           .seen_for_ns = now_ns - slot.seen_since_ns,
           .retired = static_cast<uint64_t>(retired_.end() - behind)});
    }
    std::ranges::sort(readers, std::ranges::greater(),
                      &PinnedReader::seen_for_ns);
    return readers;
  }

  absl::Status TooMany() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const std::vector<PinnedReader> readers = Pinned();
    return absl::ResourceExhaustedError(absl::StrCat(
        "epoch reclaimer: ", retired_.size(), " objects wait, which is the ",
        "limit; ",
        readers.empty()
            ? "the system took its memory barrier away"
            : absl::StrCat("reader '", readers[0].name, "' was first seen ",
                           "pinned ", readers[0].seen_for_ns / 1'000'000,
                           " ms ago")));
  }

  const Options options_;
  const bool asymmetric_;
  const std::unique_ptr<Slot[]> slots_;
  // Of Retire()s. On a line that readers share.
  alignas(kFalseSharingBytes)
      typename Sync::template Atomic<uint64_t> count_{0};
  // Without meaning; written by readers where there is no asymmetric fence.
  alignas(kFalseSharingBytes)
      typename Sync::template Atomic<uint64_t> meeting_{0};
  mutable absl::Mutex mutex_;
  // Oldest first.
  std::deque<Retired> retired_ ABSL_GUARDED_BY(mutex_);
};

// A reader's place. Movable while it is not pinned; gives the place back when
// it is destroyed.
template <class Sync>
class BasicEpochReclaimer<Sync>::Reader {
 public:
  Reader(Reader&& other) noexcept
      : owner_(std::exchange(other.owner_, nullptr)), slot_(other.slot_) {
    MMSB_CHECK(other.pins_ == 0, "EpochReclaimer: a pinned reader was moved");
  }
  Reader& operator=(Reader&&) = delete;
  ~Reader() {
    if (owner_ == nullptr) return;
    MMSB_CHECK(pins_ == 0, "EpochReclaimer: a pinned reader was destroyed");
    const absl::MutexLock lock(owner_->mutex_);
    slot_->taken = false;
  }

  // While the result lives, nothing is freed that can be found from now on.
  // Pins nest; the first counts.
  [[nodiscard]] PinGuard Pin() {
    if (pins_++ == 0) owner_->Pin(*slot_);
    return PinGuard(this);
  }

 private:
  friend class BasicEpochReclaimer;
  Reader(BasicEpochReclaimer* owner, Slot* slot) : owner_(owner), slot_(slot) {}

  void Unpin() {
    if (--pins_ == 0) BasicEpochReclaimer::Unpin(*slot_);
  }

  BasicEpochReclaimer* owner_;
  Slot* slot_;
  uint64_t pins_ = 0;
};

using EpochReclaimer = BasicEpochReclaimer<>;

}  // namespace mmsb

#endif  // MMSB_MEMORY_EPOCH_EPOCH_RECLAIMER_H_
