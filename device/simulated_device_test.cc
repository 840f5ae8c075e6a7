#include "device/simulated_device.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "device/device_copy.h"
#include "device/device_event.h"
#include "device/device_pointer.h"
#include "gtest/gtest.h"
#include "primitives/bytes.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;
using Call = SimulatedDevice::Call;
using Fault = SimulatedDevice::Fault;
using DeviceMemory = SimulatedDevice::DeviceMemory;

constexpr uint64_t kBytePerNs = 1'000'000'000;

class SimulatedDeviceTest : public testing::Test {
 protected:
  ManualClock clock_;
  // Before the device, whose end does what was submitted.
  Bytes host_ = Bytes(4096, std::byte{1});
  SimulatedDevice device_{{.to_device_bytes_per_second = kBytePerNs,
                           .to_host_bytes_per_second = 2 * kBytePerNs,
                           .on_device_bytes_per_second = 10 * kBytePerNs,
                           .call_ns = 100,
                           .copy_ns = 10,
                           .allocate_ns = 5,
                           .free_ns = 7,
                           .fresh = std::byte{0xdb}},
                          clock_};
  const StreamId stream_ = *device_.CreateStream();
  const DevicePointer at_ = *device_.Allocate(4096);

  // Nanoseconds that `wait` takes.
  template <class Wait>
  int64_t Took(Wait wait) {
    const int64_t before = clock_.Now();
    wait();
    return clock_.Now() - before;
  }
  absl::Status ToDevice(StreamId stream, size_t bytes = 1000) {
    return device_.Copy(
        stream, DeviceCopy::ToDevice(at_, std::span(host_).first(bytes)));
  }
  absl::Status ToHost(StreamId stream, size_t bytes = 1000) {
    return device_.Copy(stream,
                        DeviceCopy::ToHost(std::span(host_).first(bytes), at_));
  }
  void Synchronize(StreamId stream) {
    const absl::Status status = device_.Synchronize(stream);
    EXPECT_TRUE(status.ok()) << status;
  }
};

TEST_F(SimulatedDeviceTest, ACopyTakesItsLatencyAndBandwidth) {
  ASSERT_TRUE(ToDevice(stream_).ok());
  EXPECT_EQ(Took([&] { Synchronize(stream_); }), 100 + 10 + 1000);
  ASSERT_TRUE(ToHost(stream_).ok());
  EXPECT_EQ(Took([&] { Synchronize(stream_); }), 100 + 10 + 500);
  ASSERT_TRUE(
      device_.Copy(stream_, DeviceCopy::OnDevice(at_, at_ + 2000, 2000)).ok());
  EXPECT_EQ(Took([&] { Synchronize(stream_); }), 100 + 10 + 200);
  ASSERT_TRUE(device_.Fill(stream_, at_, 4000, std::byte{0}).ok());
  EXPECT_EQ(Took([&] { Synchronize(stream_); }), 100 + 400);
}

TEST_F(SimulatedDeviceTest, ABatchPaysTheCallOnce) {
  std::vector<DeviceCopy> copies;
  for (size_t i = 0; i < 4; ++i) {
    copies.push_back(DeviceCopy::ToDevice(
        at_ + i * 64, std::span(host_).subspan(i * 64, 50)));
  }
  ASSERT_TRUE(device_.Copy(stream_, copies).ok());
  EXPECT_EQ(Took([&] { Synchronize(stream_); }), 100 + 4 * 10 + 4 * 50);
}

TEST_F(SimulatedDeviceTest, DirectionsOverlapAndEachIsSerial) {
  const StreamId other = *device_.CreateStream();
  ASSERT_TRUE(ToDevice(stream_).ok());
  ASSERT_TRUE(ToHost(other).ok());
  EXPECT_EQ(Took([&] {
              Synchronize(stream_);
              Synchronize(other);
            }),
            1110);  // the longer of both
  ASSERT_TRUE(ToDevice(stream_).ok());
  ASSERT_TRUE(ToDevice(other).ok());
  EXPECT_EQ(Took([&] {
              Synchronize(stream_);
              Synchronize(other);
            }),
            2 * 1110);
}

TEST_F(SimulatedDeviceTest, KernelsOverlapWithCopies) {
  const StreamId other = *device_.CreateStream();
  ASSERT_TRUE(device_
                  .Launch(other, 900,
                          [](const DeviceMemory&) { return absl::OkStatus(); })
                  .ok());
  ASSERT_TRUE(ToDevice(stream_).ok());
  EXPECT_EQ(Took([&] {
              Synchronize(stream_);
              Synchronize(other);
            }),
            1110);
}

