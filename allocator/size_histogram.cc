#include "allocator/size_histogram.h"

#include <cstddef>
#include <cstdint>
#include <span>

#include "allocator/bounded_writer.h"

namespace mmsb {

uint64_t SizeHistogram::allocations() const {
  uint64_t sum = 0;
  for (const Bucket& bucket : buckets_) sum += bucket.allocations;
  return sum;
}

uint64_t SizeHistogram::deallocations() const {
  uint64_t sum = 0;
  for (const Bucket& bucket : buckets_) sum += bucket.deallocations;
  return sum;
}

size_t SizeHistogram::FormatText(std::span<char> out) const {
  BoundedWriter writer(out);
  for (size_t i = 0; i < kBuckets; ++i) {
    const auto& [allocations, deallocations] = buckets_[i];
    if (buckets_[i] == Bucket{}) continue;
    writer.Append(SmallestOf(i));
    if (SmallestOf(i) != LargestOf(i)) writer.Append("..").Append(LargestOf(i));
    writer.Append(" live ").Append(allocations - deallocations);
    writer.Append(" allocations ").Append(allocations).Append("\n");
  }
  return writer.needed();
}

size_t SizeHistogram::FormatJson(std::span<char> out) const {
  BoundedWriter writer(out);
  writer.Append("[");
  const char* separator = "";
  for (size_t i = 0; i < kBuckets; ++i) {
    if (buckets_[i] == Bucket{}) continue;
    writer.Append(separator).Append("{\"smallest\":").Append(SmallestOf(i));
    writer.Append(",\"largest\":").Append(LargestOf(i));
    writer.Append(",\"allocations\":").Append(buckets_[i].allocations);
    writer.Append(",\"deallocations\":").Append(buckets_[i].deallocations);
    writer.Append("}");
    separator = ",";
  }
  writer.Append("]");
  return writer.needed();
}

}  // namespace mmsb
