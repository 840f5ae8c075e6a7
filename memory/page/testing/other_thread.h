#ifndef MMSB_MEMORY_PAGE_TESTING_OTHER_THREAD_H_
#define MMSB_MEMORY_PAGE_TESTING_OTHER_THREAD_H_

#include <functional>
#include <semaphore>
#include <thread>
#include <utility>

namespace mmsb {

// A thread that does what it is told while who tells it waits: for tests of
// what structures keep for each thread, without chance.
//
// Not thread-safe: one thread at a time gives the orders.
//
//   OtherThread other;
//   other.Run([&] { p = frames.Allocate(0); });
class OtherThread {
 public:
  OtherThread() : thread_([this] { Work(); }) {}
  ~OtherThread() {
    work_ = nullptr;
    begin_.release();
    thread_.join();
  }
  OtherThread(const OtherThread&) = delete;
  OtherThread& operator=(const OtherThread&) = delete;

  // Returns when the thread has done `work`.
  void Run(std::function<void()> work) {
    Begin(std::move(work));
    Await();
  }

  // Returns at once. An Await() belongs to each, which returns when the thread
  // has done `work`.
  void Begin(std::function<void()> work) {
    work_ = std::move(work);
    begin_.release();
  }
  void Await() { done_.acquire(); }

 private:
  void Work() {
    for (;;) {
      begin_.acquire();
      if (work_ == nullptr) return;
      work_();
      done_.release();
    }
  }

  std::function<void()> work_;
  std::binary_semaphore begin_{0};
  std::binary_semaphore done_{0};
  std::thread thread_;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_TESTING_OTHER_THREAD_H_
