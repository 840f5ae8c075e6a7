#ifndef MMSB_MEMORY_STORE_PAGE_VERSION_H_
#define MMSB_MEMORY_STORE_PAGE_VERSION_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace mmsb {

// Where one version of a page lies in the log, and in which form. A page that
// was never written, or was written with zeros alone, is kZero and lies
// nowhere. A whole page is its bytes. A dense or sparse version is a link,
// which is the PageVersion that it changes, and then the encoded delta
// (DeltaForm has the same numbers for the same forms).
//
// A value. Thread-compatible.
struct PageVersion {
  enum class Form : uint8_t { kZero = 0, kDense = 1, kSparse = 2, kWhole = 3 };

  static constexpr size_t kBytes = 16;  // as a link in the log
  // The most versions that are read to rebuild one, beside the whole page that
  // they begin from. It bounds the time to read any page of any epoch.
  static constexpr uint8_t kMaxDepth = 16;

  uint64_t position = 0;  // in the log, in bytes
  uint32_t bytes = 0;     // in the log, the link included
  Form form = Form::kZero;
  uint8_t depth = 0;  // how many versions it is built upon

  bool is_delta() const {
    return form == Form::kDense || form == Form::kSparse;
  }

  void Encode(std::span<std::byte, kBytes> out) const;
  // None when the form is unknown.
  static std::optional<PageVersion> Decode(
      std::span<const std::byte, kBytes> in);

  friend bool operator==(const PageVersion&, const PageVersion&) = default;
};
static_assert(sizeof(PageVersion) == 16);

}  // namespace mmsb

#endif  // MMSB_MEMORY_STORE_PAGE_VERSION_H_
