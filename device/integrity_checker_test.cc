#include "device/integrity_checker.h"

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include "absl/crc/crc32c.h"
#include "absl/status/status.h"
#include "device/device_copy.h"
#include "device/device_event.h"
#include "device/device_pointer.h"
#include "device/simulated_device.h"
#include "gtest/gtest.h"
#include "primitives/os_clock.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;

class IntegrityCheckerTest : public testing::Test {
 protected:
  // Chunks smaller than a page, and no divisor of it.
  static constexpr size_t kChunkBytes = 100;

  IntegrityCheckerTest() {
    std::mt19937 random(1);
    for (size_t i = 0; i < 5; ++i) {
      Bytes bytes(50 + 97 * i);
      for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
      at_.push_back(*device_.Allocate(bytes.size()));
      EXPECT_TRUE(
          device_.Copy(stream_, DeviceCopy::ToDevice(at_.back(), bytes)).ok());
      EXPECT_TRUE(device_.Synchronize(stream_).ok());
      host_.push_back(std::move(bytes));
    }
  }

  std::vector<IntegrityChecker::PageCopies> Pages() {
    std::vector<IntegrityChecker::PageCopies> pages;
    for (size_t i = 0; i < host_.size(); ++i) {
      pages.push_back({PageId::FromValue(i), host_[i], at_[i]});
    }
    return pages;
  }
  std::vector<IntegrityChecker::PageSum> Sums() {
    std::vector<IntegrityChecker::PageSum> sums;
    for (size_t i = 0; i < host_.size(); ++i) {
      const std::string_view text(
          reinterpret_cast<const char*>(host_[i].data()), host_[i].size());
      sums.push_back({PageId::FromValue(i), at_[i], host_[i].size(),
                      static_cast<uint32_t>(absl::ComputeCrc32c(text))});
    }
    return sums;
  }

  ManualClock clock_;
  SimulatedDevice device_{{.fresh = std::byte{0xdb}}, clock_};
  const StreamId stream_ = *device_.CreateStream();
  std::vector<Bytes> host_;
  std::vector<DevicePointer> at_;
  IntegrityChecker checker_{device_, kChunkBytes};
};

TEST_F(IntegrityCheckerTest, CopiesThatAgreeAreNotReported) {
  EXPECT_TRUE(checker_.Compare(Pages())->empty());
  EXPECT_TRUE(checker_.CompareSums(Sums())->empty());
}

TEST_F(IntegrityCheckerTest, EveryChangedByteIsFound) {
  for (size_t offset = 0; offset < host_[3].size(); ++offset) {
    host_[3][offset] ^= std::byte{4};
    const auto differences = checker_.Compare(Pages());
    ASSERT_TRUE(differences.ok());
    ASSERT_EQ(differences->size(), 1);
    const IntegrityChecker::Difference& found = differences->front();
    EXPECT_EQ(found.page, PageId::FromValue(3));
    EXPECT_EQ(found.offset, offset);
    EXPECT_EQ(found.host, found.device ^ std::byte{4});
    const auto wrong = checker_.CompareSums(Sums());
    ASSERT_TRUE(wrong.ok());
    ASSERT_EQ(wrong->size(), 1);
    EXPECT_EQ(wrong->front().page, PageId::FromValue(3));
    EXPECT_NE(wrong->front().expected, wrong->front().device);
    host_[3][offset] ^= std::byte{4};
  }
}

TEST_F(IntegrityCheckerTest, TheFirstOfSeveralBytesAndEveryPage) {
  host_[1][40] ^= std::byte{1};
  host_[1][41] ^= std::byte{1};
  host_[4][437] ^= std::byte{1};
  const auto differences = checker_.Compare(Pages());
  ASSERT_EQ(differences->size(), 2);
  EXPECT_EQ((*differences)[0].offset, 40);
  EXPECT_EQ((*differences)[1].page, PageId::FromValue(4));
  EXPECT_EQ((*differences)[1].offset, 437);
}

TEST_F(IntegrityCheckerTest, WhatCannotBeReadIsAStatusThatNamesThePage) {
  device_.FailCall(4, SimulatedDevice::Fault::kFail);
  const auto differences = checker_.Compare(Pages());
  EXPECT_TRUE(absl::IsUnavailable(differences.status()));
  EXPECT_TRUE(differences.status().message().starts_with("page 1: device 0"))
      << differences.status();
  // And the next time it is read.
  EXPECT_TRUE(checker_.Compare(Pages())->empty());
  device_.FailCall(1, SimulatedDevice::Fault::kRefuse);
  EXPECT_TRUE(absl::IsResourceExhausted(checker_.CompareSums(Sums()).status()));
}

}  // namespace
}  // namespace mmsb
