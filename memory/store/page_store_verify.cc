#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "memory/log/log_record.h"
#include "memory/log/transaction_log.h"
#include "memory/store/commit_format.h"
#include "memory/store/page_reader.h"
#include "memory/store/page_store.h"
#include "memory/store/page_store_loader.h"
#include "memory/store/page_table.h"

namespace mmsb {

// Rebuilds what each epoch changed. A page that an epoch did not change is the
// same version as before, and has been looked at.
class PageStore::Verifier final : public Loader {
 public:
  Verifier(PageStore& store, TransactionLog& log,
           absl::FunctionRef<void(uint64_t, uint64_t)> progress)
      : Loader(store, log, /*start=*/0, /*unusable=*/0),
        log_(log),
        reader_(log.data(), store.page_bytes(), store.options_.apply_delta),
        buffer_(kPagesAtOnce * store.page_bytes()),
        page_bytes_(store.page_bytes()),
        progress_(progress) {}

  absl::Status OnData(const TransactionLog::Record& record) override {
    progress_(record.position, log_.bytes());
    if (record.data_damaged) {
      report_.damage.push_back(
          absl::StrCat("log bytes ", record.data_position, " to ",
                       record.data_position + record.data_bytes,
                       ": the data does not have its checksum (epoch ",
                       record.epoch.value(), ")"));
    }
    pending_data_bytes_ +=
        RecordHead::kBytes + record.meta.size() + record.data_bytes;
    return Loader::OnData(record);
  }

  absl::Status OnCheckpoint(const TransactionLog::Record& record) override {
    progress_(record.position, log_.bytes());
    return Loader::OnCheckpoint(record);
  }

  VerifyReport& report() { return report_; }

 protected:
  absl::Status OnEpoch(std::span<const PageEntry> entries) override {
    data_records_bytes_ = std::exchange(pending_data_bytes_, 0);
    const uint64_t pages = table().pages();
    bad_pages_.erase(bad_pages_.lower_bound(pages), bad_pages_.end());
    // Runs of neighbouring pages are read at once.
    for (size_t i = 0; i < entries.size();) {
      const uint64_t first = entries[i].page;
      size_t run = 1;
      while (i + run < entries.size() && run < kPagesAtOnce &&
             entries[i + run].page == first + run) {
        ++run;
      }
      i += run;
      if (first < pages) {
        CheckPages(first, std::min<uint64_t>(run, pages - first));
      }
    }
    if (healed()) CheckAllPages();
    if (checkpoint().has_value()) CheckCheckpoint(*checkpoint());
    const EpochInfo& epoch = epochs().back();
    if (epoch.absent) {
      report_.notes.push_back(
          absl::StrCat("epoch ", epoch.epoch.value(),
                       " was lost before this store was salvaged"));
      return absl::OkStatus();
    }
    ++report_.epochs;
    if (epoch.lost) {
      AddDamaged(epoch, "its commit record is damaged");
    } else if (!bad_pages_.empty()) {
      AddDamaged(epoch, bad_pages_.begin()->second);
    } else if (epoch.table_damaged) {
      AddDamaged(epoch, "a list of its pages is damaged");
    }
    return absl::OkStatus();
  }

  void OnRestatedEpoch() override {
    if (healed() && !report_.damaged_epochs.empty() &&
        report_.damaged_epochs.back().epoch == epochs().back().epoch) {
      report_.damaged_epochs.pop_back();
      CheckAllPages();
      if (!bad_pages_.empty()) {
        AddDamaged(epochs().back(), bad_pages_.begin()->second);
      }
    }
    if (checkpoint().has_value()) CheckCheckpoint(*checkpoint());
  }

 private:
  static constexpr size_t kPagesAtOnce = 256;

  // What versions these are is not known from the lists.
  void CheckAllPages() {
    bad_pages_.clear();
    const uint64_t pages = table().pages();
    for (uint64_t page = table().NextStored(0); page < pages;) {
      const uint64_t count = std::min<uint64_t>(kPagesAtOnce, pages - page);
      CheckPages(page, count);
      page = table().NextStored(page + count);
    }
  }

  void CheckPages(uint64_t first, uint64_t count) {
    bad_pages_.erase(bad_pages_.lower_bound(first),
                     bad_pages_.lower_bound(first + count));
    report_.page_versions += count;
    reader_.ReadEach(
        table(), first,
        std::span(buffer_).first(static_cast<size_t>(count) * page_bytes_),
        [&](uint64_t page, const absl::Status& status) {
          bad_pages_[page] = std::string(status.message());
        });
  }

