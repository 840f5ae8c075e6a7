#include "cli/aside_file.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "cli/paths.h"
#include "memory/log/file_system.h"
#include "primitives/check.h"

namespace mmsb {
namespace {

constexpr std::array kSignals = {SIGHUP, SIGINT, SIGTERM};

// What a signal's handler removes; empty: nothing. Changed only while the
// signals are blocked, so the handler, which runs on this thread, never sees
// half of it.
std::array<char, PATH_MAX> aside_to_remove;

void RemoveAndEnd(int signal) {
  if (aside_to_remove[0] != '\0') ::unlink(aside_to_remove.data());
  // SA_RESETHAND put the default action back: the process ends as it would have
  // without a handler.
  ::raise(signal);
}

// Sets what is to be removed on a signal; empty for nothing.
void RemoveOnSignal(std::string_view path) {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  for (const int signal : kSignals) sigaddset(&blocked, signal);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  MMSB_CHECK(path.empty() || aside_to_remove[0] == '\0',
             "two files are written aside at once");
  // A path that is too long to be opened was refused before.
  const size_t bytes = path.copy(aside_to_remove.data(), PATH_MAX - 1);
  aside_to_remove[bytes] = '\0';
  for (const int signal : kSignals) {
    struct sigaction action;
    sigaction(signal, nullptr, &action);
    // Whoever started this process with the signal ignored (nohup) meant it.
    if (action.sa_handler != SIG_DFL) continue;
    action = {};
    action.sa_handler = RemoveAndEnd;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(signal, &action, nullptr);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

uint64_t RandomNumber() {
  std::random_device random;
  return uint64_t{random()} << 32 | random();
}

}  // namespace

absl::StatusOr<AsideFile> AsideFile::Create(FileSystem& file_system,
                                            std::string path,
                                            uint32_t permissions) {
  // The name tells a person whose it is if it stays behind (SIGKILL), and is
  // not longer than file systems allow.
  constexpr size_t kMaxNameBytes = 200;
  const size_t name = path.rfind('/') + 1;  // npos + 1 is 0
  std::string aside_path =
      absl::StrCat(std::string_view(path).substr(
                       0, std::min(path.size(), name + kMaxNameBytes)),
                   ".mmsb-", absl::Hex(RandomNumber(), absl::kZeroPad16));
  AsideFile result(file_system, std::move(path), std::move(aside_path));
  absl::StatusOr<std::unique_ptr<File>> file =
      file_system.CreateNew(result.aside_path_, permissions);
  if (!file.ok()) {
    result.Forget();  // What has that name is another's.
    return file.status();
  }
  result.file_ = *std::move(file);
  return result;
}

AsideFile::AsideFile(FileSystem& file_system, std::string path,
                     std::string aside_path)
    : file_system_(&file_system),
      path_(std::move(path)),
      aside_path_(std::move(aside_path)) {
  RemoveOnSignal(aside_path_);
}

AsideFile::AsideFile(AsideFile&& other) noexcept
    : file_system_(other.file_system_),
      path_(std::move(other.path_)),
      aside_path_(std::exchange(other.aside_path_, {})),
      file_(std::move(other.file_)) {}

AsideFile::~AsideFile() {
  if (aside_path_.empty()) return;
  file_ = nullptr;
  // There is nothing left to tell it to.
  file_system_->Remove(aside_path_).IgnoreError();
  RemoveOnSignal({});
}

void AsideFile::Forget() {
  aside_path_.clear();
  RemoveOnSignal({});
}

absl::Status AsideFile::Publish(FileSystem::IfExists if_exists) {
  if (absl::Status status = file_->Sync(); !status.ok()) return status;
  file_ = nullptr;
  if (absl::Status status = file_system_->Rename(aside_path_, path_, if_exists);
      !status.ok()) {
    return status;
  }
  Forget();
  if (absl::Status status = file_system_->SyncDirectory(ParentPath(path_));
      !status.ok()) {
    return absl::Status(
        status.code(),
        absl::StrCat("'", path_, "' is there, but may not outlive a power ",
                     "failure: ", status.message()));
  }
  return absl::OkStatus();
}

}  // namespace mmsb
