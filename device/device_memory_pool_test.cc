#include "device/device_memory_pool.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "device/device_event.h"
#include "device/device_pointer.h"
#include "device/host_device.h"
#include "device/simulated_device.h"
#include "gtest/gtest.h"
#include "primitives/bytes.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

using DeviceMemory = SimulatedDevice::DeviceMemory;
using Fault = SimulatedDevice::Fault;

constexpr size_t kUnit = DeviceMemoryPool::kAlignment;

void ExpectSound(const DeviceMemoryPool& pool) {
  const absl::Status status = pool.CheckInvariants();
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_TRUE(pool.Stats().IdentityHolds());
}

class DeviceMemoryPoolTest : public testing::Test {
 protected:
  DevicePointer Take(DeviceMemoryPool& pool, size_t bytes, StreamId stream) {
    const absl::StatusOr<DevicePointer> pointer = pool.Allocate(bytes, stream);
    EXPECT_TRUE(pointer.ok()) << pointer.status();
    ExpectSound(pool);
    return pointer.ok() ? *pointer : DevicePointer();
  }
  void Give(DeviceMemoryPool& pool, DevicePointer pointer, StreamId stream) {
    const absl::Status status = pool.Deallocate(pointer, stream);
    EXPECT_TRUE(status.ok()) << status;
    ExpectSound(pool);
  }
  // Work that takes `ns` nanoseconds.
  void Work(StreamId stream, int64_t ns) {
    EXPECT_TRUE(
        device_
            .Launch(stream, ns,
                    [](const DeviceMemory&) { return absl::OkStatus(); })
            .ok());
  }

  ManualClock clock_;
  SimulatedDevice device_{{.memory_bytes = kMiB}, clock_};
  const StreamId a_ = *device_.CreateStream();
  const StreamId b_ = *device_.CreateStream();
};

TEST_F(DeviceMemoryPoolTest, BlocksAreRoundedAndAligned) {
  DeviceMemoryPool pool(device_, {.chunk_bytes = 64 * kKiB});
  const DevicePointer none = Take(pool, 0, a_);
  const DevicePointer one = Take(pool, 1, a_);
  const DevicePointer more = Take(pool, kUnit + 1, a_);
  EXPECT_NE(none, one);
  for (const DevicePointer pointer : {none, one, more}) {
    EXPECT_EQ(pointer.address() % kUnit, 0);
  }
  EXPECT_EQ(pool.Stats().live(), 4 * kUnit);
  EXPECT_EQ(pool.Stats().committed(), 64 * kKiB);
  EXPECT_EQ(pool.Stats().free(), 64 * kKiB - 4 * kUnit);
  EXPECT_EQ(pool.Stats().cached(), 0);
  Give(pool, one, a_);
  EXPECT_EQ(pool.Stats().cached(), kUnit);
}

TEST_F(DeviceMemoryPoolTest, AStreamReusesItsOwnWithoutAnEvent) {
  DeviceMemoryPool pool(device_, {.chunk_bytes = 4 * kUnit});
  for (int i = 0; i < 100; ++i) {
    const DevicePointer pointer = Take(pool, 4 * kUnit, a_);
    Work(a_, 10);
    Give(pool, pointer, a_);
  }
  EXPECT_EQ(pool.calls().chunks_taken, 1);
  EXPECT_EQ(pool.calls().crossings, 0);
  EXPECT_EQ(device_.traffic().events, 0);
  EXPECT_EQ(device_.traffic().waits, 0);
}

TEST_F(DeviceMemoryPoolTest, AnotherStreamWaitsOnceForManyBlocks) {
  DeviceMemoryPool pool(device_, {.chunk_bytes = 4 * kUnit});
  std::vector<DevicePointer> blocks;
  for (int i = 0; i < 4; ++i) blocks.push_back(Take(pool, kUnit, a_));
  Work(a_, 1000);
  // None of them is beside another.
  Give(pool, blocks[0], a_);
  Give(pool, blocks[2], a_);
  Take(pool, kUnit, b_);
  Take(pool, kUnit, b_);
  EXPECT_EQ(pool.calls().crossings, 1);
  EXPECT_EQ(pool.calls().chunks_taken, 1);
  Work(b_, 1);
  ASSERT_TRUE(device_.Synchronize(b_).ok());
  EXPECT_EQ(clock_.Now(), 1001);  // b waited for a
  // What is freed later needs another wait.
  Give(pool, blocks[1], a_);
  Take(pool, kUnit, b_);
  EXPECT_EQ(pool.calls().crossings, 2);
}

