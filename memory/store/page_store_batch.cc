// Snapshots and batches: what a PageStore's users read and write through.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "memory/delta/delta.h"
#include "memory/delta/delta_codec.h"
#include "memory/epoch/epoch.h"
#include "memory/log/crc32c.h"
#include "memory/log/log_record.h"
#include "memory/log/store_header.h"
#include "memory/log/transaction_log.h"
#include "memory/store/commit_format.h"
#include "memory/store/page_reader.h"
#include "memory/store/page_store.h"
#include "memory/store/page_table.h"
#include "memory/store/page_version.h"
#include "primitives/bytes.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

// A batch writes a record when it has so much data, or so many pages.
constexpr size_t kRecordDataBytes = 1 << 20;
constexpr size_t kRecordPages = 16 << 10;
static_assert(kRecordDataBytes + StoreHeader::kMaxPageBytes +
                  PageVersion::kBytes <=
              RecordHead::kMaxDataBytes);
static_assert(kRecordPages * PageEntry::kBytes <= RecordHead::kMaxMetaBytes);
static_assert(kRecordDataBytes + kRecordPages * PageEntry::kBytes <=
              PageStore::Batch::kMemoryBytes);

}  // namespace

PageStore::Snapshot::Snapshot(PageStore& store,
                              std::shared_ptr<const State> state)
    : store_(&store),
      state_(std::move(state)),
      reader_(state_->data, store.page_bytes(), store.options_.apply_delta) {}

absl::Status PageStore::Snapshot::Read(PageId first, std::span<std::byte> out) {
  const size_t page_bytes = store_->page_bytes();
  if (out.size() % page_bytes != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("a read of ", out.size(),
                     " bytes; the store has pages of ", page_bytes));
  }
  const PageTable& table = state_->table;
  const uint64_t from = std::min(first.value(), table.pages());
  const size_t there = static_cast<size_t>(std::min<uint64_t>(
                           out.size() / page_bytes, table.pages() - from)) *
                       page_bytes;
  std::ranges::fill(out.subspan(there), std::byte{0});
  absl::Status status = reader_.Read(table, from, out.first(there));
  if (status.ok()) return status;
  return absl::Status(
      status.code(),
      absl::StrCat("'", store_->path_, "': epoch ", epoch().value(),
                   " is damaged: ", status.message()));
}

bool PageStore::Snapshot::SharesPage(const Snapshot& other, PageId page) const {
  return page.value() < pages() && page.value() < other.pages() &&
         state_->header == other.state_->header &&
         state_->table.Get(page.value()) ==
             other.state_->table.Get(page.value());
}

PageStore::Batch::Batch(PageStore& store, std::shared_ptr<const State> base,
                        uint64_t bytes, PageTable table, uint64_t number)
    : store_(&store),
      base_(std::move(base)),
      bytes_(bytes),
      table_(std::move(table)),
      number_(number) {}

PageStore::Batch::Batch(Batch&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)),
      base_(std::move(other.base_)),
      bytes_(other.bytes_),
      table_(std::move(other.table_)),
      number_(other.number_),
      pending_(std::move(other.pending_)),
      pending_pages_(std::move(other.pending_pages_)),
      data_(std::move(other.data_)),
      read_(std::move(other.read_)),
      changed_bytes_(other.changed_bytes_),
      changed_pages_(other.changed_pages_),
      records_(other.records_),
      replay_bytes_(other.replay_bytes_),
      stored_bytes_(other.stored_bytes_) {}

PageStore::Batch::~Batch() {
  if (store_ == nullptr) return;
  const absl::MutexLock lock(store_->write_mutex_);
  store_->Forget(*this);
}

Epoch PageStore::Batch::base() const { return base_->info.epoch; }

absl::Status PageStore::Batch::Put(PageId page, const Delta& delta,
                                   std::span<const std::byte> after) {
  if (absl::Status status = Check(page, after); !status.ok()) return status;
  if (delta.page_bytes() != after.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("page ", page.value(), ": a delta of a page of ",
                     delta.page_bytes(), " bytes"));
  }
  if (absl::Status status = Add(page.value(), delta, after); !status.ok()) {
    return status;
  }
  return FlushIfFull();
}

absl::Status PageStore::Batch::PutWhole(PageId page,
                                        std::span<const std::byte> after,
                                        uint64_t changed_bytes) {
  if (absl::Status status = Check(page, after); !status.ok()) return status;
  AddWhole(page.value(), after, changed_bytes);
  return FlushIfFull();
}

absl::Status PageStore::Batch::Read(PageId first, std::span<std::byte> out) {
  Snapshot snapshot(*store_, base_);
  if (absl::Status status = snapshot.Read(first, out); !status.ok()) {
    return status;
  }
  const uint64_t count = out.size() / store_->page_bytes();
  if (!read_.empty() &&
      read_.back().first + read_.back().count == first.value()) {
    read_.back().count += count;
  } else {
    read_.push_back({first.value(), count});
  }
  return absl::OkStatus();
}

