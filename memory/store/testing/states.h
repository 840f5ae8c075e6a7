#ifndef MMSB_MEMORY_STORE_TESTING_STATES_H_
#define MMSB_MEMORY_STORE_TESTING_STATES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "memory/epoch/epoch.h"
#include "memory/store/page_store.h"

namespace mmsb {

// Commits `state` as the next epoch of `store`, as the mmsb command does.
absl::StatusOr<Epoch> CommitState(PageStore& store,
                                  const std::vector<std::byte>& state,
                                  CommitInfo info = {});
inline absl::StatusOr<Epoch> CommitState(PageStore& store,
                                         const std::vector<std::byte>& state,
                                         std::string message) {
  return CommitState(store, state, CommitInfo{.message = std::move(message)});
}

// All bytes of an epoch. DataLoss too when what is past its end is not zero.
absl::StatusOr<std::vector<std::byte>> ReadState(PageStore& store, Epoch epoch);

// States that follow one another, of a few KiB: small edits, and now and then a
// growth, a cut, a rewrite or no change at all.
std::vector<std::vector<std::byte>> RandomHistory(uint64_t seed, size_t epochs);

}  // namespace mmsb

#endif  // MMSB_MEMORY_STORE_TESTING_STATES_H_
