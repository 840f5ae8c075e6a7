#ifndef MMSB_DEVICE_DEVICE_MEMORY_POOL_H_
#define MMSB_DEVICE_DEVICE_MEMORY_POOL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "allocator/allocator_stats.h"
#include "device/device.h"
#include "device/device_event.h"
#include "device/device_pointer.h"
#include "primitives/bytes.h"

namespace mmsb {

// Memory of a device that is allocated and freed in the order of streams,
// without waiting: the pool takes chunks from the device and cuts them into
// blocks. (What cudaMallocAsync and RMM's pool offer, over any Device.)
//
// A block belongs to the stream that it was allocated for: work that is
// submitted to that stream later may use it. It is given back in the name of a
// stream, too, behind whose work it is free. So for one stream it can be used
// again at once. For another it can when that one waits for the first: the pool
// lets it wait, and only then, and only when it has not waited since the block
// was freed. (The event is recorded when it is needed, so the wait may cover
// more work than the block's.)
//
//   block    live          free, of stream T          free, of no stream
//   from     Allocate      Deallocate(.., T)          a new chunk; Synchronize
//   serves   its owner     T at once; others after    all at once
//                          they wait for T
//   joins    -             what is beside it, of T    what is beside it
//
// A request is served by the smallest block that is large enough, of its stream
// or of none; then of other streams; then by blocks that lie side by side,
// whoever's they are; then by a new chunk; then by chunks that idle chunks,
// given back to the device, make room for. When all that fails the callback is
// asked: it returns true when it has freed something, and all is tried again.
//
// Who owns what: the chunks are the pool's, and go back to the device when the
// pool is destroyed, with what is still live. The device outlives the pool.
// All bookkeeping is on the host, and device memory is never touched.
//
// Thread-safety: any call, any thread, but not from work given to
// Device::Run(); what two threads do to one stream is ordered by them. The
// callback is called without a lock and may call the pool, also in several
// threads at once.
// Failure: a status that names the device; nothing has changed then.
// ResourceExhausted for no memory; InvalidArgument for a pointer that is not of
// a live block, or a stream of another device; what the device says, when it
// cannot wait. A stream that is gone is one that is done: its blocks are
// everybody's.
// Complexity: O(log blocks + streams); O(blocks) before the pool grows.
//
//   DeviceMemoryPool pool(device);
//   absl::StatusOr<DevicePointer> at = pool.Allocate(bytes, stream);
//   ... // submit work upon it to `stream`
//   absl::Status status = pool.Deallocate(*at, stream);
class DeviceMemoryPool {
 public:
  // Every block begins at a multiple of it, and has a size that is one.
  static constexpr size_t kAlignment = 256;

  struct Options {
    // What the device is asked for at the least; a larger request gets a chunk
    // of its own size, and so does any when there is not as much.
    size_t chunk_bytes = 16 * kMiB;
    // The most that all chunks may take.
    size_t max_bytes = std::numeric_limits<size_t>::max();
    // Synchronize() gives idle chunks back while there is more than this.
    size_t release_threshold_bytes = std::numeric_limits<size_t>::max();
    // `bytes` could not be had. True: it has freed something, so try again; one
    // that says so for ever is asked for ever.
    std::function<bool(size_t bytes)> on_out_of_memory = nullptr;
  };

  struct Fragmentation {
    size_t idle_bytes = 0;     // in free blocks
    size_t largest_bytes = 0;  // of them
    size_t blocks = 0;         // free ones
    // The share of what is idle that the largest request cannot get: 0 is best.
    [[nodiscard]] double ratio() const {
      return idle_bytes == 0 ? 0
                             : 1 - static_cast<double>(largest_bytes) /
                                       static_cast<double>(idle_bytes);
    }
  };

  // What was done to the device.
  struct Calls {
    uint64_t chunks_taken = 0;
    uint64_t chunks_released = 0;
    uint64_t crossings = 0;  // an event recorded, and waited for by a stream
  };

