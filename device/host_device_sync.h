#ifndef MMSB_DEVICE_HOST_DEVICE_SYNC_H_
#define MMSB_DEVICE_HOST_DEVICE_SYNC_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "device/device.h"
#include "device/device_copy.h"
#include "device/device_event.h"
#include "device/device_memory_pool.h"
#include "device/device_pointer.h"
#include "device/page_coherence.h"
#include "device/simd/mask_view.h"
#include "primitives/page_id.h"

namespace mmsb {

// Keeps the pages of the host and their copies on a device equal, by copying
// what changed and nothing else: lines of 64 bytes, told by whoever wrote them,
// or found by comparing (GenerateBlockMask).
//
// The states of a page, and what each operation makes of them, are in
// page_coherence.h. To it this class adds the copying: runs of lines become one
// copy each, the runs of many pages one batch, and the batches go to the device
// while host and device do other work:
//
//   Start    submits the copies of pages; until they are done a page is in
//            flight, and who writes it, on either side, waits
//   Finish   waits for them, tries again what failed, and reports
//   Sync     both
//
// Only lines are overwritten that are older at their destination, so a copy
// that fails, at any point, loses nothing: the lines stay what they were, newer
// on the one side. What failed is tried again page by page, max_attempts times
// in all. When the device is lost, pages that were newer there are lost: they
// are reported by the Finish() that finds it and by LostPages(), and every call
// for them is DataLoss, until Restore().
//
// Who owns what: the host's memory of a page belongs to the caller, and stays
// where it is until Remove(). The device's is allocated here, from the pool.
// Device and pool outlive this object; its destructor waits for what is in
// flight. The pool's callback for want of memory must not call this object.
//
// Thread-safety: any call, any thread. Read, Write and Edit of a page may run
// beside everything else. Who reads or writes a page's memory by another way
// keeps others from copying it meanwhile. Work on the device is ordered by
// events: MarkDeviceWrite() before it is submitted, and its event in
// Start(..., after).
//
// Failure: a status that begins with the page ("page 7: ..."), and names the
// device where that is the cause. Nothing has changed then.
// Complexity: Start, O(lines / 64 + runs) a page; the rest as in
// page_coherence.h. Edit runs under the one lock of this object.
//
//   auto sync = HostDeviceSync::Create(device, pool, {});
//   absl::Status status = (*sync)->Add(id, page);
//   status = (*sync)->Write(id, 100, bytes);
//   HostDeviceSync::Report report = (*sync)->Sync(Direction::kToDevice, {id});
class HostDeviceSync {
 public:
  using State = PageCoherence::State;

  enum class Direction { kToDevice, kToHost };

  struct Options {
    // Of one batch; a page is never divided.
    size_t max_batch_bytes = 1 << 20;
    size_t max_batch_copies = 1024;
    // Of the copies of a page, the first one too; at least 1.
    int max_attempts = 3;
  };

  struct PageFailure {
    PageId page;
    absl::Status status;
  };

  struct Report {
    // Pages that are not as they should be, each once, by id.
    std::vector<PageFailure> failed;
    uint64_t pages = 0;    // that had something to copy and were copied
    uint64_t bytes = 0;    // submitted, those that failed too
    uint64_t copies = 0;   // runs of lines
    uint64_t batches = 0;  // calls of the device
    uint64_t retries = 0;  // of one page

    [[nodiscard]] bool ok() const { return failed.empty(); }
  };

  // Copies in flight. Movable; one that is dropped leaves what failed dirty.
  // It must be finished or dropped before the HostDeviceSync goes. Finish() of
  // one that was moved from, or of another HostDeviceSync, ends the process.
  class Transfer;

  // Makes the two streams that it copies by.
  static absl::StatusOr<std::unique_ptr<HostDeviceSync>> Create(
      Device& device, DeviceMemoryPool& pool, const Options& options);
  HostDeviceSync(const HostDeviceSync&) = delete;
  HostDeviceSync& operator=(const HostDeviceSync&) = delete;
  ~HostDeviceSync();

  // The page's contents are `host`, at least 1 byte: host-only.
  // AlreadyExists, InvalidArgument.
  absl::Status Add(PageId page, std::span<std::byte> host);

  // The contents are still to be made, on the device: device-only. What lies in
  // `host` counts for nothing.
  absl::Status AddOnDevice(PageId page, std::span<std::byte> host);

  // Forgets the page and frees its memory on the device, whatever is newer
  // there. No work on the device may use it still.
  absl::Status Remove(PageId page);

  // Copies bytes of the page out of, or into, the host's memory.
  // FailedPrecondition when lines of them are newer on the device, OutOfRange
  // beyond the page.
  absl::Status Read(PageId page, size_t offset, std::span<std::byte> out);
  absl::Status Write(PageId page, size_t offset,
                     std::span<const std::byte> bytes);

