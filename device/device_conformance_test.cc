// What device.h promises, of every device.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "device/device.h"
#include "device/device_copy.h"
#include "device/device_event.h"
#include "device/device_pointer.h"
#include "device/host_device.h"
#include "device/simulated_device.h"
#include "gtest/gtest.h"
#include "memory/page/page_location.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;

struct OnHost {
  HostDevice device{
      {.index = 3, .memory_bytes = 1 << 20, .threads = 3, .max_streams = 8}};
};

struct Simulated {
  ManualClock clock;
  SimulatedDevice device{{.index = 3,
                          .memory_bytes = 1 << 20,
                          .max_streams = 8,
                          .call_ns = 100,
                          .fresh = std::byte{0xdb}},
                         clock};
};

struct SimulatedInRealTime {
  SimulatedDevice device{
      {.index = 3, .memory_bytes = 1 << 20, .max_streams = 8, .call_ns = 1000}};
};

Bytes RandomBytes(size_t bytes, uint32_t seed) {
  std::mt19937 random(seed);
  Bytes result(bytes);
  for (std::byte& byte : result) byte = static_cast<std::byte>(random());
  return result;
}

template <class Parts>
class DeviceTest : public testing::Test {
 protected:
  Device& device() { return parts_.device; }

  StreamId Stream() {
    absl::StatusOr<StreamId> stream = device().CreateStream();
    EXPECT_TRUE(stream.ok()) << stream.status();
    return *stream;
  }
  DevicePointer Memory(size_t bytes) {
    absl::StatusOr<DevicePointer> pointer = device().Allocate(bytes);
    EXPECT_TRUE(pointer.ok()) << pointer.status();
    return *pointer;
  }
  Bytes Read(DevicePointer from, size_t bytes) {
    Bytes result(bytes);
    const StreamId stream = Stream();
    EXPECT_TRUE(device().Copy(stream, DeviceCopy::ToHost(result, from)).ok());
    EXPECT_TRUE(device().DestroyStream(stream).ok());
    return result;
  }

 private:
  Parts parts_;
};

using AllParts = testing::Types<OnHost, Simulated, SimulatedInRealTime>;
TYPED_TEST_SUITE(DeviceTest, AllParts);

TYPED_TEST(DeviceTest, NamesItself) {
  Device& device = this->device();
  EXPECT_TRUE(device.Names(this->Stream()));
  EXPECT_FALSE(device.Names(StreamId()));
  EXPECT_FALSE(device.Names(StreamId::FromValue(uint64_t{4} << 32)));
  EXPECT_EQ(device.location(), PageLocation::Device(3));
  EXPECT_TRUE(device.Health().ok());
  const absl::Status status = device.Synchronize(StreamId::FromValue(1));
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_TRUE(status.message().starts_with("device 3 (")) << status;
}

TYPED_TEST(DeviceTest, MemoryIsAlignedApartAndLimited) {
  Device& device = this->device();
  const DevicePointer a = this->Memory(1);
  const DevicePointer b = this->Memory(300);
  EXPECT_EQ(a.address() % device.info().limits.alignment, 0);
  EXPECT_EQ(b.address() % device.info().limits.alignment, 0);
  EXPECT_NE(a, b);
  EXPECT_EQ(device.Memory().used, 256 + 512);
  EXPECT_EQ(device.Memory().total, 1 << 20);
  EXPECT_TRUE(absl::IsInvalidArgument(device.Allocate(0).status()));
  EXPECT_TRUE(absl::IsResourceExhausted(device.Allocate(1 << 20).status()));
  EXPECT_TRUE(absl::IsResourceExhausted(device.Allocate(~size_t{0}).status()));
  EXPECT_TRUE(
      absl::IsResourceExhausted(device.Allocate(~size_t{0} - 255).status()));
  EXPECT_TRUE(device.Free(a).ok());
  EXPECT_TRUE(absl::IsNotFound(device.Free(a)));
  EXPECT_TRUE(absl::IsNotFound(device.Free(b + 256)));
  EXPECT_TRUE(absl::IsNotFound(device.Free(DevicePointer())));
  EXPECT_TRUE(device.Free(b).ok());
  EXPECT_EQ(device.Memory().used, 0);
  // All of it, now that it is free.
  EXPECT_TRUE(device.Allocate(1 << 20).ok());
}

