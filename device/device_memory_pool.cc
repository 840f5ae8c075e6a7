#include "device/device_memory_pool.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "allocator/allocator_stats.h"
#include "device/device.h"
#include "device/device_event.h"
#include "device/device_pointer.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"

namespace mmsb {

// A part of a chunk; the blocks of a chunk are a list by address, without gaps.
struct DeviceMemoryPool::Block {
  DevicePointer address;
  size_t bytes = 0;
  Chunk* chunk = nullptr;
  Block* previous = nullptr;
  Block* next = nullptr;
  bool live = false;
  StreamId owner;         // of a free block: behind whose work it is free
  uint64_t freed_at = 0;  // when: DeviceMemoryPool::sequence_
};

struct DeviceMemoryPool::Chunk {
  DevicePointer address;
  size_t bytes = 0;
  size_t live_blocks = 0;
  size_t used_bytes = 0;  // what lies behind them was never in a live block
  Block* first = nullptr;
};

DeviceMemoryPool::DeviceMemoryPool(Device& device)
    : DeviceMemoryPool(device, Options()) {}

DeviceMemoryPool::DeviceMemoryPool(Device& device, Options options)
    : device_(device), options_(std::move(options)) {}

DeviceMemoryPool::~DeviceMemoryPool() {
  absl::MutexLock lock(mutex_);
  for (const std::unique_ptr<Chunk>& chunk : chunks_) {
    // What a device cannot take back went with it.
    device_.Free(chunk->address).IgnoreError();
    for (Block* block = chunk->first; block != nullptr;) {
      delete std::exchange(block, block->next);
    }
  }
}

absl::Status DeviceMemoryPool::OutOfMemory(size_t bytes) const {
  return absl::ResourceExhaustedError(absl::StrFormat(
      "device %d (%s): pool: no memory for %d bytes: %d of %d taken from the "
      "device are live",
      device_.info().index, device_.info().name, bytes, live_bytes_,
      committed_bytes_));
}

absl::Status DeviceMemoryPool::NoStream(StreamId stream) const {
  return absl::InvalidArgumentError(absl::StrFormat(
      "device %d (%s): pool: %#x names no stream of the device",
      device_.info().index, device_.info().name, stream.value()));
}

absl::StatusOr<DevicePointer> DeviceMemoryPool::Allocate(size_t bytes,
                                                         StreamId stream) {
  if (!device_.Names(stream)) {
    absl::MutexLock lock(mutex_);
    ++failures_;
    return NoStream(stream);
  }
  size_t rounded = 0;
  const bool fits = CheckedAlignUp(std::max<size_t>(bytes, 1),
                                   Alignment::FromBytes(kAlignment), &rounded);
  while (true) {
    absl::StatusOr<Block*> block = nullptr;
    {
      absl::MutexLock lock(mutex_);
      block = fits ? Find(rounded, stream) : OutOfMemory(bytes);
      if (block.ok()) {
        Take(*block, rounded);
        ++allocations_;
        return (*block)->address;
      }
      if (!fits || !absl::IsResourceExhausted(block.status()) ||
          options_.on_out_of_memory == nullptr) {
        ++failures_;
        return block.status();
      }
    }
    if (!options_.on_out_of_memory(rounded)) {
      absl::MutexLock lock(mutex_);
      ++failures_;
      return block.status();
    }
  }
}

bool DeviceMemoryPool::IsSafe(const Block& block, StreamId stream) const {
  if (!block.owner.valid() || block.owner == stream) return true;
  const auto waited = waited_.find({stream, block.owner});
  return waited != waited_.end() && block.freed_at <= waited->second;
}

absl::Status DeviceMemoryPool::Cross(StreamId owner, StreamId stream) {
  const absl::StatusOr<DeviceEvent> event = device_.Record(owner);
  if (absl::IsNotFound(event.status())) {
    Disown(owner);
    return absl::OkStatus();
  }
  if (!event.ok()) return event.status();
  // The order is what is needed, whatever became of the work.
  if (absl::Status status =
          device_.Wait(stream, *event, Device::IfFailed::kGoOn);
      !status.ok()) {
    return status;
  }
  ++calls_.crossings;
  // What is forgotten is waited for once more, at the worst.
  if (waited_.size() >= kMaxWaits) waited_.clear();
  waited_[{stream, owner}] = sequence_;
  return absl::OkStatus();
}

absl::StatusOr<DeviceMemoryPool::Block*> DeviceMemoryPool::Find(
    size_t bytes, StreamId stream) {
  const FreeKey least(bytes, 0, nullptr);
  const auto smallest = [&](StreamId owner) -> Block* {
    mutex_.AssertHeld();
    const auto set = free_.find(owner);
    if (set == free_.end()) return nullptr;
    const auto found = set->second.lower_bound(least);
    return found == set->second.end() ? nullptr : std::get<2>(*found);
  };
  Block* const own = smallest(stream);
  Block* const anyones = smallest(StreamId());
  if (own != nullptr && (anyones == nullptr || own->bytes <= anyones->bytes)) {
    return own;
  }
  if (anyones != nullptr) return anyones;

  // Of other streams: one that needs no wait before one that does, and then the
  // smallest, and then by address, so that hashing has no say.
  Block* best = nullptr;
  const auto rank = [&](const Block* block) {
    mutex_.AssertHeld();
    return std::tuple(!IsSafe(*block, stream), block->bytes,
                      block->address.address());
  };
  for (const auto& [owner, set] : free_) {
    if (!owner.valid() || owner == stream) continue;
    Block* const block = smallest(owner);
    if (block != nullptr && (best == nullptr || rank(block) < rank(best))) {
      best = block;
    }
  }
  if (best != nullptr) {
    if (IsSafe(*best, stream)) return best;
    const StreamId owner = best->owner;
    if (absl::Status status = Cross(owner, stream); !status.ok()) {
      return status;
    }
    // A stream that is gone left its blocks to all, joined; then there is one
    // among those.
    if (free_.contains(owner)) return best;
    return smallest(StreamId());
  }

  absl::StatusOr<Block*> block = FindNeighbours(bytes, stream);
  if (!block.ok() || *block != nullptr) return block;
  block = Grow(bytes);
  if (absl::IsResourceExhausted(block.status())) {
    const absl::StatusOr<bool> released = ReleaseIdle(0);
    if (!released.ok()) return released.status();
    if (*released) block = Grow(bytes);
  }
  if (absl::IsResourceExhausted(block.status())) return OutOfMemory(bytes);
  return block;
}

absl::StatusOr<DeviceMemoryPool::Block*> DeviceMemoryPool::FindNeighbours(
    size_t bytes, StreamId stream) {
  Neighbours best;
  for (const std::unique_ptr<Chunk>& chunk : chunks_) {
    if (chunk->bytes < bytes) continue;
    Neighbours run;
    for (Block* block = chunk->first; block != nullptr; block = block->next) {
      if (block->live) {
        run = {};
        continue;
      }
      if (run.first == nullptr) run.first = block;
      run.bytes += block->bytes;
      if (!IsSafe(*block, stream)) ++run.crossings;
      const bool ends = block->next == nullptr || block->next->live;
      if (!ends || run.bytes < bytes) continue;
      if (best.first == nullptr || std::pair(run.crossings, run.bytes) <
                                       std::pair(best.crossings, best.bytes)) {
        best = run;
      }
    }
  }
  if (best.first == nullptr) return nullptr;
  std::vector<StreamId> owners;
  for (Block* block = best.first; block != nullptr && !block->live;
       block = block->next) {
    if (!IsSafe(*block, stream)) owners.push_back(block->owner);
  }
  std::ranges::sort(owners);
  const auto [end, last] = std::ranges::unique(owners);
  owners.erase(end, last);
  // Disowning joins blocks, so what is beside what is looked at again.
  const Chunk* const chunk = best.first->chunk;
  const DevicePointer begin = best.first->address;
  for (const StreamId owner : owners) {
    if (absl::Status status = Cross(owner, stream); !status.ok()) {
      return status;
    }
  }
  Block* first = chunk->first;
  while (first->address + first->bytes <= begin) first = first->next;
  RemoveFree(first);
  while (first->next != nullptr && !first->next->live) {
    RemoveFree(first->next);
    Absorb(first, first->next);
  }
  // All of it is safe for the stream now, by waits that are newer than those
  // for the stream.
  first->owner = stream;
  first->freed_at = ++sequence_;
  InsertFree(first);
  return first;
}

absl::StatusOr<DeviceMemoryPool::Block*> DeviceMemoryPool::Grow(size_t bytes) {
  absl::StatusOr<DevicePointer> address = OutOfMemory(bytes);
  size_t chunk_bytes = 0;
  const size_t room =
      options_.max_bytes - std::min(options_.max_bytes, committed_bytes_);
  size_t wanted = 0;
  if (!CheckedAlignUp(std::max(bytes, options_.chunk_bytes),
                      Alignment::FromBytes(kAlignment), &wanted)) {
    wanted = bytes;
  }
  for (const size_t size : {wanted, bytes}) {
    if (size > room || size == chunk_bytes) continue;
    chunk_bytes = size;
    address = device_.Allocate(size);
    if (address.ok() || !absl::IsResourceExhausted(address.status())) break;
  }
  if (!address.ok()) return address.status();
  auto chunk = std::make_unique<Chunk>();
  chunk->address = *address;
  chunk->bytes = chunk_bytes;
  chunk->first = new Block{.address = *address,
                           .bytes = chunk_bytes,
                           .chunk = chunk.get(),
                           .owner = StreamId()};
  Block* const block = chunk->first;
  chunks_.push_back(std::move(chunk));
  InsertFree(block);
  committed_bytes_ += chunk_bytes;
  unused_bytes_ += chunk_bytes;
  ++calls_.chunks_taken;
  return block;
}

void DeviceMemoryPool::InsertFree(Block* block) {
  free_[block->owner].emplace(block->bytes, block->address.address(), block);
}

void DeviceMemoryPool::RemoveFree(Block* block) {
  const auto set = free_.find(block->owner);
  set->second.erase({block->bytes, block->address.address(), block});
  if (set->second.empty()) free_.erase(set);
}

void DeviceMemoryPool::Absorb(Block* block, Block* next) {
  block->bytes += next->bytes;
  block->freed_at = std::max(block->freed_at, next->freed_at);
  block->next = next->next;
  if (block->next != nullptr) block->next->previous = block;
  delete next;
}

DeviceMemoryPool::Block* DeviceMemoryPool::Join(Block* block) {
  const auto joins = [block](const Block* other) {
    return other != nullptr && !other->live && other->owner == block->owner;
  };
  if (joins(block->next)) {
    RemoveFree(block->next);
    Absorb(block, block->next);
  }
  if (joins(block->previous)) {
    Block* const previous = block->previous;
    RemoveFree(previous);
    Absorb(previous, block);
    return previous;
  }
  return block;
}

void DeviceMemoryPool::Take(Block* block, size_t bytes) {
  RemoveFree(block);
  if (block->bytes > bytes) {
    auto* const rest = new Block{.address = block->address + bytes,
                                 .bytes = block->bytes - bytes,
                                 .chunk = block->chunk,
                                 .previous = block,
                                 .next = block->next,
                                 .owner = block->owner,
                                 .freed_at = block->freed_at};
    if (rest->next != nullptr) rest->next->previous = rest;
    block->next = rest;
    block->bytes = bytes;
    InsertFree(rest);
  }
  block->live = true;
  Chunk& chunk = *block->chunk;
  ++chunk.live_blocks;
  const size_t end = block->address.address() - chunk.address.address() + bytes;
  // What was never used is the end of the chunk, and blocks are cut from the
  // front.
  const size_t first_use = end > chunk.used_bytes ? end - chunk.used_bytes : 0;
  chunk.used_bytes += first_use;
  unused_bytes_ -= first_use;
  cached_bytes_ -= bytes - first_use;
  live_bytes_ += bytes;
  peak_bytes_ = std::max(peak_bytes_, live_bytes_);
  live_.emplace(block->address, block);
}

absl::Status DeviceMemoryPool::Deallocate(DevicePointer pointer,
                                          StreamId stream) {
  if (stream.valid() && !device_.Names(stream)) return NoStream(stream);
  absl::MutexLock lock(mutex_);
  const auto found = live_.find(pointer);
  if (found == live_.end()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("device %d (%s): pool: no live block begins at %v",
                        device_.info().index, device_.info().name, pointer));
  }
  Block* const block = found->second;
  live_.erase(found);
  block->live = false;
  block->owner = stream;
  block->freed_at = ++sequence_;
  ++deallocations_;
  --block->chunk->live_blocks;
  live_bytes_ -= block->bytes;
  cached_bytes_ += block->bytes;
  InsertFree(Join(block));
  return absl::OkStatus();
}

