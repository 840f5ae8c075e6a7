#include "memory/log/memory_file_system.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "memory/log/file_system.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

constexpr size_t kBlockBytes = MemoryFileSystem::kBlockBytes;

// As Linux has them.
constexpr size_t kMaxPathBytes = 4095;
constexpr size_t kMaxNameBytes = 255;
constexpr uint64_t kMaxFileBytes =
    static_cast<uint64_t>(std::numeric_limits<int64_t>::max());

absl::Status SystemError(int error, std::string_view call,
                         std::string_view path) {
  return absl::ErrnoToStatus(error,
                             absl::StrCat("cannot ", call, " '", path, "'"));
}

bool FitsInAFile(uint64_t offset, size_t bytes) {
  return offset <= kMaxFileBytes && bytes <= kMaxFileBytes - offset;
}

struct Block {
  std::array<std::byte, kBlockBytes> bytes;
};

}  // namespace

// What may be taken, and is. Thread-safe.
class MemoryFileSystem::Space {
 public:
  explicit Space(uint64_t max_bytes) : max_bytes_(max_bytes) {}

  bool Take(uint64_t bytes) {
    // relaxed, as all here: nothing but the number is passed on.
    uint64_t used = used_.load(std::memory_order_relaxed);
    do {
      if (used > max_bytes_ || bytes > max_bytes_ - used) return false;
    } while (!used_.compare_exchange_weak(used, used + bytes,
                                          std::memory_order_relaxed));
    return true;
  }

  void Give(uint64_t bytes) {
    used_.fetch_sub(bytes, std::memory_order_relaxed);
  }

  uint64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  const uint64_t max_bytes_;
  std::atomic<uint64_t> used_ = 0;
};

// A file or a directory. Gives back what it takes, and the `taken` bytes that
// were taken for it.
struct MemoryFileSystem::Node : std::enable_shared_from_this<Node> {
  Node(Space& of, size_t taken, uint64_t number, bool is_directory,
       uint32_t rights, int64_t now)
      : space(of),
        entry_bytes(taken),
        identity(number),
        directory(is_directory),
        permissions(rights),
        modified_ns(now),
        changed_ns(now) {}
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node() { space.Give(entry_bytes + blocks.size() * kBlockBytes); }

  FileInfo Info() {
    const absl::ReaderMutexLock lock(mutex);
    return {.kind = directory ? FileKind::kDirectory : FileKind::kRegular,
            .bytes = bytes,
            .modified_ns = modified_ns,
            .changed_ns = changed_ns,
            .identity = identity,
            .permissions = permissions};
  }

  // Every change has a time of its own, however coarse the clock is.
  void Changed(int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    constexpr int64_t kEndOfTime = std::numeric_limits<int64_t>::max();
    if (changed_ns == kEndOfTime) return;
    changed_ns = std::max(now, changed_ns + 1);
  }
  void Modified(int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    Changed(now);
    modified_ns = changed_ns;
  }
  void EntriesModified(int64_t now) {
    const absl::MutexLock lock(mutex);
    Modified(now);
  }

  // The block, of which `first` and what follows it are about to be written;
  // null without room for it.
  Block* BlockToWrite(uint64_t index, size_t first, size_t count)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const auto found = blocks.find(index);
    if (found != blocks.end()) return found->second.get();
    if (!space.Take(kBlockBytes)) return nullptr;
    std::unique_ptr<Block> block(new (std::nothrow) Block);
    if (block == nullptr) {
      space.Give(kBlockBytes);
      return nullptr;
    }
    std::fill_n(block->bytes.begin(), first, std::byte{0});
    std::fill(block->bytes.begin() + static_cast<ptrdiff_t>(first + count),
              block->bytes.end(), std::byte{0});
    return blocks.emplace(index, std::move(block)).first->second.get();
  }

  void Resize(uint64_t to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const uint64_t whole = to / kBlockBytes;
    const auto kept = static_cast<ptrdiff_t>(to % kBlockBytes);
    auto cut = blocks.lower_bound(whole);
    if (kept != 0 && cut != blocks.end() && cut->first == whole) {
      std::fill(cut->second->bytes.begin() + kept, cut->second->bytes.end(),
                std::byte{0});
      ++cut;
    }
    space.Give(static_cast<uint64_t>(std::distance(cut, blocks.end())) *
               kBlockBytes);
    blocks.erase(cut, blocks.end());
    bytes = to;
  }

  Space& space;
  const size_t entry_bytes;
  const uint64_t identity;
  const bool directory;

  // For who has the file system's mutex.
  bool locked = false;
  Node* parent = nullptr;  // of a directory; null: the root, or removed
  std::map<std::string, std::shared_ptr<Node>, std::less<>> entries;

  absl::Mutex mutex;
  uint32_t permissions ABSL_GUARDED_BY(mutex);
  int64_t modified_ns ABSL_GUARDED_BY(mutex);
  int64_t changed_ns ABSL_GUARDED_BY(mutex);
  uint64_t bytes ABSL_GUARDED_BY(mutex) = 0;
  // By offset / kBlockBytes. What is missing, and what lies past the end, is
  // zeros.
  absl::btree_map<uint64_t, std::unique_ptr<Block>> blocks
      ABSL_GUARDED_BY(mutex);
};