TEST_F(SimulatedDeviceTest, AWaitEndsWithWhatItWaitsFor) {
  const StreamId other = *device_.CreateStream();
  ASSERT_TRUE(ToDevice(stream_).ok());
  ASSERT_TRUE(device_.Wait(other, *device_.Record(stream_)).ok());
  ASSERT_TRUE(ToHost(other).ok());
  EXPECT_EQ(Took([&] { Synchronize(other); }), 1110 + 610);
}

TEST_F(SimulatedDeviceTest, NothingHappensBeforeItsTime) {
  ASSERT_TRUE(ToDevice(stream_).ok());
  Bytes seen(1000);
  ASSERT_TRUE(device_
                  .Launch(stream_, 0,
                          [&](const DeviceMemory& memory) {
                            const auto bytes = memory.Bytes(at_, 1000);
                            if (!bytes.ok()) return bytes.status();
                            std::ranges::copy(*bytes, seen.begin());
                            return absl::OkStatus();
                          })
                  .ok());
  const DeviceEvent event = *device_.Record(stream_);
  clock_.Advance(1110 + 99);
  EXPECT_FALSE(*device_.Reached(event));
  EXPECT_EQ(seen, Bytes(1000));
  clock_.Advance(1);
  EXPECT_TRUE(*device_.Reached(event));
  EXPECT_EQ(seen, Bytes(1000, std::byte{1}));
}

TEST_F(SimulatedDeviceTest, AllocateAndFreeTakeTheirTime) {
  DevicePointer pointer;
  EXPECT_EQ(Took([&] { pointer = *device_.Allocate(1); }), 5);
  EXPECT_EQ(Took([&] { ASSERT_TRUE(device_.Free(pointer).ok()); }), 7);
}

TEST_F(SimulatedDeviceTest, TheHostDoesNotReachTheMemory) {
  EXPECT_GE(at_.address(), uint64_t{1} << 60);
  const DevicePointer freed = *device_.Allocate(64);
  ASSERT_TRUE(device_.Free(freed).ok());
  EXPECT_NE(device_.Allocate(64)->address(), freed.address());
  EXPECT_DEATH(*static_cast<volatile char*>(at_.ToVoid()), "");
}

TEST_F(SimulatedDeviceTest, TimesThatDoNotFitEndAtTheEndOfTime) {
  SimulatedDevice slow({.memory_bytes = kMiB,
                        .to_device_bytes_per_second = 1,
                        .call_ns = std::numeric_limits<int64_t>::max()},
                       clock_);
  const StreamId stream = *slow.CreateStream();
  const DevicePointer at = *slow.Allocate(4096);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(slow.Copy(stream, DeviceCopy::ToDevice(at, host_)).ok());
  }
  EXPECT_FALSE(*slow.Reached(*slow.Record(stream)));
}

