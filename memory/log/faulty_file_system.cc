#include "memory/log/faulty_file_system.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "memory/log/file_system.h"
#include "primitives/check.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;

// Larger files are not what tests in memory are for.
constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;

absl::Status SystemError(int error, std::string_view call,
                         std::string_view path) {
  return absl::ErrnoToStatus(error,
                             absl::StrCat("cannot ", call, " '", path, "'"));
}

std::string Normal(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return std::string(path);
}

bool IsRoot(std::string_view path) { return path == "." || path == "/"; }

void WriteInto(Bytes& contents, uint64_t offset,
               std::span<const std::byte> data) {
  if (data.empty()) return;
  contents.resize(std::max<size_t>(contents.size(), offset + data.size()));
  std::ranges::copy(data,
                    contents.begin() + static_cast<std::ptrdiff_t>(offset));
}

}  // namespace

// A write, or with `truncate` a change of size to `offset`.
struct FaultyFileSystem::Change {
  uint64_t serial;
  bool truncate;
  uint64_t offset;
  Bytes data;
  // A sync made it durable; it is not yet part of Node::durable because of an
  // older change that is not.
  bool durable = false;
  // A sync of it failed.
  bool lost = false;

  uint64_t end() const { return offset + data.size(); }

  void ApplyTo(Bytes& contents) const {
    if (truncate) {
      contents.resize(offset);
    } else {
      WriteInto(contents, offset, data);
    }
  }
};

struct FaultyFileSystem::Node {
  uint64_t identity;
  bool directory;
  uint32_t permissions;
  bool locked = false;
  int64_t changed_ns = 0;
  Bytes contents;  // as a program sees them
  Bytes durable;
  std::vector<Change> changes;  // since `durable`, oldest first

  void Settle() {
    size_t settled = 0;
    while (settled < changes.size() && changes[settled].durable) {
      changes[settled++].ApplyTo(durable);
    }
    changes.erase(changes.begin(),
                  changes.begin() + static_cast<std::ptrdiff_t>(settled));
  }

  FileInfo Info() const {
    return {.kind = directory ? FileKind::kDirectory : FileKind::kRegular,
            .bytes = contents.size(),
            .modified_ns = changed_ns,
            .changed_ns = changed_ns,
            .identity = identity,
            .permissions = permissions};
  }
};

// Names that change together.
struct FaultyFileSystem::EntryChange {
  uint64_t serial;
  std::vector<std::pair<std::string, std::shared_ptr<Node>>> entries;
  std::set<std::string> unsynced;  // directories
  bool lost = false;

  bool durable() const { return unsynced.empty(); }

  void ApplyTo(Entries& to) const {
    for (const auto& [path, node] : entries) {
      if (node == nullptr) {
        to.erase(path);
      } else {
        to[path] = node;
      }
    }
  }
};

class FaultyFileSystem::OpenFile final : public File {
 public:
  OpenFile(FaultyFileSystem& disk, std::shared_ptr<Node> node, std::string path,
           bool writable)
      : disk_(disk),
        node_(std::move(node)),
        path_(std::move(path)),
        writable_(writable) {}

  ~OpenFile() override {
    if (!holds_lock_) return;
    const absl::MutexLock lock(disk_.mutex_);
    node_->locked = false;
  }

  absl::StatusOr<size_t> ReadAt(uint64_t offset,
                                std::span<std::byte> out) override {
    const absl::MutexLock lock(disk_.mutex_);
    if (absl::Status status = disk_.Count("read", path_); !status.ok()) {
      return status;
    }
    if (node_->directory) return SystemError(EISDIR, "read", path_);
    constexpr uint64_t kMaxOffset = std::numeric_limits<int64_t>::max();
    if (offset > kMaxOffset || out.size() > kMaxOffset - offset) {
      return SystemError(EOVERFLOW, "read", path_);
    }
    const Bytes& contents = node_->contents;
    if (offset >= contents.size()) return size_t{0};
    const std::span<const std::byte> there =
        std::span(contents).subspan(static_cast<size_t>(offset));
    const size_t bytes = std::min(there.size(), out.size());
    std::ranges::copy(there.first(bytes), out.begin());
    return bytes;
  }