absl::Status PageStore::Batch::Check(PageId page,
                                     std::span<const std::byte> after) const {
  if (page.value() >= table_.pages()) {
    return absl::OutOfRangeError(
        absl::StrCat("page ", page.value(), " of ", table_.pages(), " pages"));
  }
  if (IsPut(page.value())) {
    return absl::InvalidArgumentError(
        absl::StrCat("page ", page.value(), " was put already"));
  }
  if (after.size() != store_->page_bytes()) {
    return absl::InvalidArgumentError(
        absl::StrCat("page ", page.value(), ": contents of ", after.size(),
                     " bytes; a page has ", store_->page_bytes()));
  }
  const size_t in_last = static_cast<size_t>(bytes_ % after.size());
  if (page.value() + 1 == table_.pages() && in_last != 0 &&
      !IsZero(after.subspan(in_last))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "page ", page.value(), " has bytes past the end of the state"));
  }
  return absl::OkStatus();
}

// A zero page that was written over a zero page does not count: it changed
// nothing.
bool PageStore::Batch::IsPut(uint64_t page) const {
  if (pending_pages_.contains(page)) return true;
  if (records_ == 0) return false;
  const PageTable& base = base_->table;
  return table_.Get(page) !=
         (page < base.pages() ? base.Get(page) : base.zero());
}

absl::Status PageStore::Batch::Add(uint64_t page, const Delta& delta,
                                   std::span<const std::byte> after) {
  if (delta.empty()) return absl::OkStatus();
  const PageVersion base = table_.Get(page).version;
  if (base.depth >= PageVersion::kMaxDepth) {
    AddWhole(page, after, delta.changed_bytes());
    return absl::OkStatus();
  }
  const size_t begin = data_.size();
  data_.resize(begin + PageVersion::kBytes);
  absl::StatusOr<EncodedDelta> encoded = EncodeDelta(delta, after, data_);
  if (!encoded.ok()) return encoded.status();
  const size_t bytes = data_.size() - begin;
  if (encoded->form == DeltaForm::kWhole || bytes >= after.size()) {
    data_.resize(begin);
    AddWhole(page, after, delta.changed_bytes());
    return absl::OkStatus();
  }
  base.Encode(std::span(data_).subspan(begin).first<PageVersion::kBytes>());
  AddVersion(page,
             {.position = begin,
              .bytes = static_cast<uint32_t>(bytes),
              .form = static_cast<PageVersion::Form>(encoded->form),
              .depth = static_cast<uint8_t>(base.depth + 1)},
             after, delta.changed_bytes());
  return absl::OkStatus();
}

void PageStore::Batch::AddWhole(uint64_t page, std::span<const std::byte> after,
                                uint64_t changed_bytes) {
  if (IsZero(after)) return AddVersion(page, {}, after, changed_bytes);
  const size_t begin = data_.size();
  data_.insert(data_.end(), after.begin(), after.end());
  AddVersion(page,
             {.position = begin,
              .bytes = static_cast<uint32_t>(after.size()),
              .form = PageVersion::Form::kWhole},
             after, changed_bytes);
}

void PageStore::Batch::AddVersion(uint64_t page, PageVersion version,
                                  std::span<const std::byte> after,
                                  uint64_t changed_bytes) {
  const uint64_t in_page = std::min<uint64_t>(changed_bytes, after.size());
  pending_.push_back(PageEntry{.page = page,
                               .checksum = Crc32c(after),
                               .changed_bytes = static_cast<uint32_t>(in_page),
                               .version = version});
  pending_pages_.insert(page);
  changed_bytes_ += in_page;
  ++changed_pages_;
}

absl::Status PageStore::Batch::FlushIfFull() {
  if (data_.size() < kRecordDataBytes && pending_.size() < kRecordPages) {
    return absl::OkStatus();
  }
  const absl::MutexLock lock(store_->write_mutex_);
  if (absl::Status status = store_->TakeLog(*this); !status.ok()) return status;
  return store_->Flush(*this);
}

// A record's pages ascend, and its data are in their order.
void PageStore::Batch::SortPending() {
  if (std::ranges::is_sorted(pending_, {}, &PageEntry::page)) return;
  std::ranges::sort(pending_, {}, &PageEntry::page);
  std::vector<std::byte> sorted;
  sorted.reserve(data_.size());
  for (PageEntry& entry : pending_) {
    if (entry.version.form == PageVersion::Form::kZero) continue;
    const auto bytes = std::span(data_).subspan(
        static_cast<size_t>(entry.version.position), entry.version.bytes);
    entry.version.position = sorted.size();
    sorted.insert(sorted.end(), bytes.begin(), bytes.end());
  }
  data_ = std::move(sorted);
}