  // Compares the checkpoint with what the log ahead of it says.
  void CheckCheckpoint(const FoundCheckpoint& found) {
    const auto add = [&](std::string_view why) {
      report_.damage.push_back(
          absl::StrCat("log bytes ", found.position, " to ", found.end,
                       ": the checkpoint of epoch ",
                       epochs().back().epoch.value(), " is damaged: ", why));
    };
    ++report_.checkpoints;
    const uint64_t before = std::exchange(last_checkpoint_, found.position);
    const absl::StatusOr<PageTable> read = ReadTable(found);
    if (!read.ok()) return add(read.status().message());
    if (found.record.previous != before) {
      add("it names another one as the one before it");
    }
    if (epochs().back().table_damaged || healed()) return;
    if (found.record.state_bytes != epochs().back().bytes ||
        found.record.stored_bytes != data_records_bytes_ || !IsTable(*read)) {
      add("it is not what the log ahead of it comes to");
    }
  }

  bool IsTable(const PageTable& other) {
    if (other.pages() != table().pages() ||
        other.stored_pages() != table().stored_pages()) {
      return false;
    }
    for (uint64_t page = table().NextStored(0); page < table().pages();
         page = table().NextStored(page + 1)) {
      if (table().Get(page) != other.Get(page)) return false;
    }
    return true;
  }

  void AddDamaged(const EpochInfo& epoch, std::string_view why) {
    report_.damaged_epochs.push_back(
        {epoch.epoch, bad_pages_.size(), std::string(why)});
  }

  TransactionLog& log_;
  PageReader reader_;
  uint64_t pending_data_bytes_ = 0;  // of data records, until their epoch ends
  uint64_t data_records_bytes_ = 0;  // of the current epoch
  uint64_t last_checkpoint_ = 0;     // its position
  std::vector<std::byte> buffer_;
  const size_t page_bytes_;
  absl::FunctionRef<void(uint64_t, uint64_t)> progress_;
  absl::btree_map<uint64_t, std::string> bad_pages_;  // of the current epoch
  VerifyReport report_;
};

absl::StatusOr<VerifyReport> PageStore::Verify(
    absl::FunctionRef<void(uint64_t, uint64_t)> progress) {
  absl::StatusOr<std::unique_ptr<TransactionLog>> log = OpenToRead(*Visible());
  if (!log.ok()) return log.status();
  Verifier verifier(*this, **log, progress);
  absl::StatusOr<TransactionLog::ReplayReport> replayed =
      (*log)->Replay({.check_data = true}, verifier);
  if (!replayed.ok()) return Annotate(replayed.status());
  VerifyReport report = std::move(verifier.report());
  report.log_bytes = (*log)->bytes();
  report.torn_bytes = replayed->torn_bytes;
  for (const std::string& damage : header_damage_) {
    report.damage.push_back(absl::StrCat(damage, " (the log's copy was used)"));
  }
  for (const std::string& name : replayed->damaged_headers) {
    report.damage.push_back(absl::StrCat(name, ": its header is damaged"));
  }
  for (const std::string& damage : replayed->segment_damage) {
    report.damage.push_back(damage);
  }
  for (const std::string& note : replayed->notes) report.notes.push_back(note);
  if (replayed->tip_lost) {
    report.damage.emplace_back("tip: both slots are damaged, or it is missing");
  }
  if (replayed->tip_checkpoint_wrong) {
    report.damage.emplace_back(
        "tip: the checkpoint that it names is not the last one");
  }
  if (replayed->tip_damaged) {
    report.notes.emplace_back(
        "tip: one of its two slots is damaged; the next commit mends it");
  }
  if (replayed->torn_bytes != 0) {
    report.notes.push_back(absl::StrCat(
        "log: ", replayed->torn_bytes,
        " bytes of an unfinished commit; the next one cuts them off"));
  }
  for (const TransactionLog::Damage& damage : replayed->damage) {
    report.damage.push_back(absl::StrCat(
        "log bytes ", damage.begin, " to ", damage.end,
        " are not whole records (epoch ", damage.epoch.value(), ")"));
  }
  return report;
}

}  // namespace mmsb