  absl::Status WriteAt(uint64_t offset,
                       std::span<const std::byte> data) override {
    const absl::MutexLock lock(disk_.mutex_);
    Fault fault{};
    absl::Status status = disk_.Count("write", path_, &fault);
    if (!status.ok()) {
      if (fault != Fault::kShortWrite) return status;
      data = data.first(data.size() / 2);
    }
    if (!writable_) return SystemError(EBADF, "write", path_);
    if (data.size() > kMaxFileBytes || offset > kMaxFileBytes - data.size()) {
      return SystemError(EFBIG, "write", path_);
    }
    if (!data.empty()) {
      Add({.serial = ++disk_.serial_,
           .truncate = false,
           .offset = offset,
           .data = Bytes(data.begin(), data.end())});
    }
    return status;
  }

  absl::Status Truncate(uint64_t bytes) override {
    const absl::MutexLock lock(disk_.mutex_);
    if (absl::Status status = disk_.Count("resize", path_); !status.ok()) {
      return status;
    }
    if (!writable_) return SystemError(EBADF, "resize", path_);
    if (bytes > kMaxFileBytes) return SystemError(EFBIG, "resize", path_);
    if (bytes != node_->contents.size()) {
      Add({.serial = ++disk_.serial_,
           .truncate = true,
           .offset = bytes,
           .data = {}});
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    disk_.ReachCrashPoint();
    const absl::MutexLock lock(disk_.mutex_);
    absl::Status status = disk_.Count("sync", path_);
    for (Change& change : node_->changes) {
      if (!status.ok()) {
        change.lost = !change.durable;
      } else if (!change.lost) {
        change.durable = true;
      }
    }
    node_->Settle();
    return status;
  }

  absl::Status SetPermissions(uint32_t permissions) override {
    const absl::MutexLock lock(disk_.mutex_);
    absl::Status status = disk_.Count("set the permissions of", path_);
    if (status.ok()) node_->permissions = permissions & 0777;
    return status;
  }

  absl::StatusOr<FileInfo> Info() override {
    const absl::MutexLock lock(disk_.mutex_);
    if (absl::Status status = disk_.Count("examine", path_); !status.ok()) {
      return status;
    }
    return node_->Info();
  }

  absl::Status Lock() override {
    const absl::MutexLock lock(disk_.mutex_);
    if (absl::Status status = disk_.Count("lock", path_); !status.ok()) {
      return status;
    }
    if (holds_lock_) return absl::OkStatus();
    const auto is_free = [this] { return !node_->locked; };
    disk_.mutex_.Await(absl::Condition(&is_free));
    node_->locked = holds_lock_ = true;
    return absl::OkStatus();
  }

  absl::StatusOr<bool> TryLock() override {
    const absl::MutexLock lock(disk_.mutex_);
    if (absl::Status status = disk_.Count("lock", path_); !status.ok()) {
      return status;
    }
    if (holds_lock_) return true;
    if (node_->locked) return false;
    node_->locked = holds_lock_ = true;
    return true;
  }

 private:
  void Add(Change change) {
    change.ApplyTo(node_->contents);
    node_->changed_ns = static_cast<int64_t>(change.serial);
    node_->changes.push_back(std::move(change));
  }

  FaultyFileSystem& disk_;
  const std::shared_ptr<Node> node_;
  const std::string path_;
  const bool writable_;
  bool holds_lock_ = false;
};

// Everything that is not durable, and what of it a crash may leave. A choice is
// a number for each change: 0 it is absent, 1 it is there, others as Cuts().
class FaultyFileSystem::CrashStateMaker {
 public:
  CrashStateMaker(const Entries& durable,
                  const std::vector<EntryChange>& entry_changes,
                  const CrashOptions& options)
      : durable_(durable), entry_changes_(entry_changes), options_(options) {
    MMSB_CHECK(options.sector_bytes != 0, "a disk with sectors of no bytes");
    std::set<const Node*> seen;
    const auto add_node = [&](const Node* node) {
      if (node == nullptr || !seen.insert(node).second) return;
      for (const Change& change : node->changes) {
        if (!change.durable) {
          items_.push_back({change.serial, &change, Cuts(*node, change)});
        }
      }
    };
    for (const auto& [path, node] : durable) add_node(node.get());
    for (const EntryChange& change : entry_changes) {
      if (!change.durable()) items_.push_back({change.serial, &change, {}});
      for (const auto& [path, node] : change.entries) add_node(node.get());
    }
    std::ranges::sort(items_, {}, &Item::serial);
  }