// From now on no other batch is committed.
absl::Status PageStore::TakeLog(Batch& batch) {
  if (absl::Status status = CheckWritable(); !status.ok()) return status;
  if (streaming_ == batch.number_) return absl::OkStatus();
  if (streaming_ != 0) {
    return absl::AbortedError(
        absl::StrCat("'", path_, "': a large batch of another is open"));
  }
  if (absl::Status status = CheckConflicts(batch); !status.ok()) return status;
  PageTable table = written_->table;
  if (absl::Status status = table.Resize(PagesFor(batch.bytes_));
      !status.ok()) {
    return Annotate(status);
  }
  batch.base_ = written_;
  batch.table_ = std::move(table);
  streaming_ = batch.number_;
  return absl::OkStatus();
}

absl::Status PageStore::CheckConflicts(const Batch& batch) const {
  const State& base = *batch.base_;
  const State& now = *written_;
  if (&base == &now) return absl::OkStatus();
  const auto conflict = [&](const std::string& what) {
    return absl::AbortedError(absl::StrCat(
        "'", path_, "': ", what, " was changed since epoch ",
        base.info.epoch.value(), ", on which the batch began, by epoch ",
        now.info.epoch.value(), " at the latest"));
  };
  if (base.header != now.header) {
    return absl::AbortedError(absl::StrCat(
        "'", path_, "' was pruned since the batch's epoch was opened"));
  }
  if (base.info.bytes != now.info.bytes) return conflict("the size");
  for (const PageEntry& entry : batch.pending_) {
    if (entry.page < base.table.pages() &&
        base.table.Get(entry.page) != now.table.Get(entry.page)) {
      return conflict(absl::StrCat("page ", entry.page));
    }
  }
  for (const Batch::PageRange& range : batch.read_) {
    const uint64_t page = now.table.NextDifference(base.table, range.first);
    if (page < now.table.pages() && page - range.first < range.count) {
      return conflict(absl::StrCat("page ", page));
    }
  }
  return absl::OkStatus();
}

absl::Status PageStore::Flush(Batch& batch) {
  if (batch.pending_.empty()) return absl::OkStatus();
  batch.SortPending();
  const std::vector<std::byte> meta = EncodePageEntries(batch.pending_);
  absl::StatusOr<uint64_t> position = log_->Append(meta, batch.data_);
  if (!position.ok()) return position.status();
  batch.replay_bytes_ +=
      TransactionLog::ReplayBytes(meta.size(), batch.data_.size());
  batch.stored_bytes_ += RecordHead::kBytes + meta.size() + batch.data_.size();
  for (PageEntry& entry : batch.pending_) {
    if (entry.version.form != PageVersion::Form::kZero) {
      entry.version.position += *position;
    }
    if (absl::Status status =
            batch.table_.Set(entry.page, {entry.version, entry.checksum});
        !status.ok()) {
      return status;
    }
  }
  ++batch.records_;
  batch.pending_.clear();
  batch.pending_pages_.clear();
  batch.data_.clear();
  return absl::OkStatus();
}

// The state may have shrunk, and its last page was not put: what it had past
// the new end must not come back when the state grows.
absl::Status PageStore::ZeroTail(Batch& batch) {
  const size_t in_last = static_cast<size_t>(batch.bytes_ % page_bytes());
  if (in_last == 0 || batch.bytes_ >= batch.base_->info.bytes) {
    return absl::OkStatus();
  }
  const uint64_t last = batch.table_.pages() - 1;
  if (batch.IsPut(last)) return absl::OkStatus();
  if (lazy_) {
    if (absl::Status status = log_->Flush(); !status.ok()) return status;
  }
  std::vector<std::byte> before(page_bytes());
  PageReader reader(batch.base_->data, page_bytes(), options_.apply_delta);
  if (absl::Status status = reader.Read(batch.table_, last, before);
      !status.ok()) {
    return status;
  }
  std::vector<std::byte> after = before;
  std::fill(after.begin() + static_cast<ptrdiff_t>(in_last), after.end(),
            std::byte{0});
  absl::StatusOr<Delta> delta = Delta::Make(before, after);
  if (!delta.ok()) return delta.status();
  return batch.Add(last, *delta, after);
}

// The batch is committed or dropped.
void PageStore::Forget(Batch& batch) {
  --open_batches_;
  if (streaming_ == batch.number_) {
    streaming_ = 0;
    // After a commit there is nothing to cut off. Should it fail, the next
    // writer does it.
    log_->Abort().IgnoreError();
  }
  batch.store_ = nullptr;
}

}  // namespace mmsb