TYPED_TEST(DeviceTest, CopiesThereAroundAndBack) {
  Device& device = this->device();
  const StreamId stream = this->Stream();
  const DevicePointer a = this->Memory(1000);
  const DevicePointer b = this->Memory(1000);
  const Bytes in = RandomBytes(1000, 1);
  Bytes out(1000);
  ASSERT_TRUE(device.Copy(stream, DeviceCopy::ToDevice(a, in)).ok());
  ASSERT_TRUE(device.Copy(stream, DeviceCopy::OnDevice(b, a, 1000)).ok());
  ASSERT_TRUE(device.Fill(stream, b + 10, 5, std::byte{7}).ok());
  ASSERT_TRUE(device.Copy(stream, DeviceCopy::ToHost(out, b)).ok());
  ASSERT_TRUE(device.Synchronize(stream).ok());
  Bytes expected = in;
  std::fill_n(expected.begin() + 10, 5, std::byte{7});
  EXPECT_EQ(out, expected);
}

TYPED_TEST(DeviceTest, ABatchIsOneOperation) {
  Device& device = this->device();
  const StreamId stream = this->Stream();
  const DevicePointer at = this->Memory(4096);
  ASSERT_TRUE(device.Fill(stream, at, 4096, std::byte{1}).ok());
  const Bytes in = RandomBytes(4096, 2);
  std::vector<DeviceCopy> copies;
  for (size_t i = 0; i < 4096; i += 128) {
    copies.push_back(
        DeviceCopy::ToDevice(at + i, std::span(in).subspan(i, 64)));
  }
  copies.push_back(DeviceCopy::ToDevice(DevicePointer(), {}));  // nothing
  const DeviceEvent before = *device.Record(stream);
  ASSERT_TRUE(device.Copy(stream, copies).ok());
  EXPECT_EQ(device.Record(stream)->point, before.point + 1);
  ASSERT_TRUE(device.Synchronize(stream).ok());
  const Bytes out = this->Read(at, 4096);
  for (size_t i = 0; i < 4096; ++i) {
    ASSERT_EQ(out[i], i % 128 < 64 ? in[i] : std::byte{1}) << i;
  }
}

TYPED_TEST(DeviceTest, RangesAreChecked) {
  Device& device = this->device();
  const StreamId stream = this->Stream();
  const DevicePointer at = this->Memory(256);
  Bytes host(512);
  const std::span<std::byte> all(host);
  const DeviceCopy bad[] = {
      DeviceCopy::ToDevice(at, all),
      DeviceCopy::ToDevice(at + 1, all.first(256)),
      DeviceCopy::ToDevice(DevicePointer(), all.first(1)),
      DeviceCopy::ToDevice(DevicePointer::FromAddress(~uint64_t{0}),
                           all.first(2)),
      DeviceCopy::ToHost(all, at),
      DeviceCopy::OnDevice(at, at + 128, 129),
      DeviceCopy::OnDevice(at, at + 100, 120),
      DeviceCopy::OnDevice(at, at + 1, ~size_t{0}),
      {.kind = DeviceCopy::Kind::kToDevice,
       .device_destination = at,
       .bytes = 8},
      {.kind = DeviceCopy::Kind::kToHost, .device_source = at, .bytes = 8},
      {.kind = static_cast<DeviceCopy::Kind>(3)},
      {.kind = static_cast<DeviceCopy::Kind>(-1),
       .host_source = host.data(),
       .device_destination = at,
       .bytes = 8},
  };
  for (const DeviceCopy& copy : bad) {
    const absl::Status status = device.Copy(stream, copy);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_TRUE(status.message().starts_with("device 3 (")) << status;
  }
  EXPECT_TRUE(
      absl::IsInvalidArgument(device.Fill(stream, at + 200, 57, std::byte{0})));
  EXPECT_TRUE(absl::IsInvalidArgument(device.Run(stream, nullptr)));
  // Nothing of it was submitted.
  EXPECT_EQ(device.Record(stream)->point, 0);
  EXPECT_TRUE(device.Synchronize(stream).ok());
}

TYPED_TEST(DeviceTest, StreamsAreLimitedAndNeverNamedTwice) {
  Device& device = this->device();
  std::vector<StreamId> streams;
  for (int i = 0; i < 8; ++i) streams.push_back(this->Stream());
  EXPECT_TRUE(absl::IsResourceExhausted(device.CreateStream().status()));
  EXPECT_TRUE(device.DestroyStream(streams[0]).ok());
  EXPECT_TRUE(absl::IsNotFound(device.DestroyStream(streams[0])));
  const StreamId fresh = this->Stream();
  for (const StreamId old : streams) EXPECT_NE(fresh, old);
  EXPECT_TRUE(absl::IsNotFound(
      device.Fill(streams[0], this->Memory(1), 1, std::byte{0})));
}