TEST_F(DeviceMemoryPoolTest, TheSmallestBlockThatFitsIsTaken) {
  DeviceMemoryPool pool(device_, {.chunk_bytes = 32 * kUnit});
  std::vector<DevicePointer> blocks;
  for (const size_t units : {8, 1, 3, 1, 4, 1}) {
    blocks.push_back(Take(pool, units * kUnit, a_));
  }
  Give(pool, blocks[0], a_);
  Give(pool, blocks[2], a_);
  Give(pool, blocks[4], a_);
  EXPECT_EQ(Take(pool, 3 * kUnit, a_), blocks[2]);
  EXPECT_EQ(Take(pool, 3 * kUnit, a_), blocks[4]);
  EXPECT_EQ(Take(pool, 5 * kUnit, a_), blocks[0]);
}

TEST_F(DeviceMemoryPoolTest, NeighboursOfOneStreamAreJoined) {
  DeviceMemoryPool pool(device_, {.chunk_bytes = 8 * kUnit});
  std::vector<DevicePointer> blocks;
  for (int i = 0; i < 8; ++i) blocks.push_back(Take(pool, kUnit, a_));
  std::mt19937 random(1);
  std::ranges::shuffle(blocks, random);
  for (const DevicePointer block : blocks) Give(pool, block, a_);
  EXPECT_EQ(pool.FragmentationNow().blocks, 1);
  EXPECT_EQ(pool.FragmentationNow().ratio(), 0);
  Take(pool, 8 * kUnit, a_);
  EXPECT_EQ(pool.calls().chunks_taken, 1);
  EXPECT_EQ(pool.calls().crossings, 0);
}

TEST_F(DeviceMemoryPoolTest, NeighboursOfManyStreamsAreJoinedBeforeItGrows) {
  DeviceMemoryPool pool(device_, {.chunk_bytes = 4 * kUnit});
  std::vector<DevicePointer> blocks;
  for (int i = 0; i < 4; ++i) blocks.push_back(Take(pool, kUnit, a_));
  Work(a_, 500);
  for (size_t i = 0; i < 4; ++i) Give(pool, blocks[i], i % 2 == 0 ? a_ : b_);
  EXPECT_EQ(pool.FragmentationNow().blocks, 4);
  EXPECT_EQ(pool.FragmentationNow().ratio(), 0.75);
  const StreamId c = *device_.CreateStream();
  Take(pool, 4 * kUnit, c);
  EXPECT_EQ(pool.calls().crossings, 2);
  EXPECT_EQ(pool.calls().chunks_taken, 1);
  Work(c, 1);
  ASSERT_TRUE(device_.Synchronize(c).ok());
  EXPECT_EQ(clock_.Now(), 501);
}

// a waited for b, and b then took over what c had freed: a's wait, though it is
// newer than that, does not cover it.
TEST_F(DeviceMemoryPoolTest, AnOldWaitDoesNotCoverWhatWasJoinedLater) {
  const StreamId c = *device_.CreateStream();
  DeviceMemoryPool pool(device_, {.chunk_bytes = 7 * kUnit});
  std::vector<DevicePointer> blocks;
  for (int i = 0; i < 7; ++i) blocks.push_back(Take(pool, kUnit, c));
  Work(c, 1000);
  for (const size_t i : {0, 3, 4}) Give(pool, blocks[i], b_);
  for (const size_t i : {5, 6}) Give(pool, blocks[i], c);
  EXPECT_EQ(Take(pool, kUnit, a_), blocks[0]);
  EXPECT_EQ(pool.calls().crossings, 1);  // a waits for b
  EXPECT_EQ(Take(pool, 3 * kUnit, b_), blocks[3]);
  EXPECT_EQ(pool.calls().crossings, 2);  // b waits for c
  EXPECT_EQ(Take(pool, kUnit, a_), blocks[6]);
  EXPECT_EQ(pool.calls().crossings, 3);
  Work(a_, 1);
  ASSERT_TRUE(device_.Synchronize(a_).ok());
  EXPECT_EQ(clock_.Now(), 1001);
}

