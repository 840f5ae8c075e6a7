#ifndef MMSB_ALLOCATOR_SIZE_HISTOGRAM_H_
#define MMSB_ALLOCATOR_SIZE_HISTOGRAM_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace mmsb {

// How many blocks of which size an allocator handed out and took back.
//
// The buckets are the same for every allocator, so that histograms can be added
// and compared: one for each size up to 8 bytes, then four a doubling. A bucket
// holds the sizes above the last one's largest, up to its own:
//
//   1 2 3 4 5 6 7 8 10 12 14 16 20 24 28 32 40 ... 2^40, and all above
//
// Not a part of AllocatorStats, which stays as small as a few words: an
// allocator that keeps a histogram returns it from a call of its own,
// `SizeHistogram Histogram() const` (HistogramAllocator in raw_allocator.h),
// and says whether its sizes are those asked for or those of the blocks.
//
// A plain value of about 2.5 KiB: owns nothing, copied freely, never fails. Add
// and BucketOf are O(1), the rest is O(kBuckets).
//
//   const SizeHistogram sizes = stats_allocator.Histogram();
//   char text[4096];
//   std::string_view(text, sizes.FormatText(text));
class SizeHistogram {
 public:
  struct Bucket {
    uint64_t allocations = 0;    // blocks handed out
    uint64_t deallocations = 0;  // blocks taken back

    friend bool operator==(const Bucket&, const Bucket&) = default;
  };

  // The last bucket holds every size above kMaxBytes.
  static constexpr size_t kMaxBytes = size_t{1} << 40;
  static constexpr size_t kBuckets = 157;

  // The bucket of blocks of `bytes` bytes; 0 bytes count as 1.
  [[nodiscard]] static constexpr size_t BucketOf(size_t bytes) {
    if (bytes > kMaxBytes) return kBuckets - 1;
    const size_t last = bytes - (bytes != 0);
    if (last < 4) return last;
    const auto log2 = static_cast<size_t>(std::bit_width(last)) - 1;
    return 4 * (log2 - 2) + (last >> (log2 - 2));
  }

  // The largest size of a bucket, in bytes.
  [[nodiscard]] static constexpr size_t LargestOf(size_t bucket) {
    if (bucket >= kBuckets - 1) return std::numeric_limits<size_t>::max();
    if (bucket < 4) return bucket + 1;
    return (bucket % 4 + 5) << (bucket / 4 - 1);
  }

  // The smallest size of a bucket, in bytes.
  [[nodiscard]] static constexpr size_t SmallestOf(size_t bucket) {
    return bucket == 0 ? 1 : LargestOf(bucket - 1) + 1;
  }

  // Counts blocks of `bytes` bytes.
  constexpr void Add(size_t bytes, uint64_t allocations,
                     uint64_t deallocations = 0) {
    Bucket& bucket = buckets_[BucketOf(bytes)];
    bucket.allocations += allocations;
    bucket.deallocations += deallocations;
  }

  // Counts all that another histogram counted.
  constexpr SizeHistogram& operator+=(const SizeHistogram& other) {
    for (size_t i = 0; i < kBuckets; ++i) {
      buckets_[i].allocations += other.buckets_[i].allocations;
      buckets_[i].deallocations += other.buckets_[i].deallocations;
    }
    return *this;
  }

  // `bucket` is below kBuckets.
  [[nodiscard]] constexpr const Bucket& operator[](size_t bucket) const {
    return buckets_[bucket];
  }
  [[nodiscard]] constexpr Bucket& operator[](size_t bucket) {
    return buckets_[bucket];
  }

  // Blocks in all buckets.
  [[nodiscard]] uint64_t allocations() const;
  [[nodiscard]] uint64_t deallocations() const;

  // Writes as much as fits of the text into `out` and returns how many bytes
  // all of it takes; no terminating zero. Larger than out.size() means that it
  // was cut, and it never writes more than out.size() bytes. Buckets in which
  // nothing was ever counted are left out.
  //
  // Text is one line a bucket, sizes in bytes: "57..64 live 2 allocations 7\n".
  // JSON is one array on one line, an object a bucket:
  // [{"smallest":57,"largest":64,"allocations":7,"deallocations":5},...].
  size_t FormatText(std::span<char> out) const;
  size_t FormatJson(std::span<char> out) const;

  friend bool operator==(const SizeHistogram&, const SizeHistogram&) = default;

 private:
  std::array<Bucket, kBuckets> buckets_{};
};

static_assert(SizeHistogram::BucketOf(SizeHistogram::kMaxBytes) ==
              SizeHistogram::kBuckets - 2);
static_assert(SizeHistogram::LargestOf(SizeHistogram::kBuckets - 2) ==
              SizeHistogram::kMaxBytes);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_SIZE_HISTOGRAM_H_
