#include "cli/background_sync.h"

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"
#include "memory/log/file_system.h"
#include "memory/log/memory_file_system.h"
#include "memory/store/testing/forwarding_file_system.h"

namespace mmsb {
namespace {

class CountedSyncs final : public ForwardingFile {
 public:
  using ForwardingFile::ForwardingFile;

  absl::Status Sync() override {
    const absl::MutexLock lock(mutex_);
    ++syncs_;
    return syncs_ == fails_at_ ? absl::DataLossError("the disk is gone")
                               : absl::OkStatus();
  }

  void FailAt(int sync) {
    const absl::MutexLock lock(mutex_);
    fails_at_ = sync;
  }
  int syncs() {
    const absl::MutexLock lock(mutex_);
    return syncs_;
  }
  void AwaitSyncs(int syncs) {
    const auto reached = [this, syncs] { return syncs_ >= syncs; };
    const absl::MutexLock lock(mutex_, absl::Condition(&reached));
  }

 private:
  absl::Mutex mutex_;
  int syncs_ = 0;
  int fails_at_ = 0;
};

class BackgroundSyncTest : public testing::Test {
 protected:
  MemoryFileSystem files_;
  CountedSyncs file_{*files_.CreateNew("a", 0600)};
};

TEST_F(BackgroundSyncTest, SyncsBeforeAllIsWritten) {
  BackgroundSync sync(file_);
  for (int i = 1; i <= 3; ++i) {
    sync.Wrote(BackgroundSync::kBytes - 1);
    sync.Wrote(1);
    file_.AwaitSyncs(i);
  }
  EXPECT_TRUE(sync.Finish().ok());
  EXPECT_EQ(file_.syncs(), 3);
}

TEST_F(BackgroundSyncTest, LeavesSmallFilesToTheLastSync) {
  BackgroundSync sync(file_);
  sync.Wrote(BackgroundSync::kBytes - 1);
  EXPECT_TRUE(sync.Finish().ok());
  EXPECT_EQ(file_.syncs(), 0);
}

TEST_F(BackgroundSyncTest, AFailureIsTheLastSyncAndIsTold) {
  file_.FailAt(2);
  BackgroundSync sync(file_);
  for (int i = 1; i <= 2; ++i) {
    sync.Wrote(BackgroundSync::kBytes);
    file_.AwaitSyncs(i);
  }
  for (int i = 0; i < 3; ++i) sync.Wrote(BackgroundSync::kBytes);
  EXPECT_EQ(sync.Finish().message(), "the disk is gone");
  EXPECT_EQ(file_.syncs(), 2);
}

TEST_F(BackgroundSyncTest, EndsWithWhoGivesUp) {
  {
    BackgroundSync sync(file_);
    sync.Wrote(BackgroundSync::kBytes);
  }
  EXPECT_LE(file_.syncs(), 1);
}

}  // namespace
}  // namespace mmsb