TEST_F(DeviceMemoryPoolTest, BlocksOfAStreamThatIsGoneAreEverybodys) {
  DeviceMemoryPool pool(device_, {.chunk_bytes = 2 * kUnit});
  const DevicePointer first = Take(pool, kUnit, a_);
  const DevicePointer second = Take(pool, kUnit, a_);
  Work(a_, 100);
  Give(pool, first, a_);
  Give(pool, second, a_);
  ASSERT_TRUE(device_.DestroyStream(a_).ok());
  Take(pool, 2 * kUnit, b_);
  EXPECT_EQ(pool.calls().crossings, 0);
  EXPECT_EQ(pool.calls().chunks_taken, 1);
}

TEST_F(DeviceMemoryPoolTest, AfterSynchronizeBlocksAreEverybodys) {
  DeviceMemoryPool pool(device_, {.chunk_bytes = 2 * kUnit});
  const DevicePointer first = Take(pool, kUnit, a_);
  Work(a_, 100);
  Give(pool, first, a_);
  ASSERT_TRUE(pool.Synchronize(a_).ok());
  EXPECT_EQ(clock_.Now(), 100);
  ExpectSound(pool);
  Take(pool, 2 * kUnit, b_);
  EXPECT_EQ(pool.calls().crossings, 0);
  EXPECT_TRUE(pool.Synchronize(StreamId::FromValue(77)).ok());
}

TEST_F(DeviceMemoryPoolTest, AFailedStreamsMemoryIsReusedAndItsFailureIsNot) {
  DeviceMemoryPool pool(device_, {.chunk_bytes = kUnit});
  const DevicePointer first = Take(pool, kUnit, a_);
  device_.FailCall(1, Fault::kFail);
  Work(a_, 100);
  Give(pool, first, a_);
  EXPECT_EQ(Take(pool, kUnit, b_), first);
  Work(b_, 1);
  EXPECT_TRUE(device_.Synchronize(b_).ok());
  EXPECT_EQ(clock_.Now(), 101);
  EXPECT_TRUE(absl::IsUnavailable(device_.Synchronize(a_)));
}

TEST_F(DeviceMemoryPoolTest, WhatIsNotALiveBlockIsRefused) {
  DeviceMemoryPool pool(device_, {.chunk_bytes = 4 * kUnit});
  const DevicePointer first = Take(pool, 2 * kUnit, a_);
  for (const DevicePointer bad :
       {DevicePointer(), first + kUnit, first + 2 * kUnit, first + 1}) {
    EXPECT_TRUE(absl::IsInvalidArgument(pool.Deallocate(bad, a_)));
  }
  Give(pool, first, a_);
  const absl::Status twice = pool.Deallocate(first, a_);
  EXPECT_TRUE(absl::IsInvalidArgument(twice));
  EXPECT_TRUE(twice.message().starts_with("device 0 (simulated): pool"));
  EXPECT_EQ(pool.Stats().deallocations(), 1);
}