  CrashStates Show(absl::FunctionRef<void(FaultyFileSystem&)> visit) {
    CrashStates result{.states = 0, .changes = items_.size(), .all = true};
    const auto show = [&] {
      ++result.states;
      const std::unique_ptr<FaultyFileSystem> left = Make();
      visit(*left);
    };
    choice_.assign(items_.size(), 0);
    if (HasFewStates()) {
      do show();
      while (NextOf([](const Item& item) { return item.choices(); }));
      return result;
    }
    result.all = false;
    if (items_.size() <= kMaxSubsetChanges) {
      do show();
      while (NextOf([](const Item&) { return size_t{2}; }));
    } else {
      for (size_t there = 0; there <= items_.size(); ++there) {
        SetPrefix(there);
        show();
      }
      for (size_t dropped = 0; dropped < items_.size(); ++dropped) {
        SetPrefix(items_.size());
        choice_[dropped] = 0;
        show();
      }
    }
    for (size_t torn = 0; torn < items_.size(); ++torn) {
      for (size_t c = 2; c < items_[torn].choices(); ++c) {
        SetPrefix(items_.size());
        choice_[torn] = c;
        show();
        SetPrefix(torn);
        choice_[torn] = c;
        show();
      }
    }
    return result;
  }

 private:
  // A write of which the first bytes are there, up to a file size of `size`.
  struct Cut {
    size_t bytes;
    uint64_t size;
  };

  struct Item {
    uint64_t serial;
    std::variant<const Change*, const EntryChange*> change;
    std::vector<Cut> cuts;

    size_t choices() const { return 2 + cuts.size(); }
  };

  std::vector<Cut> Cuts(const Node& node, const Change& change) const {
    std::vector<Cut> cuts;
    if (change.truncate) return cuts;
    if (change.end() > node.durable.size()) cuts.push_back({0, change.end()});
    const size_t sector = options_.sector_bytes;
    const auto add = [&](uint64_t at) {
      if (at > change.offset && at < change.end()) {
        cuts.push_back({static_cast<size_t>(at - change.offset), at});
      }
    };
    const uint64_t first = change.offset / sector * sector + sector;
    uint64_t beside = first;
    for (uint64_t at = first; at < change.end(); at += sector) {
      add(at);
      if (at <= change.offset + change.data.size() / 2) beside = at;
    }
    if (beside >= change.end()) {
      add(change.offset + 1);
      if (change.data.size() > 2) add(change.end() - 1);
    } else {
      add(beside - 1);
      add(beside + 1);
    }
    return cuts;
  }

  bool HasFewStates() const {
    uint64_t product = 1;
    for (const Item& item : items_) {
      if (item.choices() > options_.max_states / product) return false;
      product *= item.choices();
    }
    return true;
  }

  // The first `there` are there, the others absent.
  void SetPrefix(size_t there) {
    std::ranges::fill(choice_, size_t{0});
    std::ranges::fill(std::span(choice_).first(there), size_t{1});
  }

  // Counts choice_ up; false after the last.
  template <class Choices>
  bool NextOf(Choices choices) {
    for (size_t i = 0; i < items_.size(); ++i) {
      if (++choice_[i] < choices(items_[i])) return true;
      choice_[i] = 0;
    }
    return false;
  }

  size_t IndexOf(uint64_t serial) const {
    const auto found =
        std::ranges::lower_bound(items_, serial, {}, &Item::serial);
    return static_cast<size_t>(found - items_.begin());
  }

