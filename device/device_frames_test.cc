#include "device/device_frames.h"

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "device/device_copy.h"
#include "device/device_event.h"
#include "device/device_pointer.h"
#include "device/simulated_device.h"
#include "gtest/gtest.h"
#include "memory/page/page.h"
#include "memory/page/page_allocator.h"
#include "primitives/alignment.h"
#include "primitives/bytes.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

TEST(DeviceFramesTest, PagesLieOnTheDevice) {
  ManualClock clock;
  SimulatedDevice device({.index = 2, .memory_bytes = 64 * kKiB}, clock);
  DeviceFrames frames(device);
  PageAllocator pages({.alignment = Alignment::FromBytes(256)});
  ASSERT_TRUE(pages.AddFrames(device.location(), frames).ok());
  const absl::StatusOr<Page*> page =
      pages.Allocate({.bytes = 1000, .location = device.location()});
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_TRUE((*page)->contents().empty());  // the host does not reach them
  EXPECT_EQ(device.Memory().used, kKiB);

  // The address is one of the device's.
  const StreamId stream = *device.CreateStream();
  std::vector<std::byte> bytes(1000, std::byte{5});
  const DevicePointer at = DevicePointer::FromVoid((*page)->address());
  ASSERT_TRUE(device.Copy(stream, DeviceCopy::ToDevice(at, bytes)).ok());
  ASSERT_TRUE(device.Synchronize(stream).ok());

  EXPECT_TRUE(absl::IsResourceExhausted(
      pages.Allocate({.bytes = 64 * kKiB, .location = device.location()})
          .status()));
  ASSERT_TRUE(pages.Free((*page)->id()).ok());
  EXPECT_EQ(device.Memory().used, 0);
}

TEST(DeviceFramesTest, AStricterAlignmentThanTheDevicesIsNotServed) {
  ManualClock clock;
  SimulatedDevice device({}, clock);
  DeviceFrames frames(device);
  EXPECT_EQ(frames.Allocate(100, 512), nullptr);
  EXPECT_EQ(frames.Allocate(100, 3), nullptr);
  void* const none = frames.Allocate(0, 1);
  EXPECT_NE(none, nullptr);
  frames.Deallocate(none, 0, 1);
  frames.Deallocate(nullptr, 0, 1);
  EXPECT_EQ(device.Memory().used, 0);
}

}  // namespace
}  // namespace mmsb