TEST_F(DeviceMemoryPoolTest, StreamsOfOtherDevicesAreRefused) {
  HostDevice other({.index = 1});
  const StreamId foreign = *other.CreateStream();
  DeviceMemoryPool pool(device_);
  const DevicePointer block = Take(pool, 1000, a_);
  const StreamId none;
  for (const StreamId stream : {foreign, none}) {
    EXPECT_TRUE(absl::IsInvalidArgument(pool.Allocate(1, stream).status()));
    EXPECT_TRUE(absl::IsInvalidArgument(pool.Synchronize(stream)));
  }
  EXPECT_EQ(pool.Stats().failures(), 2);
  // Who took it for a stream that is gone would hand the block on too early.
  EXPECT_TRUE(absl::IsInvalidArgument(pool.Deallocate(block, foreign)));
  EXPECT_EQ(pool.Stats().live(), 1024);
  ExpectSound(pool);
  Give(pool, block, none);
  EXPECT_EQ(Take(pool, 1000, b_), block);
  EXPECT_EQ(pool.calls().crossings, 0);
}

// Streams come and go; what is known of those that went is not kept for ever.
TEST_F(DeviceMemoryPoolTest, OldWaitsAreForgottenWhenThereAreManyStreams) {
  const StreamId early = *device_.CreateStream();
  DeviceMemoryPool pool(device_, {.chunk_bytes = 8 * kUnit});
  const DevicePointer small = Take(pool, kUnit, a_);
  Take(pool, kUnit, b_);
  const DevicePointer one = Take(pool, 2 * kUnit, a_);
  Take(pool, kUnit, b_);
  const DevicePointer two = Take(pool, 2 * kUnit, a_);
  Take(pool, kUnit, b_);
  for (const DevicePointer block : {small, one, two}) Give(pool, block, a_);
  Take(pool, kUnit, early);
  Give(pool, small, a_);
  Take(pool, 2 * kUnit, early);
  EXPECT_EQ(pool.calls().crossings, 1);  // one wait for all three
  for (int i = 0; i < 5000; ++i) {
    const StreamId stream = *device_.CreateStream();
    ASSERT_EQ(*pool.Allocate(kUnit, stream), small);
    ASSERT_TRUE(pool.Deallocate(small, a_).ok());
    ASSERT_TRUE(device_.DestroyStream(stream).ok());
  }
  EXPECT_EQ(pool.calls().crossings, 5001);
  Take(pool, 2 * kUnit, early);
  EXPECT_EQ(pool.calls().crossings, 5002);
}

TEST_F(DeviceMemoryPoolTest, ADeviceThatIsFullIsAskedOnce) {
  DeviceMemoryPool pool(device_, {.chunk_bytes = kUnit});
  const uint64_t before = device_.calls();
  EXPECT_TRUE(absl::IsResourceExhausted(pool.Allocate(2 * kMiB, a_).status()));
  EXPECT_EQ(device_.calls() - before, 1);
}

TEST_F(DeviceMemoryPoolTest, ExhaustionIsAStatusAndChangesNothing) {
  DeviceMemoryPool pool(device_, {.chunk_bytes = 64 * kKiB});
  Take(pool, kMiB / 2, a_);
  for (const size_t bytes :
       {kMiB, ~size_t{0}, ~size_t{0} - kUnit, size_t{1} << 63}) {
    EXPECT_TRUE(absl::IsResourceExhausted(pool.Allocate(bytes, a_).status()));
    ExpectSound(pool);
  }
  EXPECT_EQ(pool.Stats().failures(), 4);
  EXPECT_EQ(pool.Stats().committed(), kMiB / 2);
}

TEST_F(DeviceMemoryPoolTest, ASmallChunkIsTakenWhereALargeOneDoesNotFit) {
  DeviceMemoryPool pool(device_, {.chunk_bytes = 600 * kKiB});
  Take(pool, 600 * kKiB, a_);
  Take(pool, 100 * kKiB, a_);
  EXPECT_EQ(pool.Stats().committed(), 700 * kKiB);
  DeviceMemoryPool limited(device_,
                           {.chunk_bytes = 8 * kUnit, .max_bytes = 10 * kUnit});
  Take(limited, 8 * kUnit, a_);
  Take(limited, 2 * kUnit, a_);
  EXPECT_TRUE(absl::IsResourceExhausted(limited.Allocate(1, a_).status()));
}