  Bytes ContentsOf(const Node& node) const {
    Bytes contents = node.durable;
    for (const Change& change : node.changes) {
      const size_t item = change.durable ? 0 : IndexOf(change.serial);
      const size_t chosen = change.durable ? 1 : choice_[item];
      if (chosen == 0) continue;
      if (chosen == 1) {
        change.ApplyTo(contents);
        continue;
      }
      const Cut& cut = items_[item].cuts[chosen - 2];
      contents.resize(std::max<size_t>(contents.size(), cut.size));
      WriteInto(contents, change.offset,
                std::span(change.data).first(cut.bytes));
    }
    return contents;
  }

  std::unique_ptr<FaultyFileSystem> Make() const {
    Entries entries = durable_;
    for (const EntryChange& change : entry_changes_) {
      if (change.durable() || choice_[IndexOf(change.serial)] == 1) {
        change.ApplyTo(entries);
      }
    }
    auto left = std::make_unique<FaultyFileSystem>();
    const absl::MutexLock lock(left->mutex_);
    std::map<const Node*, std::shared_ptr<Node>> copies;
    // In the order of paths, so a directory comes before what is in it.
    for (const auto& [path, node] : entries) {
      if (!IsRoot(path) && !left->CheckParent("find", path).ok()) continue;
      std::shared_ptr<Node>& copy = copies[node.get()];
      if (copy == nullptr) {
        copy = left->MakeNode(node->directory, node->permissions);
        copy->contents = copy->durable = ContentsOf(*node);
      }
      left->entries_[path] = copy;
    }
    left->durable_entries_ = left->entries_;
    return left;
  }

