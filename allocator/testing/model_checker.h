#ifndef MMSB_ALLOCATOR_TESTING_MODEL_CHECKER_H_
#define MMSB_ALLOCATOR_TESTING_MODEL_CHECKER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace mmsb {

// Runs a small program of a few threads in every way that it can go: every
// order of its atomic operations, and for every load each of the values that it
// may return under its memory order. For lock-free structures: what a stress
// test meets once in a year, if ever on this processor, is met here at once.
//
// The program uses ModelAtomic (model_atomic.h) in place of std::atomic; a
// structure that takes its atomics as a template argument is run as it is. It
// is made anew for each execution, and must do the same whenever the same
// happens: no clock, no randomness, no other synchronisation. Its threads end
// whatever happens; a wait for another thread would be endless.
//
//   what is explored   interleavings, less those that differ only in the order
//                      of operations that do not affect each other (sleep sets:
//                      Godefroid, Partial-Order Methods for the Verification of
//                      Concurrent Systems, 1996)
//   memory             each location has a list of stores in the order they
//                      were executed; each thread a view, that is for each
//                      location the oldest store it may still read; a release
//                      store carries the view of its thread, an acquire load
//                      that reads it joins that to its own (after Kang, Hur,
//                      Lahav, Vafeiadis and Dreyer, A Promising Semantics for
//                      Relaxed-Memory Concurrency, 2017, without promises)
//   seq_cst            a view that all such operations share
//   not modelled       loads that read from stores later in time (load
//                      buffering), two stores to one location that take effect
//                      in another order than executed, spurious failures, and
//                      failed compare-exchanges that read old values
//
// One exploration at a time in a process. Its threads are real ones, of which
// one runs at any moment.
//
//   const ModelResult result = ExploreModel([](ModelProgram& program) {
//     auto x = std::make_shared<ModelAtomic<int>>(0);
//     for (int i = 0; i < 2; ++i) {
//       program.Thread([x] { x->fetch_add(1, std::memory_order_relaxed); });
//     }
//     program.Finally([x] { ModelExpect(x->load() == 2, "both counted"); });
//   });
//   EXPECT_TRUE(result.passed()) << result.error;
class ModelProgram {
 public:
  // At most kMaxThreads; they start together, with all that was done before
  // visible. `prepare` is done before, on the same thread, and not explored:
  // what the structure shall know of the thread when it starts.
  static constexpr size_t kMaxThreads = 4;
  void Thread(std::function<void()> body,
              std::function<void()> prepare = nullptr) {
    threads.push_back(std::move(body));
    prepares.push_back(std::move(prepare));
  }

  // Runs when all threads have ended, and sees all they did.
  void Finally(std::function<void()> body) { finally = std::move(body); }

  std::vector<std::function<void()>> threads;
  std::vector<std::function<void()>> prepares;
  std::function<void()> finally;
};

struct ModelOptions {
  // Executions after which the exploration gives up, and has not passed.
  uint64_t max_executions = 3'000'000;

  // Operations of one execution after which it gives up too.
  uint64_t max_steps = 2000;

  // How often, at most, a thread that could go on is interrupted in one
  // execution; for programs that are too large otherwise. What needs more is
  // not found, and passed() says nothing about it.
  uint64_t max_preemptions = ~uint64_t{0};

  // The same for how often a load returns another value than the newest.
  uint64_t max_stale_reads = ~uint64_t{0};
};

struct ModelResult {
  // What went wrong first, and the operations that led there, one a line; empty
  // when nothing did.
  std::string error;

  // Whether everything within the bounds was explored.
  bool complete = false;

  uint64_t executions = 0;

  [[nodiscard]] bool passed() const { return complete && error.empty(); }
};

// Stops at the first error.
ModelResult ExploreModel(const std::function<void(ModelProgram&)>& make,
                         const ModelOptions& options = {});

// In a program: `condition` must hold in every execution.
void ModelExpect(bool condition, const std::string& what);

}  // namespace mmsb

#endif  // MMSB_ALLOCATOR_TESTING_MODEL_CHECKER_H_
