// Pages on a device: a registry to find it by, memory for them from a pool,
// copies of what changed and nothing else, work on the device that waits for
// them, and a device that is lost. The device is simulated, so this runs
// anywhere; another Device takes its place without a change below.

#include "mmsb/device.h"

#include <cstddef>
#include <cstdio>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "mmsb/device_memory_pool.h"
#include "mmsb/device_registry.h"
#include "mmsb/host_device_sync.h"
#include "mmsb/integrity_checker.h"
#include "mmsb/os_clock.h"
#include "mmsb/page_id.h"
#include "mmsb/page_location.h"
#include "mmsb/simulated_device.h"

namespace {

using Direction = mmsb::HostDeviceSync::Direction;

// 0 when all was as it should be.
int Run() {
  // A page says "device 0"; the registry knows which that is.
  mmsb::ManualClock clock;
  auto made = std::make_unique<mmsb::SimulatedDevice>(
      mmsb::SimulatedDevice::Options{
          .index = 0, .to_device_bytes_per_second = 1'000'000'000},
      clock);
  mmsb::SimulatedDevice* const simulation = made.get();
  mmsb::DeviceRegistry registry;
  if (!registry.Register(std::move(made)).ok()) return 1;
  const auto device = registry.Find(mmsb::PageLocation::Device(0));
  if (!device.ok()) return 1;

  // 100 pages of 4 KiB in the memory of the host, and their copies.
  std::vector<std::byte> state(100 * 4096);
  mmsb::DeviceMemoryPool pool(**device);
  const auto sync = mmsb::HostDeviceSync::Create(**device, pool, {});
  if (!sync.ok()) return 1;
  std::vector<mmsb::PageId> ids;
  for (size_t i = 0; i < 100; ++i) {
    ids.push_back(mmsb::PageId::FromValue(i));
    const auto page = std::span(state).subspan(i * 4096, 4096);
    if (!(*sync)->Add(ids[i], page).ok()) return 1;
  }
  mmsb::HostDeviceSync::Report report =
      (*sync)->Sync(Direction::kToDevice, ids);
  std::printf("first: %llu bytes\n",
              static_cast<unsigned long long>(report.bytes));
  if (!report.ok() || report.bytes != state.size()) return 1;

  // A byte here and there: a line of 64 bytes each is copied.
  const std::byte one{1};
  for (size_t i = 0; i < 100; i += 10) {
    if (!(*sync)->Write(ids[i], 1000, std::span(&one, 1)).ok()) return 1;
  }

  // Work on the device follows the copies, by an event; the host does what it
  // likes meanwhile.
  const auto stream = (*device)->CreateStream();
  if (!stream.ok()) return 1;
  auto transfer = (*sync)->Start(Direction::kToDevice, ids);
  const auto copied = transfer.event();
  if (!copied.ok() || !(*device)->Wait(*stream, *copied).ok()) return 1;

  // It sets the last line of page 7. That page is newer on the device now.
  if (!(*sync)->MarkDeviceWrite(ids[7], 4032, 64).ok()) return 1;
  const auto at = (*sync)->DeviceAddress(ids[7]);
  if (!at.ok()) return 1;
  if (!(*device)->Fill(*stream, *at + 4032, 64, std::byte{7}).ok()) return 1;
  const auto written = (*device)->Record(*stream);
  if (!written.ok()) return 1;

  report = (*sync)->Finish(std::move(transfer));
  std::printf("then: %llu bytes\n",
              static_cast<unsigned long long>(report.bytes));
  if (!report.ok() || report.bytes != 10 * 64) return 1;

  // Back to the host, after the work.
  report = (*sync)->Sync(Direction::kToHost, ids, std::span(&*written, 1));
  std::printf("back: %llu bytes\n",
              static_cast<unsigned long long>(report.bytes));
  if (!report.ok() || report.bytes != 64) return 1;
  if (state[7 * 4096 + 4095] != std::byte{7}) return 1;

  // Do both agree?
  mmsb::IntegrityChecker checker(**device);
  std::vector<mmsb::IntegrityChecker::PageCopies> copies;
  for (const mmsb::PageId id : ids) {
    copies.push_back({id, std::span(state).subspan(id.value() * 4096, 4096),
                      *(*sync)->DeviceAddress(id)});
  }
  const auto differences = checker.Compare(copies);
  if (!differences.ok() || !differences->empty()) return 1;

  // The device fails while page 9 is newer there. That page is reported; all
  // others are whole on the host.
  if (!(*sync)->MarkDeviceWrite(ids[9], 0, 4096).ok()) return 1;
  simulation->Lose();
  report = (*sync)->Sync(Direction::kToHost, ids);
  const std::vector<mmsb::PageId> lost = (*sync)->LostPages();
  if (report.ok() || lost.size() != 1 || lost[0] != ids[9]) return 1;
  std::printf("lost: page %llu\n",
              static_cast<unsigned long long>(lost[0].value()));
  return 0;
}

}  // namespace

int main() { return Run(); }
