#ifndef MMSB_PRIMITIVES_ID_H_
#define MMSB_PRIMITIVES_ID_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

namespace mmsb {

// An opaque 64-bit name. Tag tells kinds of names apart at compile time and is
// never defined; nothing converts to or from an Id by itself.
//
// A value type of 8 bytes. A default-made Id is invalid, and so is the one of
// value ~0; every other value names something. Ordered by value (the invalid
// one comes last), and a key for std::unordered_map and for Abseil's hash
// tables.
//
//   using BlockId = Id<struct BlockIdTag>;
//   BlockId id = BlockId::FromValue(7);
//   if (id.valid()) Use(blocks[id.value()]);
template <class Tag>
class Id {
 public:
  constexpr Id() = default;

  [[nodiscard]] static constexpr Id FromValue(uint64_t value) {
    return Id(value);
  }

  [[nodiscard]] constexpr uint64_t value() const { return value_; }
  [[nodiscard]] constexpr bool valid() const { return value_ != kInvalid; }

  friend constexpr auto operator<=>(Id, Id) = default;

  // Found by Abseil where it is there; needs nothing of it here.
  template <class H>
  friend H AbslHashValue(H state, Id id) {
    return H::combine(std::move(state), id.value_);
  }

 private:
  static constexpr uint64_t kInvalid = ~uint64_t{0};

  explicit constexpr Id(uint64_t value) : value_(value) {}

  uint64_t value_ = kInvalid;
};

}  // namespace mmsb

template <class Tag>
struct std::hash<mmsb::Id<Tag>> {
  size_t operator()(mmsb::Id<Tag> id) const noexcept {
    return std::hash<uint64_t>()(id.value());
  }
};

#endif  // MMSB_PRIMITIVES_ID_H_