TEST_F(DeviceMemoryPoolTest, IdleChunksMakeRoom) {
  DeviceMemoryPool pool(device_, {.chunk_bytes = 600 * kKiB});
  const DevicePointer first = Take(pool, 600 * kKiB, a_);
  Work(a_, 300);
  Give(pool, first, a_);
  Take(pool, 900 * kKiB, b_);
  EXPECT_EQ(pool.calls().chunks_released, 1);
  EXPECT_EQ(pool.Stats().committed(), 900 * kKiB);
  EXPECT_GE(clock_.Now(), 300);  // not before the work was done
}

TEST_F(DeviceMemoryPoolTest, TheCallbackMakesRoom) {
  std::vector<DevicePointer> held;
  int asked = 0;
  DeviceMemoryPool* self = nullptr;
  DeviceMemoryPool pool(
      device_,
      {.chunk_bytes = 256 * kKiB, .on_out_of_memory = [&](size_t bytes) {
         ++asked;
         EXPECT_EQ(bytes, 512 * kKiB);
         if (held.empty()) return false;
         EXPECT_TRUE(self->Deallocate(held.back(), a_).ok());
         held.pop_back();
         return true;
       }});
  self = &pool;
  for (int i = 0; i < 4; ++i) held.push_back(Take(pool, 256 * kKiB, a_));
  Take(pool, 512 * kKiB, a_);
  EXPECT_EQ(asked, 2);
  Take(pool, 512 * kKiB, a_);
  EXPECT_EQ(asked, 4);
  EXPECT_TRUE(
      absl::IsResourceExhausted(pool.Allocate(512 * kKiB, a_).status()));
  EXPECT_EQ(asked, 5);
  EXPECT_TRUE(held.empty());
}

TEST_F(DeviceMemoryPoolTest, WhatIsBeyondTheThresholdGoesBackAtSynchronize) {
  DeviceMemoryPool pool(device_, {.chunk_bytes = 4 * kUnit,
                                  .release_threshold_bytes = 8 * kUnit});
  std::vector<DevicePointer> blocks;
  for (int i = 0; i < 4; ++i) blocks.push_back(Take(pool, 4 * kUnit, a_));
  Give(pool, blocks[0], a_);
  Give(pool, blocks[1], a_);
  Give(pool, blocks[2], a_);
  EXPECT_EQ(pool.Stats().committed(), 16 * kUnit);
  ASSERT_TRUE(pool.Synchronize(a_).ok());
  ExpectSound(pool);
  EXPECT_EQ(pool.Stats().committed(), 8 * kUnit);
  ASSERT_TRUE(pool.Trim(0).ok());
  ExpectSound(pool);
  EXPECT_EQ(pool.Stats().committed(), 4 * kUnit);  // what is live stays
  EXPECT_EQ(device_.Memory().used, 4 * kUnit);
}

TEST_F(DeviceMemoryPoolTest, ADeviceThatCannotWaitLeavesThePoolAsItWas) {
  DeviceMemoryPool pool(device_, {.chunk_bytes = kUnit});
  const DevicePointer first = Take(pool, kUnit, a_);
  Give(pool, first, a_);
  for (const uint64_t call : {1, 2}) {  // Record, Wait
    device_.FailCall(call, Fault::kRefuse);
    EXPECT_TRUE(absl::IsUnavailable(pool.Allocate(kUnit, b_).status()));
    ExpectSound(pool);
    EXPECT_EQ(pool.Stats().live(), 0);
  }
  device_.Heal();
  EXPECT_EQ(Take(pool, kUnit, b_), first);
  device_.Lose();
  EXPECT_TRUE(absl::IsDataLoss(pool.Allocate(kUnit, a_).status()));
  Give(pool, first, b_);
  EXPECT_TRUE(pool.Trim(0).ok());
  EXPECT_EQ(pool.Stats().committed(), 0);
}

TEST_F(DeviceMemoryPoolTest, TheDestructorGivesAllBack) {
  {
    DeviceMemoryPool pool(device_, {.chunk_bytes = 64 * kKiB});
    Take(pool, 1000, a_);
    Take(pool, 100 * kKiB, b_);
    EXPECT_EQ(device_.Memory().used, 164 * kKiB + 0 * kKiB);
  }
  EXPECT_EQ(device_.Memory().used, 0);
}