  const Entries& durable_;
  const std::vector<EntryChange>& entry_changes_;
  const CrashOptions& options_;
  std::vector<Item> items_;  // by serial
  std::vector<size_t> choice_;
};

FaultyFileSystem::FaultyFileSystem() {
  const absl::MutexLock lock(mutex_);
  entries_["."] = MakeNode(/*directory=*/true, 0700);
  entries_["/"] = MakeNode(/*directory=*/true, 0700);
  durable_entries_ = entries_;
}

FaultyFileSystem::~FaultyFileSystem() = default;

absl::Status FaultyFileSystem::Count(const char* call, const std::string& path,
                                     Fault* fault) {
  const uint64_t number = calls_++;
  if (number < fail_from_ || failures_left_ == 0) return absl::OkStatus();
  --failures_left_;
  if (fault != nullptr) *fault = fault_;
  return SystemError(fault_ == Fault::kIoError ? EIO : ENOSPC, call, path);
}

absl::StatusOr<std::shared_ptr<FaultyFileSystem::Node>> FaultyFileSystem::Find(
    const char* call, const std::string& path) const {
  const auto found = entries_.find(Normal(path));
  if (found == entries_.end()) return SystemError(ENOENT, call, path);
  if (path.size() > 1 && path.ends_with('/') && !found->second->directory) {
    return SystemError(ENOTDIR, call, path);
  }
  return found->second;
}

absl::Status FaultyFileSystem::CheckParent(const char* call,
                                           const std::string& path) const {
  const auto parent = entries_.find(ParentPath(path));
  if (path.empty() || parent == entries_.end()) {
    return SystemError(ENOENT, call, path);
  }
  return parent->second->directory ? absl::OkStatus()
                                   : SystemError(ENOTDIR, call, path);
}

std::shared_ptr<FaultyFileSystem::Node> FaultyFileSystem::MakeNode(
    bool directory, uint32_t permissions) {
  const uint64_t serial = ++serial_;
  return std::make_shared<Node>(Node{.identity = serial,
                                     .directory = directory,
                                     .permissions = permissions & 0777,
                                     .changed_ns = static_cast<int64_t>(serial),
                                     .contents = {},
                                     .durable = {},
                                     .changes = {}});
}

void FaultyFileSystem::ChangeEntries(
    std::vector<std::pair<std::string, std::shared_ptr<Node>>> entries) {
  EntryChange change{
      .serial = ++serial_, .entries = std::move(entries), .unsynced = {}};
  for (const auto& [path, node] : change.entries) {
    change.unsynced.insert(ParentPath(path));
  }
  change.ApplyTo(entries_);
  entry_changes_.push_back(std::move(change));
}

void FaultyFileSystem::ReachCrashPoint() {
  std::function<void()> reached;
  {
    const absl::MutexLock lock(mutex_);
    reached = on_crash_point_;
  }
  if (reached) reached();
}

absl::StatusOr<std::unique_ptr<File>> FaultyFileSystem::Open(
    const std::string& path, Access access) {
  const absl::MutexLock lock(mutex_);
  if (absl::Status status = Count("open", path); !status.ok()) return status;
  absl::StatusOr<std::shared_ptr<Node>> node = Find("open", path);
  if (absl::IsNotFound(node.status()) && access == Access::kCreate) {
    if (absl::Status status = CheckParent("open", path); !status.ok()) {
      return status;
    }
    if (path.ends_with('/')) return SystemError(EISDIR, "open", path);
    node = MakeNode(/*directory=*/false, 0644);
    ChangeEntries({{Normal(path), *node}});
  }
  if (!node.ok()) return node.status();
  if ((*node)->directory && access != Access::kRead) {
    return SystemError(EISDIR, "open", path);
  }
  return std::make_unique<OpenFile>(*this, *std::move(node), path,
                                    access != Access::kRead);
}

absl::StatusOr<std::unique_ptr<File>> FaultyFileSystem::CreateNew(
    const std::string& path, uint32_t permissions) {
  const absl::MutexLock lock(mutex_);
  absl::Status status = Count("create", path);
  if (status.ok()) status = CheckParent("create", path);
  if (status.ok() && entries_.contains(Normal(path))) {
    status = SystemError(EEXIST, "create", path);
  }
  if (status.ok() && path.ends_with('/')) {
    status = SystemError(EISDIR, "create", path);
  }
  if (!status.ok()) return status;
  std::shared_ptr<Node> node = MakeNode(/*directory=*/false, permissions);
  ChangeEntries({{Normal(path), node}});
  return std::make_unique<OpenFile>(*this, std::move(node), path,
                                    /*writable=*/true);
}

absl::Status FaultyFileSystem::CreateDirectory(const std::string& path) {
  constexpr const char* kCall = "create the directory";
  const absl::MutexLock lock(mutex_);
  absl::Status status = Count(kCall, path);
  if (status.ok()) status = CheckParent(kCall, path);
  if (status.ok() && entries_.contains(Normal(path))) {
    status = SystemError(EEXIST, kCall, path);
  }
  if (status.ok()) {
    ChangeEntries({{Normal(path), MakeNode(/*directory=*/true, 0700)}});
  }
  return status;
}

absl::Status FaultyFileSystem::SyncDirectory(const std::string& path) {
  constexpr const char* kCall = "sync the directory";
  ReachCrashPoint();
  const absl::MutexLock lock(mutex_);
  absl::Status status = Count(kCall, path);
  absl::StatusOr<std::shared_ptr<Node>> node = Find(kCall, path);
  if (!node.ok()) return node.status();
  if (!(*node)->directory) return SystemError(ENOTDIR, kCall, path);
  for (EntryChange& change : entry_changes_) {
    if (!change.unsynced.contains(Normal(path))) continue;
    if (!status.ok()) {
      change.lost = true;
    } else if (!change.lost) {
      change.unsynced.erase(Normal(path));
    }
  }
  size_t settled = 0;
  while (settled < entry_changes_.size() && entry_changes_[settled].durable()) {
    entry_changes_[settled++].ApplyTo(durable_entries_);
  }
  entry_changes_.erase(
      entry_changes_.begin(),
      entry_changes_.begin() + static_cast<std::ptrdiff_t>(settled));
  return status;
}

absl::Status FaultyFileSystem::Rename(const std::string& from,
                                      const std::string& to,
                                      IfExists if_exists) {
  const std::string call = absl::StrCat("rename '", from, "' to");
  const absl::MutexLock lock(mutex_);
  if (absl::Status status = Count(call.c_str(), to); !status.ok()) {
    return status;
  }
  absl::StatusOr<std::shared_ptr<Node>> node = Find(call.c_str(), from);
  if (!node.ok()) return node.status();
  if (absl::Status status = CheckParent(call.c_str(), to); !status.ok()) {
    return status;
  }
  if ((*node)->directory) {
    return absl::UnimplementedError(
        absl::StrCat("'", from, "' is a directory: this disk renames files"));
  }
  const auto there = entries_.find(Normal(to));
  if (there != entries_.end()) {
    if (if_exists == IfExists::kFail) return SystemError(EEXIST, call, to);
    if (there->second->directory) return SystemError(EISDIR, call, to);
    if (there->second == *node) return absl::OkStatus();
  }
  ChangeEntries({{Normal(from), nullptr}, {Normal(to), *std::move(node)}});
  return absl::OkStatus();
}

absl::Status FaultyFileSystem::Remove(const std::string& path) {
  const absl::MutexLock lock(mutex_);
  if (absl::Status status = Count("remove", path); !status.ok()) return status;
  absl::StatusOr<std::shared_ptr<Node>> node = Find("remove", path);
  if (!node.ok()) return node.status();
  const std::string normal = Normal(path);
  if (IsRoot(normal)) return SystemError(EBUSY, "remove", path);
  if ((*node)->directory) {
    for (const auto& [name, entry] : entries_) {
      if (!IsRoot(name) && ParentPath(name) == normal) {
        return SystemError(ENOTEMPTY, "remove", path);
      }
    }
  }
  ChangeEntries({{normal, nullptr}});
  return absl::OkStatus();
}

absl::StatusOr<FileInfo> FaultyFileSystem::Info(const std::string& path) {
  const absl::MutexLock lock(mutex_);
  if (absl::Status status = Count("examine", path); !status.ok()) {
    return status;
  }
  absl::StatusOr<std::shared_ptr<Node>> node = Find("examine", path);
  if (!node.ok()) return node.status();
  return (*node)->Info();
}

absl::StatusOr<std::vector<std::string>> FaultyFileSystem::List(
    const std::string& path) {
  const absl::MutexLock lock(mutex_);
  if (absl::Status status = Count("list", path); !status.ok()) return status;
  absl::StatusOr<std::shared_ptr<Node>> node = Find("list", path);
  if (!node.ok()) return node.status();
  if (!(*node)->directory) return SystemError(ENOTDIR, "list", path);
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) {
    if (IsRoot(name) || ParentPath(name) != Normal(path)) continue;
    names.push_back(name.substr(name.rfind('/') + 1));
  }
  std::ranges::sort(names);
  return names;
}