TYPED_TEST(DeviceTest, EventsAreMonotonePoints) {
  Device& device = this->device();
  const StreamId stream = this->Stream();
  const DeviceEvent nothing = *device.Record(stream);
  std::vector<int> order;
  ASSERT_TRUE(device.Run(stream, [&] { order.push_back(1); }).ok());
  const DeviceEvent first = *device.Record(stream);
  ASSERT_TRUE(device.Run(stream, [&] { order.push_back(2); }).ok());
  const DeviceEvent second = *device.Record(stream);
  EXPECT_TRUE(*device.Reached(nothing));
  EXPECT_TRUE(*device.Reached(DeviceEvent()));
  ASSERT_TRUE(device.Await(second).ok());
  EXPECT_TRUE(*device.Reached(first));
  EXPECT_TRUE(*device.Reached(second));
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  ASSERT_TRUE(device.DestroyStream(stream).ok());
  EXPECT_TRUE(*device.Reached(second));  // though its stream is gone
  EXPECT_TRUE(device.Await(first).ok());
}

TYPED_TEST(DeviceTest, EventsOfOthersAreRefused) {
  Device& device = this->device();
  const StreamId stream = this->Stream();
  for (const DeviceEvent event :
       {DeviceEvent{stream, 1}, DeviceEvent{StreamId::FromValue(5), 0},
        DeviceEvent{StreamId::FromValue(uint64_t{3} << 32 | 99), 0}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(device.Reached(event).status()));
    EXPECT_TRUE(absl::IsInvalidArgument(device.Await(event)));
    EXPECT_TRUE(absl::IsInvalidArgument(device.Wait(stream, event)));
  }
}

TYPED_TEST(DeviceTest, AStreamWaitsForAnother) {
  Device& device = this->device();
  const StreamId slow = this->Stream();
  const StreamId fast = this->Stream();
  for (int round = 0; round < 20; ++round) {
    int value = 0;
    int seen = -1;
    ASSERT_TRUE(device
                    .Run(slow,
                         [&] {
                           std::this_thread::yield();
                           value = round + 1;
                         })
                    .ok());
    ASSERT_TRUE(device.Wait(fast, *device.Record(slow)).ok());
    ASSERT_TRUE(device.Run(fast, [&] { seen = value; }).ok());
    ASSERT_TRUE(device.Synchronize(fast).ok());
    EXPECT_EQ(seen, round + 1);
  }
}

TYPED_TEST(DeviceTest, WaitingForAStreamThatIsGoneIsNoWait) {
  Device& device = this->device();
  const StreamId gone = this->Stream();
  const StreamId stream = this->Stream();
  ASSERT_TRUE(device.Run(gone, [] {}).ok());
  const DeviceEvent event = *device.Record(gone);
  ASSERT_TRUE(device.DestroyStream(gone).ok());
  ASSERT_TRUE(device.Wait(stream, event).ok());
  EXPECT_TRUE(device.Synchronize(stream).ok());
}

TYPED_TEST(DeviceTest, FreeWaitsForWork) {
  Device& device = this->device();
  const StreamId stream = this->Stream();
  const DevicePointer at = this->Memory(256);
  const Bytes in = RandomBytes(256, 3);
  Bytes out(256);
  ASSERT_TRUE(device.Copy(stream, DeviceCopy::ToDevice(at, in)).ok());
  ASSERT_TRUE(device.Copy(stream, DeviceCopy::ToHost(out, at)).ok());
  ASSERT_TRUE(device.Free(at).ok());
  EXPECT_EQ(out, in);
  EXPECT_TRUE(absl::IsInvalidArgument(
      device.Copy(stream, DeviceCopy::ToHost(out, at))));
}

TYPED_TEST(DeviceTest, HostMemoryIsAlignedAndItsOwn) {
  Device& device = this->device();
  absl::StatusOr<std::span<std::byte>> memory = device.AllocateHost(5000);
  ASSERT_TRUE(memory.ok());
  EXPECT_EQ(memory->size(), 5000);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory->data()) % 4096, 0);
  EXPECT_TRUE(absl::IsInvalidArgument(device.AllocateHost(0).status()));
  EXPECT_TRUE(
      absl::IsResourceExhausted(device.AllocateHost(~size_t{0}).status()));
  EXPECT_TRUE(absl::IsNotFound(device.FreeHost(memory->first(1))));
  EXPECT_TRUE(device.FreeHost(*memory).ok());
  // What is not freed goes with the device (a leak checker sees).
  EXPECT_TRUE(device.AllocateHost(100).ok());
}