// Random programs against a model, with an oracle for the order of streams:
// each block is stamped by a kernel of the stream that it was allocated for,
// and looked at by a slow kernel of the stream that it is freed in. Were a
// block handed on without waiting, the next stamp would come first.
class RandomProgram {
 public:
  explicit RandomProgram(uint32_t seed) : random_(seed) {
    for (int i = 0; i < 4; ++i) streams_.push_back(*device_.CreateStream());
  }

  void Run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) {
      Step();
      ExpectSound(pool_);
      size_t live = 0;
      for (const auto& [address, block] : live_) live += block.rounded;
      ASSERT_EQ(pool_.Stats().live(), live);
      ASSERT_EQ(pool_.Stats().committed(), device_.Memory().used);
    }
    while (!live_.empty()) Free(live_.begin()->first);
    for (const StreamId stream : streams_) {
      const absl::Status status = device_.Synchronize(stream);
      ASSERT_TRUE(status.ok()) << status;
    }
    ASSERT_TRUE(pool_.Trim(0).ok());
    ASSERT_EQ(pool_.Stats().committed(), 0);
  }

 private:
  struct Block {
    size_t rounded;
    StreamId stream;
    uint64_t stamp;
  };

  StreamId Stream() { return streams_[random_() % streams_.size()]; }

  void Step() {
    switch (random_() % 16) {
      default:
        Allocate();
        break;
      case 6:
      case 7:
      case 8:
      case 9:
      case 10:
      case 11:
      case 12:
        if (!live_.empty()) {
          auto at = live_.begin();
          std::advance(at, random_() % live_.size());
          Free(at->first);
        }
        break;
      case 13:
        clock_.Advance(static_cast<int64_t>(random_() % 500));
        break;
      case 14: {
        const absl::Status status = pool_.Synchronize(Stream());
        ASSERT_TRUE(status.ok()) << status;
        break;
      }
      case 15: {
        // A stream goes, and a new one takes its place; blocks of it are freed
        // by others.
        const size_t i = random_() % streams_.size();
        const absl::Status status = device_.DestroyStream(streams_[i]);
        ASSERT_TRUE(status.ok()) << status;
        streams_[i] = *device_.CreateStream();
        break;
      }
    }
  }

  void Allocate() {
    const size_t bytes = 1 + random_() % (random_() % 4 == 0 ? 9000 : 1200);
    const StreamId stream = Stream();
    const absl::StatusOr<DevicePointer> at = pool_.Allocate(bytes, stream);
    if (!at.ok()) {
      ASSERT_TRUE(absl::IsResourceExhausted(at.status())) << at.status();
      return;
    }
    const size_t rounded = (bytes + kUnit - 1) / kUnit * kUnit;
    // No overlap with what is live.
    const auto next = live_.lower_bound(*at);
    ASSERT_TRUE(next == live_.end() || *at + rounded <= next->first);
    if (next != live_.begin()) {
      const auto& [before, block] = *std::prev(next);
      ASSERT_LE(before + block.rounded, *at);
    }
    const uint64_t stamp = ++stamps_;
    live_.emplace(*at, Block{rounded, stream, stamp});
    ASSERT_TRUE(device_
                    .Launch(stream, 1 + static_cast<int64_t>(random_() % 20),
                            [at = *at, rounded, stamp](const DeviceMemory& m) {
                              return Stamp(m, at, rounded, stamp);
                            })
                    .ok());
  }

  void Free(DevicePointer at) {
    const auto found = live_.find(at);
    const Block block = found->second;
    const StreamId stream = random_() % 2 == 0 ? Stream() : block.stream;
    const absl::StatusOr<DeviceEvent> made = device_.Record(block.stream);
    const bool own_is_there = made.ok();
    if (stream != block.stream && own_is_there) {
      ASSERT_TRUE(device_.Wait(stream, *made).ok());
    }
    const StreamId last =
        own_is_there || stream != block.stream ? stream : streams_[0];
    ASSERT_TRUE(device_
                    .Launch(last, 1 + static_cast<int64_t>(random_() % 900),
                            [at, block](const DeviceMemory& m) {
                              return Look(m, at, block.rounded, block.stamp);
                            })
                    .ok());
    ASSERT_TRUE(pool_.Deallocate(at, last).ok());
    live_.erase(found);
  }

  static absl::Status Stamp(const DeviceMemory& memory, DevicePointer at,
                            size_t bytes, uint64_t stamp) {
    const auto span = memory.Bytes(at, bytes);
    if (!span.ok()) return span.status();
    std::memcpy(span->data(), &stamp, sizeof(stamp));
    std::memcpy(span->data() + bytes - sizeof(stamp), &stamp, sizeof(stamp));
    return absl::OkStatus();
  }
  static absl::Status Look(const DeviceMemory& memory, DevicePointer at,
                           size_t bytes, uint64_t stamp) {
    const auto span = memory.Bytes(at, bytes);
    if (!span.ok()) return span.status();
    if (std::memcmp(span->data(), &stamp, sizeof(stamp)) != 0 ||
        std::memcmp(span->data() + bytes - sizeof(stamp), &stamp,
                    sizeof(stamp)) != 0) {
      return absl::DataLossError("another's stamp");
    }
    return absl::OkStatus();
  }

  std::mt19937 random_;
  ManualClock clock_;
  SimulatedDevice device_{{.memory_bytes = 64 * kKiB}, clock_};
  std::vector<StreamId> streams_;
  DeviceMemoryPool pool_{
      device_,
      {.chunk_bytes = 16 * kKiB, .release_threshold_bytes = 32 * kKiB}};
  std::map<DevicePointer, Block> live_;
  uint64_t stamps_ = 0;
};

