#include "fuzz/memory_pool_run.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "allocator/allocator_ref.h"
#include "allocator/check_policy.h"
#include "allocator/memory_pool.h"
#include "allocator/system_source.h"
#include "allocator/testing/failing_upstream.h"
#include "fuzz/memory_pool_model.h"
#include "fuzz/memory_pool_program.h"

namespace mmsb {
namespace {

constexpr size_t kRegionAlignment = 64;

template <class Policy>
std::string Run(const MemoryPoolProgram& program) {
  if (program.in_region) {
    std::vector<std::byte> memory(program.region_bytes + program.region_offset +
                                  kRegionAlignment);
    const auto misaligned =
        reinterpret_cast<uintptr_t>(memory.data()) % kRegionAlignment;
    std::byte* const region = memory.data() + (kRegionAlignment - misaligned) +
                              program.region_offset % kRegionAlignment;
    MemoryPool<SystemSource, Policy> pool(region, program.region_bytes,
                                          program.options);
    return MemoryPoolModel(pool, program, nullptr).Run();
  }
  FailingUpstream upstream(program.upstream);
  std::string error;
  {
    MemoryPool<AllocatorRef<FailingUpstream>, Policy> pool(
        program.options, AllocatorRef(upstream));
    error = MemoryPoolModel(pool, program, &upstream).Run();
  }
  if (error.empty() && upstream.bytes() != 0) {
    error = "the destructor kept " + std::to_string(upstream.bytes()) +
            " bytes of the upstream";
  }
  return error;
}

}  // namespace

std::string RunMemoryPoolProgram(const MemoryPoolProgram& program) {
  return program.checked ? Run<Checked>(program) : Run<Unchecked>(program);
}

}  // namespace mmsb