void DeviceMemoryPool::Disown(StreamId owner) {
  auto set = free_.extract(owner);
  if (set.empty()) return;
  for (const auto& [bytes, address, block] : set.mapped()) {
    block->owner = StreamId();
  }
  // Two of these are never beside each other, so none is joined to one that is
  // in no set yet.
  for (const auto& [bytes, address, block] : set.mapped()) {
    InsertFree(Join(block));
  }
  absl::erase_if(waited_, [owner](const auto& entry) {
    return entry.first.first == owner || entry.first.second == owner;
  });
}

absl::Status DeviceMemoryPool::Synchronize(StreamId stream) {
  if (!device_.Names(stream)) return NoStream(stream);
  absl::Status done;
  uint64_t until = 0;
  {
    absl::MutexLock lock(mutex_);
    until = sequence_;
  }
  const absl::StatusOr<DeviceEvent> event = device_.Record(stream);
  if (event.ok()) {
    done = device_.Await(*event);
  } else if (!absl::IsNotFound(event.status())) {
    return event.status();
  }
  absl::MutexLock lock(mutex_);
  // What another thread freed in the stream's name meanwhile is not covered;
  // then all of it stays the stream's.
  const auto set = free_.find(stream);
  if (set != free_.end() &&
      std::ranges::all_of(set->second, [until](const FreeKey& key) {
        return std::get<2>(key)->freed_at <= until;
      })) {
    Disown(stream);
  }
  if (committed_bytes_ > options_.release_threshold_bytes) {
    if (absl::Status status =
            ReleaseIdle(options_.release_threshold_bytes).status();
        !status.ok() && done.ok()) {
      return status;
    }
  }
  return done;
}