// However many wait at once, the clock stands where the last of them ends.
TEST_F(SimulatedDeviceTest, ThreadsThatWaitDoNotAddUp) {
  std::vector<StreamId> streams;
  for (int i = 0; i < 4; ++i) streams.push_back(*device_.CreateStream());
  for (int round = 0; round < 50; ++round) {
    const int64_t begin = clock_.Now();
    for (const StreamId stream : streams) {
      ASSERT_TRUE(
          device_
              .Launch(stream, 1000,
                      [](const DeviceMemory&) { return absl::OkStatus(); })
              .ok());
    }
    std::vector<std::thread> threads;
    for (const StreamId stream : streams) {
      threads.emplace_back(
          [this, stream] { EXPECT_TRUE(device_.Synchronize(stream).ok()); });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(clock_.Now() - begin, 1100);
  }
}

TEST_F(SimulatedDeviceTest, ARefusedCallDoesNothing) {
  device_.FailCall(1, Fault::kRefuse);
  const absl::Status status = ToDevice(stream_);
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(device_.Record(stream_)->point, 0);
  EXPECT_TRUE(ToDevice(stream_).ok());
  Synchronize(stream_);
  device_.FailCall(2, Fault::kRefuse);
  EXPECT_TRUE(device_.Allocate(1).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(device_.Allocate(1).status()));
}

TEST_F(SimulatedDeviceTest, AFailureSkipsWhatIsBehindItAndWhoWaitsForIt) {
  const StreamId waiting = *device_.CreateStream();
  const StreamId apart = *device_.CreateStream();
  device_.FailCall(1, Fault::kFail);
  ASSERT_TRUE(ToDevice(stream_).ok());
  const DeviceEvent failed = *device_.Record(stream_);
  int ran = 0;
  ASSERT_TRUE(device_.Run(stream_, [&] { ran += 1; }).ok());
  ASSERT_TRUE(device_.Wait(waiting, failed).ok());
  ASSERT_TRUE(device_.Run(waiting, [&] { ran += 10; }).ok());
  // Who waits for the order alone goes on.
  ASSERT_TRUE(
      device_.Wait(apart, failed, SimulatedDevice::IfFailed::kGoOn).ok());
  ASSERT_TRUE(device_.Run(apart, [&] { ran += 100; }).ok());
  EXPECT_TRUE(absl::IsUnavailable(device_.Synchronize(waiting)));
  EXPECT_TRUE(device_.Synchronize(apart).ok());
  EXPECT_EQ(ran, 100);

  EXPECT_TRUE(absl::IsUnavailable(device_.Synchronize(stream_)));
  ASSERT_TRUE(device_.Run(stream_, [&] { ran += 1000; }).ok());
  EXPECT_TRUE(device_.Synchronize(stream_).ok());
  EXPECT_EQ(ran, 1100);
  EXPECT_TRUE(absl::IsUnavailable(device_.Reached(failed).status()));
  // Also when the stream is gone.
  ASSERT_TRUE(device_.DestroyStream(stream_).ok());
  EXPECT_TRUE(absl::IsUnavailable(device_.Await(failed)));
  EXPECT_TRUE(device_.Health().ok());
}

TEST_F(SimulatedDeviceTest, AFailedBatchLeavesItsDestinationsTornAndNoOthers) {
  Synchronize(stream_);
  std::vector<DeviceCopy> copies;
  for (size_t i = 0; i < 4; ++i) {
    copies.push_back(DeviceCopy::ToDevice(
        at_ + i * 128, std::span(host_).subspan(i * 128, 64)));
  }
  device_.FailCall(1, Fault::kFail);
  ASSERT_TRUE(device_.Copy(stream_, copies).ok());
  EXPECT_TRUE(absl::IsUnavailable(device_.Synchronize(stream_)));
  ASSERT_TRUE(ToHost(stream_, 512).ok());
  Synchronize(stream_);
  EXPECT_EQ(host_[0], std::byte{1});
  EXPECT_EQ(host_[128 + 63], std::byte{1});
  EXPECT_EQ(host_[256], std::byte{0x5a});
  EXPECT_EQ(host_[256 + 63], std::byte{0xdb});
  EXPECT_EQ(host_[384], std::byte{0xdb});
  for (size_t i = 0; i < 4; ++i)
    EXPECT_EQ(host_[i * 128 + 64], std::byte{0xdb});
}

TEST_F(SimulatedDeviceTest, AKernelsStatusIsTheOperations) {
  ASSERT_TRUE(device_
                  .Launch(stream_, 0,
                          [&](const DeviceMemory& memory) {
                            return memory.Bytes(at_ + 4000, 97).status();
                          })
                  .ok());
  const DeviceEvent event = *device_.Record(stream_);
  const StreamId waiting = *device_.CreateStream();
  ASSERT_TRUE(device_.Wait(waiting, event).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(device_.Synchronize(stream_)));
  EXPECT_TRUE(absl::IsInvalidArgument(device_.Synchronize(waiting)));
  EXPECT_TRUE(device_.Wait(waiting, event).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(device_.Synchronize(waiting)));
}

TEST_F(SimulatedDeviceTest, ALostDeviceStaysLost) {
  ASSERT_TRUE(ToDevice(stream_).ok());
  const DeviceEvent done = *device_.Record(stream_);
  Synchronize(stream_);
  device_.FailCall(2, Fault::kLoseLater);
  ASSERT_TRUE(ToDevice(stream_).ok());
  ASSERT_TRUE(ToDevice(stream_).ok());
  ASSERT_TRUE(ToHost(stream_).ok());
  const DeviceEvent never = *device_.Record(stream_);
  EXPECT_TRUE(device_.Health().ok());
  EXPECT_TRUE(absl::IsDataLoss(device_.Synchronize(stream_)));
  EXPECT_TRUE(absl::IsDataLoss(device_.Health()));
  device_.Heal();
  EXPECT_TRUE(*device_.Reached(done));
  EXPECT_TRUE(absl::IsDataLoss(device_.Reached(never).status()));
  EXPECT_TRUE(absl::IsDataLoss(device_.Await(never)));
  EXPECT_TRUE(absl::IsDataLoss(ToDevice(stream_)));
  EXPECT_TRUE(absl::IsDataLoss(device_.Record(stream_).status()));
  EXPECT_TRUE(absl::IsDataLoss(device_.Wait(stream_, done)));
  EXPECT_TRUE(absl::IsDataLoss(device_.Allocate(1).status()));
  EXPECT_TRUE(absl::IsDataLoss(device_.CreateStream().status()));
  EXPECT_TRUE(absl::IsDataLoss(device_.Free(at_)));
  EXPECT_EQ(device_.Memory().used, 0);
  EXPECT_TRUE(absl::IsDataLoss(device_.DestroyStream(stream_)));
  EXPECT_EQ(host_, Bytes(4096, std::byte{1}));  // the copy back was skipped
}

TEST_F(SimulatedDeviceTest, APredicateSeesEveryCall) {
  std::vector<Call> calls;
  uint64_t first = 0;
  device_.OnCall([&](const SimulatedDevice::CallInfo& call) {
    if (calls.empty()) first = call.number;
    EXPECT_EQ(call.number, first + calls.size());
    calls.push_back(call.call);
    if (call.call == Call::kCopy) {
      EXPECT_EQ(call.bytes, 1000);
      EXPECT_EQ(call.stream, stream_);
    }
    return call.call == Call::kWait ? Fault::kRefuse : Fault::kNone;
  });
  const DevicePointer pointer = *device_.Allocate(1);
  ASSERT_TRUE(ToDevice(stream_).ok());
  EXPECT_TRUE(
      absl::IsUnavailable(device_.Wait(stream_, *device_.Record(stream_))));
  ASSERT_TRUE(device_.Free(pointer).ok());
  EXPECT_EQ(calls,
            (std::vector<Call>{Call::kAllocate, Call::kCopy, Call::kRecord,
                               Call::kWait, Call::kFree}));
}

TEST_F(SimulatedDeviceTest, CountsWhatItMoved) {
  ASSERT_TRUE(ToDevice(stream_, 100).ok());
  ASSERT_TRUE(ToHost(stream_, 30).ok());
  ASSERT_TRUE(device_.Wait(stream_, *device_.Record(stream_)).ok());
  const SimulatedDevice::Traffic traffic = device_.traffic();
  EXPECT_EQ(traffic.to_device_bytes, 100);
  EXPECT_EQ(traffic.to_host_bytes, 30);
  EXPECT_EQ(traffic.copies, 2);
  EXPECT_EQ(traffic.batches, 2);
  EXPECT_EQ(traffic.events, 1);
  EXPECT_EQ(traffic.waits, 1);
  EXPECT_EQ(traffic.allocations, 1);
}

// The same program twice: the same times, outcomes and bytes.
TEST(SimulatedDeviceDeterminismTest, EveryRunIsTheSame) {
  const auto run = [](uint32_t seed) {
    std::mt19937 random(seed);
    ManualClock clock;
    Bytes host(kKiB);
    SimulatedDevice device({.call_ns = 13, .fresh = std::byte{0}}, clock);
    device.OnCall([&](const SimulatedDevice::CallInfo& call) {
      return call.number % 17 == 0 ? Fault::kFail : Fault::kNone;
    });
    std::string trace;
    std::vector<StreamId> streams;
    for (int i = 0; i < 3; ++i) streams.push_back(*device.CreateStream());
    const DevicePointer at = *device.Allocate(kKiB);
    for (int i = 0; i < 300; ++i) {
      const StreamId stream = streams[random() % 3];
      host[random() % kKiB] = static_cast<std::byte>(random());
      absl::Status status;
      switch (random() % 4) {
        case 0:
          status = device.Copy(stream, DeviceCopy::ToDevice(at, host));
          break;
        case 1:
          status = device.Copy(stream, DeviceCopy::ToHost(host, at));
          break;
        case 2: {
          const absl::StatusOr<DeviceEvent> event =
              device.Record(streams[random() % 3]);
          status = event.ok() ? device.Wait(stream, *event) : event.status();
          break;
        }
        default:
          status = device.Synchronize(stream);
          break;
      }
      trace += status.ToString() + std::to_string(clock.Now()) + "\n";
    }
    for (const std::byte byte : host) {
      trace += static_cast<char>('a' + static_cast<int>(byte) % 26);
    }
    return trace;
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

}  // namespace
}  // namespace mmsb
