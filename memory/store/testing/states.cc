#include "memory/store/testing/states.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memory/delta/delta.h"
#include "memory/epoch/epoch.h"
#include "memory/store/page_store.h"
#include "primitives/bytes.h"
#include "primitives/page_id.h"

namespace mmsb {

using Bytes = std::vector<std::byte>;

absl::StatusOr<Epoch> CommitState(PageStore& store, const Bytes& state,
                                  CommitInfo info) {
  const size_t page_bytes = store.page_bytes();
  absl::StatusOr<PageStore::Snapshot> newest = store.Newest();
  if (!newest.ok()) return newest.status();
  absl::StatusOr<PageStore::Batch> batch = store.Begin(*newest, state.size());
  if (!batch.ok()) return batch.status();
  Bytes after = state;
  after.resize((state.size() + page_bytes - 1) / page_bytes * page_bytes);
  Bytes before(page_bytes);
  for (uint64_t page = 0; page * page_bytes < after.size(); ++page) {
    absl::Status status = newest->Read(PageId::FromValue(page), before);
    if (!status.ok()) return status;
    const auto contents =
        std::span(after).subspan(page * page_bytes, page_bytes);
    absl::StatusOr<Delta> delta = Delta::Make(before, contents);
    if (!delta.ok()) return delta.status();
    status = delta->changed_bytes() > page_bytes / 2
                 ? batch->PutWhole(PageId::FromValue(page), contents,
                                   delta->changed_bytes())
                 : batch->Put(PageId::FromValue(page), *delta, contents);
    if (!status.ok()) return status;
  }
  return store.Commit(*std::move(batch), info);
}

absl::StatusOr<Bytes> ReadState(PageStore& store, Epoch epoch) {
  absl::StatusOr<PageStore::Snapshot> snapshot = store.SnapshotAt(epoch);
  if (!snapshot.ok()) return snapshot.status();
  Bytes state(snapshot->pages() * store.page_bytes());
  absl::Status status = snapshot->Read(PageId::FromValue(0), state);
  if (!status.ok()) return status;
  const auto bytes = static_cast<size_t>(snapshot->bytes());
  if (!IsZero(std::span(state).subspan(bytes))) {
    return absl::DataLossError("what is past the state's end is not zero");
  }
  state.resize(bytes);
  return state;
}

std::vector<Bytes> RandomHistory(uint64_t seed, size_t epochs) {
  std::mt19937_64 random(seed);
  std::vector<Bytes> history;
  Bytes state;
  for (size_t i = 0; i < epochs; ++i) {
    switch (random() % 8) {
      case 0:
        state.resize(random() % 6000);
        break;
      case 1:
        state.resize(state.size() + random() % 3000);
        for (std::byte& b : state) b = static_cast<std::byte>(random());
        break;
      case 2:
        if (!state.empty()) {
          std::fill_n(state.begin(), random() % state.size(), std::byte{0});
        }
        break;
      case 3:
        break;
      default:
        if (state.empty()) state.resize(1 + random() % 3000);
        for (uint64_t edits = random() % 20; edits > 0; --edits) {
          state[random() % state.size()] = static_cast<std::byte>(random());
        }
    }
    history.push_back(state);
  }
  return history;
}

}  // namespace mmsb
