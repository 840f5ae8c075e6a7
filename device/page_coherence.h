#ifndef MMSB_DEVICE_PAGE_COHERENCE_H_
#define MMSB_DEVICE_PAGE_COHERENCE_H_

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "device/simd/mask_view.h"

namespace mmsb {

// Which lines (64 bytes each, the last may be shorter) of one page are newer on
// the host, and which on the device; a line is never both.
//
//   state         the device has   newer lines
//   host-only     nothing          all on the host
//   both-clean    a copy           none
//   host-dirty    a copy           some on the host
//   device-dirty  a copy           some on the device
//   both-dirty    a copy           some on either, none on both
//   device-only   all              all on the device
//   lost          nothing          some were on the device; of them the host
//                                  has an old version
//
// and what each operation makes of it (an error changes nothing):
//
//                 Wrote(host)      Wrote(device)      Copied to   Copied to
//                                                     the device  the host
//   host-only     host-only        FailedPrecondition both-clean  no change
//   both-clean    host-dirty       device-dirty       no change   no change
//   host-dirty    host-dirty       both-dirty *       both-clean  no change
//   device-dirty  both-dirty *     device-dirty       no change   both-clean
//   both-dirty    both-dirty *     both-dirty *       device-d.   host-dirty
//   device-only   FailedPrecond.   device-only        no change   both-clean
//   lost          DataLoss         DataLoss           no change   no change
//   * FailedPrecondition when a line is newer on the other side
//
//   DeviceLost()  device-dirty, both-dirty, device-only -> lost; else host-only
//   Restore()     -> host-only, from any
//
// (Device-dirty with every line is device-only.)
//
// Owns its masks: 2 bits a line. Thread-compatible. Complexity: linear in the
// lines concerned; state() in all lines.
//
//   PageCoherence page(4096);
//   page.Copied(PageCoherence::Side::kHost);
//   absl::Status status = page.Wrote(PageCoherence::Side::kHost, 100, 8);
//   ForEachRun(page.newer(PageCoherence::Side::kHost), ...);  // line 1
class PageCoherence {
 public:
  static constexpr size_t kLineBytes = 64;

  enum class Side { kHost, kDevice };
  enum class State {
    kHostOnly,
    kBothClean,
    kHostDirty,
    kDeviceDirty,
    kBothDirty,
    kDeviceOnly,
    kLost,
  };

  // A page of `bytes` bytes, at least 1, whose contents are on `newest`:
  // host-only or device-only.
  explicit PageCoherence(size_t bytes, Side newest = Side::kHost);

  [[nodiscard]] State state() const;
  [[nodiscard]] size_t bytes() const { return bytes_; }
  [[nodiscard]] size_t lines() const { return lines_; }

  // The lines that are newer on `side`, one bit each, LSB first; of a page that
  // is lost, those that were newer on the device.
  [[nodiscard]] MaskView newer(Side side) const;

  // `side` is about to write bytes, or the lines of a mask with lines() bits.
  // OutOfRange beyond the page, InvalidArgument for a mask of another size.
  absl::Status Wrote(Side side, size_t offset, size_t bytes);
  absl::Status Wrote(Side side, MaskView lines);

  // Ok when `side` has the newest contents of these bytes.
  [[nodiscard]] absl::Status CheckReadable(Side side, size_t offset,
                                           size_t bytes) const;

  // All lines that are newer on `from` were copied to the other side.
  void Copied(Side from);

  // The device's memory is gone.
  void DeviceLost();

  // The host's contents are what counts, whatever was newer elsewhere.
  void Restore();

 private:
  [[nodiscard]] absl::Status CheckRange(size_t offset, size_t bytes) const;
  // The lines of a range that CheckRange() accepted.
  struct Lines {
    size_t first;
    size_t count;
  };
  static Lines LinesOf(size_t offset, size_t bytes);
  std::vector<uint8_t>& mask(Side side) {
    return side == Side::kHost ? host_ : device_;
  }

  size_t bytes_;
  size_t lines_;
  bool placed_ = false;  // the device has something
  bool lost_ = false;
  std::vector<uint8_t> host_;
  std::vector<uint8_t> device_;
};

[[nodiscard]] absl::string_view PageStateName(PageCoherence::State state);
std::ostream& operator<<(std::ostream& stream, PageCoherence::State state);

}  // namespace mmsb

#endif  // MMSB_DEVICE_PAGE_COHERENCE_H_
