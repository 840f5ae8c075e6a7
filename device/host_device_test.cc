#include "device/host_device.h"

#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "device/device.h"
#include "device/device_copy.h"
#include "device/device_event.h"
#include "device/device_pointer.h"
#include "gtest/gtest.h"
#include "primitives/sanitizer.h"

namespace mmsb {
namespace {

// What device.h promises of every device is in device_conformance_test.cc.

TEST(HostDeviceTest, AnAddressIsAnAddress) {
  HostDevice device;
  const StreamId stream = *device.CreateStream();
  const DevicePointer at = *device.Allocate(100);
  auto* const bytes = static_cast<std::byte*>(at.ToVoid());
  ASSERT_TRUE(device.Run(stream, [=] { bytes[99] = std::byte{7}; }).ok());
  ASSERT_TRUE(device.Synchronize(stream).ok());
  EXPECT_EQ(bytes[99], std::byte{7});
}

// The host may follow a pointer, and so give the device its own memory.
TEST(HostDeviceTest, CopiesUponThemselvesAreRefused) {
  HostDevice device;
  const StreamId stream = *device.CreateStream();
  const DevicePointer at = *device.Allocate(512);
  const std::span<std::byte> same(static_cast<std::byte*>(at.ToVoid()), 512);
  for (const size_t shift : {0, 1, 255}) {
    EXPECT_TRUE(absl::IsInvalidArgument(
        device.Copy(stream, DeviceCopy::ToDevice(at + shift, same.first(256)))))
        << shift;
    EXPECT_TRUE(absl::IsInvalidArgument(
        device.Copy(stream, DeviceCopy::ToHost(same.subspan(shift, 256), at))))
        << shift;
  }
  ASSERT_TRUE(device.Fill(stream, at, 256, std::byte{5}).ok());
  ASSERT_TRUE(
      device.Copy(stream, DeviceCopy::ToDevice(at + 256, same.first(256)))
          .ok());
  ASSERT_TRUE(device.Synchronize(stream).ok());
  EXPECT_EQ(same[511], std::byte{5});
}

// However many wait, one for the other, no stack is as deep.
TEST(HostDeviceTest, AChainOfStreamsIsAsLongAsOneLikes) {
  const uint32_t streams =
      kThreadSanitizer || kAddressSanitizer ? 20'000 : 50'000;
  HostDevice device({.threads = 1, .max_streams = streams});
  std::promise<void> begin;
  StreamId stream = *device.CreateStream();
  ASSERT_TRUE(device.Run(stream, [&] { begin.get_future().wait(); }).ok());
  for (uint32_t i = 1; i < streams; ++i) {
    const DeviceEvent before = *device.Record(stream);
    stream = *device.CreateStream();
    ASSERT_TRUE(device.Wait(stream, before).ok());
  }
  begin.set_value();
  EXPECT_TRUE(device.Synchronize(stream).ok());
}

TEST(HostDeviceTest, WhatIsBeingFreedIsNotUsedAnyMore) {
  HostDevice device;
  const StreamId slow = *device.CreateStream();
  const StreamId stream = *device.CreateStream();
  const DevicePointer at = *device.Allocate(256);
  std::promise<void> end;
  ASSERT_TRUE(device.Run(slow, [&] { end.get_future().wait(); }).ok());
  std::thread freeing([&] { EXPECT_TRUE(device.Free(at).ok()); });
  // Sooner or later the other thread waits, for work that does not end.
  absl::Status status;
  for (int i = 0; status.ok() && i < 1'000'000; ++i) {
    status = device.Fill(stream, at, 256, std::byte{1});
    std::this_thread::yield();
  }
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  end.set_value();
  freeing.join();
}

TEST(HostDeviceDeathTest, ItIsNotDestroyedByItsOwnWork) {
  EXPECT_DEATH(
      {
        auto device = std::make_shared<HostDevice>();
        const StreamId stream = *device->CreateStream();
        std::promise<void> begin;
        device->Run(stream, [device, &begin] { begin.get_future().wait(); })
            .IgnoreError();
        device.reset();
        begin.set_value();
        std::promise<void>().get_future().wait();
      },
      "let its last share go");
}

}  // namespace
}  // namespace mmsb