  explicit DeviceMemoryPool(Device& device);
  DeviceMemoryPool(Device& device, Options options);
  DeviceMemoryPool(const DeviceMemoryPool&) = delete;
  DeviceMemoryPool& operator=(const DeviceMemoryPool&) = delete;
  ~DeviceMemoryPool();

  // At least `bytes` bytes (0 is 1), for work that is submitted to `stream`
  // from now on.
  absl::StatusOr<DevicePointer> Allocate(size_t bytes, StreamId stream);

  // The block may be used by others after all work that was submitted to
  // `stream` so far; at once, when `stream` is invalid.
  absl::Status Deallocate(DevicePointer pointer, StreamId stream);

  // Waits for all work that was submitted to `stream`; what was freed in its
  // name is then everybody's, and idle chunks beyond the threshold go back to
  // the device. Returns what Device::Await() does, or Ok when the stream is
  // gone.
  absl::Status Synchronize(StreamId stream);

  // Gives idle chunks back, which waits for all work of the device, while more
  // than `keep_bytes` are taken from it.
  absl::Status Trim(size_t keep_bytes);

  // Live are the blocks handed out, with their rounding; cached those that
  // were; free what never was. No metadata is kept in the device's memory, and
  // what is kept on the host is not counted. A failure is an Allocate that
  // returned one.
  [[nodiscard]] AllocatorStats Stats() const;
  [[nodiscard]] Fragmentation FragmentationNow() const;
  [[nodiscard]] Calls calls() const;

  // Counts everything again by looking at every block; an Internal status says
  // what does not fit. O(blocks). For tests.
  [[nodiscard]] absl::Status CheckInvariants() const;

 private:
  struct Block;
  struct Chunk;
  // By size, then by address.
  using FreeKey = std::tuple<size_t, uint64_t, Block*>;
  using FreeSet = absl::btree_set<FreeKey>;
  // Pairs of streams of which is kept that one waited for the other.
  static constexpr size_t kMaxWaits = 4096;

  // Blocks side by side, all free, that are together large enough.
  struct Neighbours {
    Block* first = nullptr;
    size_t bytes = 0;
    size_t crossings = 0;
  };

  absl::StatusOr<Block*> Find(size_t bytes, StreamId stream)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Block*> FindNeighbours(size_t bytes, StreamId stream)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Block*> Grow(size_t bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // True when `stream` may use what `block` is without waiting.
  bool IsSafe(const Block& block, StreamId stream) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Lets `stream` wait for `owner`.
  absl::Status Cross(StreamId owner, StreamId stream)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Makes the first `bytes` bytes of a free block live.
  void Take(Block* block, size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void InsertFree(Block* block) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RemoveFree(Block* block) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Joins a free block that is in no set with those beside it that have the
  // same owner.
  Block* Join(Block* block) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `next`, in no set, becomes a part of `block` before it.
  void Absorb(Block* block, Block* next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What was freed in the stream's name is everybody's.
  void Disown(StreamId owner) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Releases idle chunks while more than `keep_bytes` are committed; true when
  // there was one.
  absl::StatusOr<bool> ReleaseIdle(size_t keep_bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status NoStream(StreamId stream) const;
  absl::Status OutOfMemory(size_t bytes) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Device& device_;
  const Options options_;

  mutable absl::Mutex mutex_;
  std::vector<std::unique_ptr<Chunk>> chunks_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<DevicePointer, Block*> live_ ABSL_GUARDED_BY(mutex_);
  // By owner; the invalid name is nobody's.
  absl::flat_hash_map<StreamId, FreeSet> free_ ABSL_GUARDED_BY(mutex_);
  // {who, for whom}: when it last waited.
  absl::flat_hash_map<std::pair<StreamId, StreamId>, uint64_t> waited_
      ABSL_GUARDED_BY(mutex_);
  // Grows with each time that a block becomes free in a stream's name.
  uint64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;

  // Bytes, each counted by itself.
  size_t live_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t cached_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t unused_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t committed_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t peak_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t allocations_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t deallocations_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t failures_ ABSL_GUARDED_BY(mutex_) = 0;
  Calls calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mmsb

#endif  // MMSB_DEVICE_DEVICE_MEMORY_POOL_H_