class MemoryFileSystem::OpenFile final : public File {
 public:
  OpenFile(MemoryFileSystem& files, std::shared_ptr<Node> node,
           std::string path, bool writable)
      : files_(files),
        node_(std::move(node)),
        path_(std::move(path)),
        writable_(writable) {}

  ~OpenFile() override {
    if (!holds_lock_) return;
    const absl::MutexLock lock(files_.mutex_);
    node_->locked = false;
  }

  absl::StatusOr<size_t> ReadAt(uint64_t offset,
                                std::span<std::byte> out) override {
    if (!FitsInAFile(offset, out.size())) {
      return SystemError(EOVERFLOW, "read", path_);
    }
    if (node_->directory) return SystemError(EISDIR, "read", path_);
    size_t done = 0;
    while (done < out.size()) {
      const uint64_t at = offset + done;
      const absl::ReaderMutexLock lock(node_->mutex);
      if (at >= node_->bytes) break;
      const auto first = static_cast<size_t>(at % kBlockBytes);
      const auto count = static_cast<size_t>(std::min<uint64_t>(
          std::min(out.size() - done, kBlockBytes - first), node_->bytes - at));
      const auto found = node_->blocks.find(at / kBlockBytes);
      if (found == node_->blocks.end()) {
        std::ranges::fill(out.subspan(done, count), std::byte{0});
      } else {
        std::ranges::copy(std::span(found->second->bytes).subspan(first, count),
                          out.subspan(done, count).begin());
      }
      done += count;
    }
    return done;
  }

