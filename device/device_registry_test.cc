#include "device/device_registry.h"

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "device/device.h"
#include "device/host_device.h"
#include "gtest/gtest.h"
#include "memory/page/page_location.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

std::unique_ptr<Device> NewDevice(uint32_t index) {
  return std::make_unique<HostDevice>(
      HostDevice::Options{.index = index, .threads = 1});
}

TEST(DeviceRegistryTest, FindsWhatIsRegistered) {
  DeviceRegistry registry;
  EXPECT_TRUE(absl::IsNotFound(registry.Find(2).status()));
  ASSERT_TRUE(registry.Register(NewDevice(2)).ok());
  ASSERT_TRUE(registry.Register(NewDevice(0)).ok());
  EXPECT_EQ(registry.Indexes(), (std::vector<uint32_t>{0, 2}));
  EXPECT_EQ((*registry.Find(2))->info().index, 2);
  EXPECT_EQ(*registry.Find(PageLocation::Device(2)), *registry.Find(2));
  EXPECT_TRUE(
      absl::IsInvalidArgument(registry.Find(PageLocation::Host()).status()));
  EXPECT_TRUE(absl::IsAlreadyExists(registry.Register(NewDevice(2))));
  EXPECT_TRUE(absl::IsInvalidArgument(registry.Register(nullptr)));
  EXPECT_TRUE(absl::IsInvalidArgument(
      registry.Register(NewDevice(std::numeric_limits<uint32_t>::max()))));
  EXPECT_TRUE(absl::IsFailedPrecondition(registry.WaitUntilGone(2)));
}

TEST(DeviceRegistryTest, WhoHoldsADeviceKeepsIt) {
  DeviceRegistry registry;
  ASSERT_TRUE(registry.Register(NewDevice(1)).ok());
  std::shared_ptr<Device> held = *registry.Find(1);
  ASSERT_TRUE(registry.Unregister(1).ok());
  EXPECT_TRUE(absl::IsNotFound(registry.Unregister(1)));
  EXPECT_TRUE(absl::IsNotFound(registry.Find(1).status()));
  EXPECT_TRUE(registry.Indexes().empty());
  EXPECT_TRUE(held->CreateStream().ok());

  // Pages may still mean it, so nobody else gets its index.
  EXPECT_TRUE(absl::IsAlreadyExists(registry.Register(NewDevice(1))));
  ManualClock clock;
  EXPECT_TRUE(
      absl::IsDeadlineExceeded(registry.WaitUntilGone(1, clock.Now(), clock)));
  held = nullptr;
  EXPECT_TRUE(registry.WaitUntilGone(1).ok());
  EXPECT_TRUE(registry.Register(NewDevice(1)).ok());
}

TEST(DeviceRegistryTest, UnregisteringWithoutHoldersDestroys) {
  DeviceRegistry registry;
  ASSERT_TRUE(registry.Register(NewDevice(1)).ok());
  ASSERT_TRUE(registry.Unregister(1).ok());
  EXPECT_TRUE(registry.WaitUntilGone(1).ok());
  EXPECT_TRUE(registry.WaitUntilGone(7).ok());
  EXPECT_TRUE(registry.Register(NewDevice(1)).ok());
}

TEST(DeviceRegistryTest, SharesOutliveTheRegistry) {
  std::shared_ptr<Device> held;
  {
    DeviceRegistry registry;
    ASSERT_TRUE(registry.Register(NewDevice(4)).ok());
    held = *registry.Find(4);
  }
  EXPECT_TRUE(held->CreateStream().ok());
}

TEST(DeviceRegistryTest, WaitsForTheLastHolder) {
  DeviceRegistry registry;
  ASSERT_TRUE(registry.Register(NewDevice(1)).ok());
  std::shared_ptr<Device> held = *registry.Find(1);
  ASSERT_TRUE(registry.Unregister(1).ok());
  std::atomic<bool> let_go = false;
  std::thread holder([&] {
    let_go = true;
    held = nullptr;
  });
  EXPECT_TRUE(registry.WaitUntilGone(1).ok());
  EXPECT_TRUE(let_go);
  holder.join();
}

TEST(DeviceRegistryTest, ThreadsRegisterFindAndUnregister) {
  DeviceRegistry registry;
  constexpr int kRounds = 200;
  std::atomic<int> registered = 0;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        if (registry.Register(NewDevice(i % 2)).ok()) ++registered;
        const absl::Status status = registry.Unregister(i % 2);
        if (!status.ok() && !absl::IsNotFound(status)) ++wrong;
      }
    });
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        const absl::StatusOr<std::shared_ptr<Device>> device =
            registry.Find(i % 2);
        if (!device.ok()) continue;
        if ((*device)->info().index != static_cast<uint32_t>(i % 2) ||
            !(*device)->CreateStream().ok()) {
          ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(registered, 0);
  for (const uint32_t index : registry.Indexes()) {
    EXPECT_TRUE(registry.Unregister(index).ok());
  }
  EXPECT_TRUE(registry.WaitUntilGone(0).ok());
  EXPECT_TRUE(registry.WaitUntilGone(1).ok());
}

}  // namespace
}  // namespace mmsb