absl::Status DeviceMemoryPool::Trim(size_t keep_bytes) {
  absl::MutexLock lock(mutex_);
  return ReleaseIdle(keep_bytes).status();
}

absl::StatusOr<bool> DeviceMemoryPool::ReleaseIdle(size_t keep_bytes) {
  bool released = false;
  // From the end, so that what is left is the oldest.
  for (size_t i = chunks_.size(); i-- > 0 && committed_bytes_ > keep_bytes;) {
    Chunk& chunk = *chunks_[i];
    if (chunk.live_blocks != 0) continue;
    // The device waits for all work, that of the blocks' owners too.
    if (absl::Status status = device_.Free(chunk.address);
        !status.ok() && !absl::IsDataLoss(status)) {
      return status;
    }
    for (Block* block = chunk.first; block != nullptr;) {
      RemoveFree(block);
      delete std::exchange(block, block->next);
    }
    committed_bytes_ -= chunk.bytes;
    unused_bytes_ -= chunk.bytes - chunk.used_bytes;
    cached_bytes_ -= chunk.used_bytes;
    chunks_.erase(chunks_.begin() + static_cast<std::ptrdiff_t>(i));
    ++calls_.chunks_released;
    released = true;
  }
  return released;
}

AllocatorStats DeviceMemoryPool::Stats() const {
  absl::MutexLock lock(mutex_);
  return AllocatorStats({.live = live_bytes_,
                         .cached = cached_bytes_,
                         .free = unused_bytes_,
                         .committed = committed_bytes_,
                         .peak = peak_bytes_,
                         .allocations = allocations_,
                         .deallocations = deallocations_,
                         .failures = failures_});
}