  // As Write(), by a function that is given the bytes and changes them. It must
  // not call this object.
  absl::Status Edit(PageId page, size_t offset, size_t bytes,
                    absl::FunctionRef<void(std::span<std::byte>)> edit);

  // Lines that the caller has changed in the host's memory, one bit each, LSB
  // first, as GenerateBlockMask() with 64 bytes writes it: MaskBytes(lines)
  // bytes. FailedPrecondition when one is newer on the device.
  absl::Status MarkHostWrite(PageId page, std::span<const uint8_t> lines);

  // Work that is submitted to the device next will write these bytes.
  // FailedPrecondition when the device has no copy, or lines of them are newer
  // on the host.
  absl::Status MarkDeviceWrite(PageId page, size_t offset, size_t bytes);

  // Where the page lies on the device, or will when the copy that is on its way
  // is done. FailedPrecondition when there is neither.
  absl::StatusOr<DevicePointer> DeviceAddress(PageId page) const;

  absl::StatusOr<State> StateOf(PageId page) const;
  // By id.
  [[nodiscard]] std::vector<PageId> Pages() const;
  [[nodiscard]] std::vector<PageId> LostPages() const;

  // The host's contents are what counts, whatever was newer elsewhere:
  // host-only. For what was lost, and after work on the device that failed.
  absl::Status Restore(PageId page);

  // Submits the copies of what is newer on the other side, after the events.
  // `pages` need not be in order; the same page twice is once.
  Transfer Start(Direction direction, std::span<const PageId> pages,
                 std::span<const DeviceEvent> after = {});
  Report Finish(Transfer transfer);
  Report Sync(Direction direction, std::span<const PageId> pages,
              std::span<const DeviceEvent> after = {});

 private:
  struct Flight;

  struct Entry {
    PageId id;
    std::span<std::byte> host;
    PageCoherence coherence;
    DevicePointer device;
    std::shared_ptr<Flight> flight;  // null when not in flight
  };

  // Copies that go to the device in one call, and the pages whose all they are.
  struct Batch {
    std::vector<Entry*> pages;
    std::vector<DeviceCopy> copies;
    size_t bytes = 0;
    absl::Status submitted;
    // Where it is done; without, it is done already, or was not submitted.
    std::optional<DeviceEvent> done;
  };

  // What one Start() or one retry submitted. `batches` and `direction` do not
  // change any more when it is in flight; the rest is under the lock.
  struct Flight {
    Direction direction = Direction::kToDevice;
    std::vector<Batch> batches;
    bool landed = false;
    std::vector<PageFailure> failed;
    uint64_t pages = 0;
  };

  HostDeviceSync(Device& device, DeviceMemoryPool& pool, const Options& options,
                 StreamId to_device, StreamId to_host)
      : device_(device),
        pool_(pool),
        options_(options),
        to_device_(to_device),
        to_host_(to_host) {}

  absl::Status AddEntry(PageId page, std::span<std::byte> host,
                        PageCoherence::Side newest);
  absl::StatusOr<const Entry*> Find(PageId page) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // As Find(), of a page that is not in flight; may give up the lock meanwhile.
  absl::StatusOr<Entry*> FindLanded(PageId page)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  StreamId StreamOf(Direction direction) const {
    return direction == Direction::kToDevice ? to_device_ : to_host_;
  }
  absl::Status WaitFor(std::span<const DeviceEvent> after, Direction direction)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Appends the page's copies to the flight; failures go to `report`.
  void Plan(Entry& entry, Flight& flight, Report& report)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Submit(const std::shared_ptr<Flight>& flight, Report& report)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Waits for the flight's copies, and takes note of what became of them;
  // whoever comes first. Gives up the lock meanwhile.
  void Land(Flight& flight) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Why a page is not to be copied, and cannot be helped by trying again.
  absl::Status CheckDevice() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Device& device_;
  DeviceMemoryPool& pool_;
  const Options options_;
  const StreamId to_device_;
  const StreamId to_host_;

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<PageId, std::unique_ptr<Entry>> pages_
      ABSL_GUARDED_BY(mutex_);
  bool device_lost_ ABSL_GUARDED_BY(mutex_) = false;
};

class HostDeviceSync::Transfer {
 public:
  Transfer(Transfer&&) = default;
  Transfer& operator=(Transfer&&) = delete;
  ~Transfer();

  // For work on the device that is to follow the copies: a stream that waits
  // for it fails when one of them does. Reached, where there is nothing to
  // copy; an error when a page is not on its way: the device refused its copy,
  // or has no memory for it, or is lost.
  [[nodiscard]] absl::StatusOr<DeviceEvent> event() const;

 private:
  friend class HostDeviceSync;
  explicit Transfer(HostDeviceSync& sync) : sync_(&sync) {}

  HostDeviceSync* sync_;
  std::shared_ptr<Flight> flight_;
  std::vector<DeviceEvent> after_;
  Report report_;  // so far
};

}  // namespace mmsb

#endif  // MMSB_DEVICE_HOST_DEVICE_SYNC_H_