TYPED_TEST(DeviceTest, WorkLetsGoOfWhatItHeld) {
  Device& device = this->device();
  const StreamId stream = this->Stream();
  auto held = std::make_shared<int>(1);
  ASSERT_TRUE(device.Run(stream, [held] { ++*held; }).ok());
  ASSERT_TRUE(device.Synchronize(stream).ok());
  EXPECT_EQ(*held, 2);
  EXPECT_EQ(held.use_count(), 1);
}

// What it held may call the device: it was never the device's.
TYPED_TEST(DeviceTest, WorkThatIsRefusedIsLetGoByTheCaller) {
  Device& device = this->device();
  const StreamId gone = this->Stream();
  ASSERT_TRUE(device.DestroyStream(gone).ok());
  const DevicePointer at = this->Memory(256);
  std::shared_ptr<void> held(nullptr,
                             [&](void*) { EXPECT_TRUE(device.Free(at).ok()); });
  EXPECT_TRUE(absl::IsNotFound(device.Run(gone, [held = std::move(held)] {})));
  EXPECT_EQ(device.Memory().used, 0);
}

TYPED_TEST(DeviceTest, ThreadsShareIt) {
  Device& device = this->device();
  constexpr int kThreads = 4;
  constexpr int kRounds = 30;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const absl::StatusOr<StreamId> stream = device.CreateStream();
      if (!stream.ok()) {
        ++wrong;
        return;
      }
      for (int round = 0; round < kRounds; ++round) {
        const absl::StatusOr<DevicePointer> at = device.Allocate(512);
        const Bytes in =
            RandomBytes(512, static_cast<uint32_t>(t * 1000 + round));
        Bytes out(512);
        if (!at.ok() ||
            !device.Copy(*stream, DeviceCopy::ToDevice(*at, in)).ok() ||
            !device.Copy(*stream, DeviceCopy::ToHost(out, *at)).ok() ||
            !device.Await(*device.Record(*stream)).ok() || in != out ||
            !device.Free(*at).ok()) {
          ++wrong;
        }
      }
      if (!device.DestroyStream(*stream).ok()) ++wrong;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(device.Memory().used, 0);
}

// Many streams that wait for each other, each of whose operations must see what
// was done before it.
TYPED_TEST(DeviceTest, RandomWaitsKeepTheOrder) {
  Device& device = this->device();
  std::mt19937 random(4);
  std::vector<StreamId> streams;
  for (int i = 0; i < 6; ++i) streams.push_back(this->Stream());
  std::atomic<int> wrong = 0;
  std::vector<std::atomic<bool>> done(400);
  std::vector<int> last(streams.size(), -1);
  for (int i = 0; i < 400; ++i) {
    const size_t s = random() % streams.size();
    const size_t other = random() % streams.size();
    ASSERT_TRUE(device.Wait(streams[s], *device.Record(streams[other])).ok());
    ASSERT_TRUE(device
                    .Run(streams[s],
                         [&, i, mine = last[s], theirs = last[other]] {
                           // relaxed: the device orders the two.
                           for (const int before : {mine, theirs}) {
                             if (before >= 0 &&
                                 !done[static_cast<size_t>(before)].load(
                                     std::memory_order_relaxed)) {
                               ++wrong;
                             }
                           }
                           done[static_cast<size_t>(i)].store(
                               true, std::memory_order_relaxed);
                         })
                    .ok());
    last[s] = i;
  }
  for (const StreamId stream : streams) {
    ASSERT_TRUE(device.Synchronize(stream).ok());
  }
  EXPECT_EQ(wrong, 0);
}

template <class Parts>
void DestroyWithWorkPending() {
  Bytes in = RandomBytes(1024, 5);
  Bytes out(1024);
  std::atomic<int> ran = 0;
  {
    Parts parts;
    Device& device = parts.device;
    const StreamId a = *device.CreateStream();
    const StreamId b = *device.CreateStream();
    const DevicePointer at = *device.Allocate(1024);
    ASSERT_TRUE(device.Copy(a, DeviceCopy::ToDevice(at, in)).ok());
    for (int i = 0; i < 50; ++i) {
      ASSERT_TRUE(device.Run(a, [&] { ++ran; }).ok());
    }
    ASSERT_TRUE(device.Wait(b, *device.Record(a)).ok());
    ASSERT_TRUE(device.Copy(b, DeviceCopy::ToHost(out, at)).ok());
  }
  EXPECT_EQ(ran, 50);
  EXPECT_EQ(out, in);
}

TYPED_TEST(DeviceTest, TheDestructorDoesWhatWasSubmitted) {
  DestroyWithWorkPending<TypeParam>();
}

}  // namespace
}  // namespace mmsb