TEST(DeviceMemoryPoolRandomTest, ProgramsAgreeWithAModel) {
  const char* const many = std::getenv("MMSB_POOL_PROGRAMS");
  const uint32_t programs =
      many != nullptr ? static_cast<uint32_t>(std::atoi(many)) : 40;
  for (uint32_t seed = 1; seed <= programs; ++seed) {
    SCOPED_TRACE(seed);
    RandomProgram(seed).Run(300);
    if (HasFatalFailure()) return;
  }
}

TEST(DeviceMemoryPoolThreadsTest, ThreadsShareAPool) {
  HostDevice device({.memory_bytes = 4 * kMiB, .threads = 2});
  std::atomic<int> wrong = 0;
  {
    DeviceMemoryPool pool(device, {.chunk_bytes = 64 * kKiB});
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(t);
        const StreamId stream = *device.CreateStream();
        for (int i = 0; i < 300; ++i) {
          const size_t bytes = 1 + random() % 5000;
          const absl::StatusOr<DevicePointer> at = pool.Allocate(bytes, stream);
          if (!at.ok()) {
            ++wrong;
            continue;
          }
          // A race between streams is seen by ThreadSanitizer, too.
          const auto value = static_cast<int>(random() % 256);
          auto* const memory = static_cast<unsigned char*>(at->ToVoid());
          if (!device.Run(stream, [=] { std::memset(memory, value, bytes); })
                   .ok() ||
              !device
                   .Run(stream,
                        [=, &wrong] {
                          if (memory[0] != value ||
                              memory[bytes - 1] != value) {
                            ++wrong;
                          }
                        })
                   .ok() ||
              !pool.Deallocate(*at, stream).ok()) {
            ++wrong;
          }
          if (i % 64 == 0 && !pool.Synchronize(stream).ok()) ++wrong;
        }
        if (!device.DestroyStream(stream).ok()) ++wrong;
      });
    }
    for (std::thread& thread : threads) thread.join();
    ExpectSound(pool);
    EXPECT_EQ(pool.Stats().live(), 0);
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(device.Memory().used, 0);
}

}  // namespace
}  // namespace mmsb
