#include "allocator/allocator_stats.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "allocator/bounded_writer.h"
#include "primitives/bytes.h"

namespace mmsb {
namespace {

struct Field {
  const char* name;
  uint64_t value;
};

std::array<Field, 9> Fields(const AllocatorStats& stats) {
  return {{{"live", stats.live()},
           {"cached", stats.cached()},
           {"free", stats.free()},
           {"metadata", stats.metadata()},
           {"committed", stats.committed()},
           {"peak", stats.peak()},
           {"allocations", stats.allocations()},
           {"deallocations", stats.deallocations()},
           {"failures", stats.failures()}}};
}

}  // namespace

bool AllocatorStats::IdentityHolds() const {
  size_t sum = values_.live;
  return CheckedAdd(sum, values_.cached, &sum) &&
         CheckedAdd(sum, values_.free, &sum) &&
         CheckedAdd(sum, values_.metadata, &sum) && sum == values_.committed &&
         values_.live <= values_.peak &&
         values_.deallocations <= values_.allocations;
}

size_t AllocatorStats::FormatText(std::span<char> out) const {
  BoundedWriter writer(out);
  for (const Field& field : Fields(*this)) {
    writer.Append(field.name).Append(" ").Append(field.value).Append("\n");
  }
  return writer.needed();
}

size_t AllocatorStats::FormatJson(std::span<char> out) const {
  BoundedWriter writer(out);
  const char* separator = "{\"";
  for (const Field& field : Fields(*this)) {
    writer.Append(separator).Append(field.name).Append("\":");
    writer.Append(field.value);
    separator = ",\"";
  }
  writer.Append("}");
  return writer.needed();
}

}  // namespace mmsb