DeviceMemoryPool::Fragmentation DeviceMemoryPool::FragmentationNow() const {
  absl::MutexLock lock(mutex_);
  Fragmentation result;
  for (const auto& [owner, set] : free_) {
    result.blocks += set.size();
    for (const auto& [bytes, address, block] : set) result.idle_bytes += bytes;
    result.largest_bytes =
        std::max(result.largest_bytes, std::get<0>(*set.rbegin()));
  }
  return result;
}

DeviceMemoryPool::Calls DeviceMemoryPool::calls() const {
  absl::MutexLock lock(mutex_);
  return calls_;
}

absl::Status DeviceMemoryPool::CheckInvariants() const {
  absl::MutexLock lock(mutex_);
  const auto wrong = [](const char* what, DevicePointer where) {
    return absl::InternalError(absl::StrFormat("%s, at %v", what, where));
  };
  size_t live = 0;
  size_t live_blocks = 0;
  size_t idle = 0;
  size_t unused = 0;
  size_t free_blocks = 0;
  size_t committed = 0;
  for (const std::unique_ptr<Chunk>& chunk : chunks_) {
    committed += chunk->bytes;
    unused += chunk->bytes - chunk->used_bytes;
    DevicePointer at = chunk->address;
    const Block* previous = nullptr;
    size_t live_here = 0;
    for (const Block* block = chunk->first; block != nullptr;
         previous = block, block = block->next) {
      if (block->address != at) return wrong("a gap before a block", at);
      if (block->previous != previous || block->chunk != chunk.get()) {
        return wrong("a block is linked wrongly", at);
      }
      if (block->bytes == 0 || block->bytes % kAlignment != 0) {
        return wrong("a block of an odd size", at);
      }
      at = at + block->bytes;
      if (block->live) {
        live += block->bytes;
        ++live_here;
        const auto found = live_.find(block->address);
        if (found == live_.end() || found->second != block) {
          return wrong("a live block is not known", block->address);
        }
        continue;
      }
      idle += block->bytes;
      ++free_blocks;
      if (previous != nullptr && !previous->live &&
          previous->owner == block->owner) {
        return wrong("two free blocks of one owner are not joined",
                     block->address);
      }
      const auto set = free_.find(block->owner);
      if (set == free_.end() ||
          !set->second.contains({block->bytes, block->address.address(),
                                 const_cast<Block*>(block)})) {
        return wrong("a free block is in no set", block->address);
      }
    }
    if (at != chunk->address + chunk->bytes) {
      return wrong("the blocks of a chunk do not fill it", at);
    }
    if (live_here != chunk->live_blocks) {
      return wrong("the live blocks of a chunk are miscounted", chunk->address);
    }
    live_blocks += live_here;
  }
  size_t in_sets = 0;
  for (const auto& [owner, set] : free_) in_sets += set.size();
  if (in_sets != free_blocks || live_blocks != live_.size()) {
    return wrong("a set holds a block that is none", DevicePointer());
  }
  if (live != live_bytes_ || idle != cached_bytes_ + unused_bytes_ ||
      unused != unused_bytes_ || committed != committed_bytes_) {
    return absl::InternalError(absl::StrFormat(
        "counted %d live, %d idle, %d unused, %d committed; kept %d, %d, %d, "
        "%d",
        live, idle, unused, committed, live_bytes_,
        cached_bytes_ + unused_bytes_, unused_bytes_, committed_bytes_));
  }
  return absl::OkStatus();
}

}  // namespace mmsb