  absl::Status WriteAt(uint64_t offset,
                       std::span<const std::byte> data) override {
    if (!writable_) return SystemError(EBADF, "write", path_);
    if (!FitsInAFile(offset, data.size())) {
      return SystemError(EFBIG, "write", path_);
    }
    size_t done = 0;
    while (done < data.size()) {
      const uint64_t at = offset + done;
      const auto first = static_cast<size_t>(at % kBlockBytes);
      const size_t count = std::min(data.size() - done, kBlockBytes - first);
      const absl::MutexLock lock(node_->mutex);
      Block* const block = node_->BlockToWrite(at / kBlockBytes, first, count);
      if (block == nullptr) return SystemError(ENOSPC, "write", path_);
      std::ranges::copy(data.subspan(done, count),
                        block->bytes.begin() + static_cast<ptrdiff_t>(first));
      node_->bytes = std::max(node_->bytes, at + count);
      node_->Modified(files_.clock_.WallTime());
      done += count;
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override { return absl::OkStatus(); }

  absl::Status Truncate(uint64_t bytes) override {
    if (!writable_) return SystemError(EINVAL, "resize", path_);
    if (!FitsInAFile(bytes, 0)) return SystemError(EFBIG, "resize", path_);
    const absl::MutexLock lock(node_->mutex);
    node_->Resize(bytes);
    node_->Modified(files_.clock_.WallTime());
    return absl::OkStatus();
  }

  absl::Status SetPermissions(uint32_t permissions) override {
    const absl::MutexLock lock(node_->mutex);
    node_->permissions = permissions & 0777;
    node_->Changed(files_.clock_.WallTime());
    return absl::OkStatus();
  }

  absl::StatusOr<FileInfo> Info() override { return node_->Info(); }

  absl::Status Lock() override {
    const absl::MutexLock lock(files_.mutex_);
    if (holds_lock_) return absl::OkStatus();
    const auto is_free = [this] { return !node_->locked; };
    files_.mutex_.Await(absl::Condition(&is_free));
    node_->locked = holds_lock_ = true;
    return absl::OkStatus();
  }

  absl::StatusOr<bool> TryLock() override {
    const absl::MutexLock lock(files_.mutex_);
    if (holds_lock_) return true;
    if (node_->locked) return false;
    node_->locked = holds_lock_ = true;
    return true;
  }

 private:
  MemoryFileSystem& files_;
  const std::shared_ptr<Node> node_;
  const std::string path_;
  const bool writable_;
  bool holds_lock_ = false;
};

MemoryFileSystem::MemoryFileSystem(const Options& options)
    : clock_(options.clock),
      permission_mask_(options.permission_mask),
      space_(std::make_unique<Space>(options.max_bytes)) {
  const absl::MutexLock lock(mutex_);
  // The root takes no room.
  root_ =
      std::make_shared<Node>(*space_, 0, ++last_identity_,
                             /*is_directory=*/true, 0700, clock_.WallTime());
}

MemoryFileSystem::~MemoryFileSystem() {
  // One after another, as renames may have made the tree deeper than a stack.
  std::vector<std::shared_ptr<Node>> rest;
  {
    const absl::MutexLock lock(mutex_);
    rest.push_back(std::move(root_));
  }
  while (!rest.empty()) {
    const std::shared_ptr<Node> node = std::move(rest.back());
    rest.pop_back();
    for (auto& [name, entry] : node->entries) rest.push_back(std::move(entry));
    node->entries.clear();
  }
}

absl::StatusOr<MemoryFileSystem::Place> MemoryFileSystem::Walk(
    std::string_view call, std::string_view path) const {
  if (path.empty()) return SystemError(ENOENT, call, path);
  if (path.size() > kMaxPathBytes) return SystemError(ENAMETOOLONG, call, path);
  if (path.find('\0') != std::string_view::npos) {
    return SystemError(EINVAL, call, path);
  }
  Place place = {
      .parent = nullptr, .name = {}, .node = root_, .is_directory = true};
  for (size_t at = 0; at < path.size();) {
    if (path[at] == '/') {
      place.is_directory = true;
      ++at;
      continue;
    }
    // What was found so far holds this name.
    if (place.node == nullptr) return SystemError(ENOENT, call, path);
    if (!place.node->directory) return SystemError(ENOTDIR, call, path);
    const std::string_view name =
        path.substr(at, std::min(path.find('/', at), path.size()) - at);
    at += name.size();
    place.parent = nullptr;
    place.name = name;
    if (name == "." || name == "..") {
      place.is_directory = true;
      Node* const up = name == ".." ? place.node->parent : nullptr;
      if (up != nullptr) place.node = up->shared_from_this();
      continue;
    }
    if (name.size() > kMaxNameBytes) {
      return SystemError(ENAMETOOLONG, call, path);
    }
    place.is_directory = false;
    place.parent = place.node.get();
    const auto found = place.parent->entries.find(name);
    place.node = found == place.parent->entries.end() ? nullptr : found->second;
  }
  if (place.is_directory && place.node != nullptr && !place.node->directory) {
    return SystemError(ENOTDIR, call, path);
  }
  return place;
}

absl::StatusOr<std::shared_ptr<MemoryFileSystem::Node>> MemoryFileSystem::Find(
    std::string_view call, std::string_view path) const {
  absl::StatusOr<Place> place = Walk(call, path);
  if (!place.ok()) return place.status();
  if (place->node == nullptr) return SystemError(ENOENT, call, path);
  return std::move(place->node);
}

absl::StatusOr<std::shared_ptr<MemoryFileSystem::Node>> MemoryFileSystem::Add(
    std::string_view call, std::string_view path, const Place& place,
    bool directory, uint32_t permissions) {
  if (place.is_directory && !directory) return SystemError(EISDIR, call, path);
  if (!space_->Take(kEntryBytes)) return SystemError(ENOSPC, call, path);
  const int64_t now = clock_.WallTime();
  auto node =
      std::make_shared<Node>(*space_, kEntryBytes, ++last_identity_, directory,
                             permissions & 0777 & ~permission_mask_, now);
  if (directory) node->parent = place.parent;
  place.parent->entries.emplace(place.name, node);
  place.parent->EntriesModified(now);
  return node;
}

absl::StatusOr<std::unique_ptr<File>> MemoryFileSystem::Open(
    const std::string& path, Access access) {
  const absl::MutexLock lock(mutex_);
  absl::StatusOr<Place> place = Walk("open", path);
  if (!place.ok()) return place.status();
  std::shared_ptr<Node> node = std::move(place->node);
  if (node == nullptr) {
    if (access != Access::kCreate) return SystemError(ENOENT, "open", path);
    absl::StatusOr<std::shared_ptr<Node>> added =
        Add("open", path, *place, /*directory=*/false, 0666);
    if (!added.ok()) return added.status();
    node = *std::move(added);
  }
  if (node->directory && access != Access::kRead) {
    return SystemError(EISDIR, "open", path);
  }
  return std::make_unique<OpenFile>(*this, std::move(node), path,
                                    access != Access::kRead);
}

absl::StatusOr<std::unique_ptr<File>> MemoryFileSystem::CreateNew(
    const std::string& path, uint32_t permissions) {
  const absl::MutexLock lock(mutex_);
  absl::StatusOr<Place> place = Walk("create", path);
  if (!place.ok()) return place.status();
  if (place->node != nullptr) return SystemError(EEXIST, "create", path);
  absl::StatusOr<std::shared_ptr<Node>> node =
      Add("create", path, *place, /*directory=*/false, permissions);
  if (!node.ok()) return node.status();
  return std::make_unique<OpenFile>(*this, *std::move(node), path,
                                    /*writable=*/true);
}

absl::Status MemoryFileSystem::CreateDirectory(const std::string& path) {
  constexpr std::string_view kCall = "create the directory";
  const absl::MutexLock lock(mutex_);
  absl::StatusOr<Place> place = Walk(kCall, path);
  if (!place.ok()) return place.status();
  if (place->node != nullptr) return SystemError(EEXIST, kCall, path);
  return Add(kCall, path, *place, /*directory=*/true, 0700).status();
}

absl::Status MemoryFileSystem::SyncDirectory(const std::string& path) {
  constexpr std::string_view kCall = "sync the directory";
  const absl::MutexLock lock(mutex_);
  const absl::StatusOr<std::shared_ptr<Node>> node = Find(kCall, path);
  if (!node.ok()) return node.status();
  if (!(*node)->directory) return SystemError(ENOTDIR, kCall, path);
  return absl::OkStatus();
}

int MemoryFileSystem::WhyNotRename(const Place& from, const Place& to,
                                   IfExists if_exists) {
  if (from.node == nullptr) return ENOENT;
  if (from.parent == nullptr || to.parent == nullptr) return EBUSY;
  if (to.node != nullptr && if_exists == IfExists::kFail) return EEXIST;
  if (!from.node->directory && to.is_directory) return ENOTDIR;
  for (const Node* above = to.parent; above != nullptr; above = above->parent) {
    if (above == from.node.get()) return EINVAL;
  }
  if (to.node == nullptr || to.node == from.node) return 0;
  if (from.node->directory && !to.node->directory) return ENOTDIR;
  if (!from.node->directory && to.node->directory) return EISDIR;
  return to.node->entries.empty() ? 0 : ENOTEMPTY;
}

absl::Status MemoryFileSystem::Rename(const std::string& from,
                                      const std::string& to,
                                      IfExists if_exists) {
  const std::string call = absl::StrCat("rename '", from, "' to");
  std::shared_ptr<Node> replaced;  // goes when the mutex is free again
  const absl::MutexLock lock(mutex_);
  const absl::StatusOr<Place> old_place = Walk(call, from);
  if (!old_place.ok()) return old_place.status();
  const absl::StatusOr<Place> new_place = Walk(call, to);
  if (!new_place.ok()) return new_place.status();
  const int error = WhyNotRename(*old_place, *new_place, if_exists);
  if (error != 0) return SystemError(error, call, to);
  const std::shared_ptr<Node>& node = old_place->node;
  if (node == new_place->node) return absl::OkStatus();
  replaced = new_place->node;
  if (replaced != nullptr) replaced->parent = nullptr;
  old_place->parent->entries.erase(
      old_place->parent->entries.find(old_place->name));
  new_place->parent->entries.insert_or_assign(std::string(new_place->name),
                                              node);
  if (node->directory) node->parent = new_place->parent;
  const int64_t now = clock_.WallTime();
  old_place->parent->EntriesModified(now);
  if (new_place->parent != old_place->parent) {
    new_place->parent->EntriesModified(now);
  }
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::Remove(const std::string& path) {
  std::shared_ptr<Node> removed;  // goes when the mutex is free again
  const absl::MutexLock lock(mutex_);
  const absl::StatusOr<Place> place = Walk("remove", path);
  if (!place.ok()) return place.status();
  if (place->node == nullptr) return SystemError(ENOENT, "remove", path);
  if (place->parent == nullptr) return SystemError(EBUSY, "remove", path);
  if (!place->node->entries.empty()) {
    return SystemError(ENOTEMPTY, "remove", path);
  }
  removed = place->node;
  removed->parent = nullptr;
  place->parent->entries.erase(place->parent->entries.find(place->name));
  place->parent->EntriesModified(clock_.WallTime());
  return absl::OkStatus();
}

absl::StatusOr<FileInfo> MemoryFileSystem::Info(const std::string& path) {
  const absl::MutexLock lock(mutex_);
  const absl::StatusOr<std::shared_ptr<Node>> node = Find("examine", path);
  if (!node.ok()) return node.status();
  return (*node)->Info();
}

absl::StatusOr<std::vector<std::string>> MemoryFileSystem::List(
    const std::string& path) {
  const absl::MutexLock lock(mutex_);
  const absl::StatusOr<std::shared_ptr<Node>> node = Find("list", path);
  if (!node.ok()) return node.status();
  if (!(*node)->directory) return SystemError(ENOTDIR, "list", path);
  std::vector<std::string> names;
  for (const auto& [name, entry] : (*node)->entries) names.push_back(name);
  return names;
}

uint64_t MemoryFileSystem::used_bytes() const { return space_->used(); }

}  // namespace mmsb
