#ifndef MMSB_BENCH_ALLOCATORS_THREAD_PAIR_H_
#define MMSB_BENCH_ALLOCATORS_THREAD_PAIR_H_

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

namespace mmsb {

// Waiting in a loop: lets another program have the processor now and then,
// which it may be that the other thread waits for.
class Patience {
 public:
  void Spin() {
    if (++spins_ % kSpins == 0) std::this_thread::yield();
  }

 private:
  static constexpr unsigned kSpins = 1024;
  unsigned spins_ = 0;
};

// Two threads that live as long as the pair, so that caches by thread stay warm
// from one round to the next; the caller is one of them.
//
//   ThreadPair threads;
//   double seconds = threads.Run([&](int thread) { ... });  // thread is 0 or 1
class ThreadPair {
 public:
  ThreadPair() : other_([this] { Serve(); }) {}
  ThreadPair(const ThreadPair&) = delete;
  ThreadPair& operator=(const ThreadPair&) = delete;
  ~ThreadPair() {
    work_ = nullptr;
    // release: publishes work_ to Serve().
    round_.fetch_add(1, std::memory_order_release);
    other_.join();
  }

  // Runs `work` on both threads at once and returns how long it took until both
  // were done, in seconds.
  double Run(const std::function<void(int)>& work) {
    work_ = &work;
    // release: publishes work_ to Serve().
    round_.fetch_add(1, std::memory_order_release);
    Meet();
    const auto start = std::chrono::steady_clock::now();
    work(0);
    Meet();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                         start)
        .count();
  }

  // Returns when both threads have called it: a barrier for use inside `work`.
  void Meet() {
    // acq_rel: what either did before is seen by the other after; pairs with
    // the other thread's addition and the acquire below.
    const unsigned ticket = met_.fetch_add(1, std::memory_order_acq_rel);
    const unsigned both = ticket / 2 * 2 + 2;
    for (Patience wait;
         static_cast<int>(met_.load(std::memory_order_acquire) - both) < 0;) {
      wait.Spin();
    }
  }

 private:
  void Serve() {
    for (unsigned seen = 0;;) {
      // acquire: pairs with the releases of Run() and the destructor.
      for (Patience wait; round_.load(std::memory_order_acquire) == seen;) {
        wait.Spin();
      }
      ++seen;
      if (work_ == nullptr) return;
      Meet();
      (*work_)(1);
      Meet();
    }
  }

  const std::function<void(int)>* work_ = nullptr;
  alignas(64) std::atomic<unsigned> round_ = 0;
  alignas(64) std::atomic<unsigned> met_ = 0;
  std::thread other_;
};

}  // namespace mmsb

#endif  // MMSB_BENCH_ALLOCATORS_THREAD_PAIR_H_