void FaultyFileSystem::FailAfter(uint64_t calls, Fault fault,
                                 uint64_t failures) {
  const absl::MutexLock lock(mutex_);
  fail_from_ = calls > std::numeric_limits<uint64_t>::max() - calls_
                   ? std::numeric_limits<uint64_t>::max()
                   : calls_ + calls;
  failures_left_ = failures;
  fault_ = fault;
}

uint64_t FaultyFileSystem::calls() const {
  const absl::MutexLock lock(mutex_);
  return calls_;
}

void FaultyFileSystem::OnCrashPoint(std::function<void()> reached) {
  const absl::MutexLock lock(mutex_);
  on_crash_point_ = std::move(reached);
}

FaultyFileSystem::CrashStates FaultyFileSystem::ForEachCrashState(
    const CrashOptions& options,
    absl::FunctionRef<void(FaultyFileSystem& left)> visit) const {
  // Visits may go on working with this disk: they see copies.
  Entries durable;
  std::vector<EntryChange> entry_changes;
  {
    const absl::MutexLock lock(mutex_);
    std::map<const Node*, std::shared_ptr<Node>> copies;
    const auto copy_of = [&](const std::shared_ptr<Node>& node) {
      if (node == nullptr) return node;
      std::shared_ptr<Node>& copy = copies[node.get()];
      if (copy == nullptr) copy = std::make_shared<Node>(*node);
      return copy;
    };
    for (const auto& [path, node] : durable_entries_) {
      durable[path] = copy_of(node);
    }
    entry_changes = entry_changes_;
    for (EntryChange& change : entry_changes) {
      for (auto& [path, node] : change.entries) node = copy_of(node);
    }
  }
  return CrashStateMaker(durable, entry_changes, options).Show(visit);
}

}  // namespace mmsb
