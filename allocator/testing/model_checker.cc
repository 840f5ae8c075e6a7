#include "allocator/testing/model_checker.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "allocator/testing/model_memory.h"
#include "primitives/check.h"

namespace mmsb {
namespace {

constexpr size_t kMain = ModelProgram::kMaxThreads;

// For each location the number of the oldest store that may be read.
class View {
 public:
  uint32_t operator[](uint32_t location) const {
    return location < oldest_.size() ? oldest_[location] : 0;
  }
  void Raise(uint32_t location, uint32_t store) {
    if (location >= oldest_.size()) oldest_.resize(location + 1);
    oldest_[location] = std::max(oldest_[location], store);
  }
  void Join(const View& other) {
    if (other.oldest_.size() > oldest_.size()) {
      oldest_.resize(other.oldest_.size());
    }
    for (size_t i = 0; i < other.oldest_.size(); ++i) {
      oldest_[i] = std::max(oldest_[i], other.oldest_[i]);
    }
  }

 private:
  std::vector<uint32_t> oldest_;
};

struct StoredValue {
  uint64_t value;
  View view;
};

struct Operation {
  enum class Kind { kLoad, kStore, kUpdate, kFence };
  Kind kind;
  uint32_t location;  // of a fence: the other thread
  bool seq_cst;
};

bool Releases(std::memory_order order) {
  return order == std::memory_order_release ||
         order == std::memory_order_acq_rel ||
         order == std::memory_order_seq_cst;
}

bool Acquires(std::memory_order order) {
  return order == std::memory_order_acquire ||
         order == std::memory_order_acq_rel ||
         order == std::memory_order_seq_cst;
}

bool IsSeqCst(std::memory_order order) {
  return order == std::memory_order_seq_cst;
}

// Whether the order of two threads' next operations matters.
bool Dependent(const Operation& a, size_t thread_a, const Operation& b,
               size_t thread_b) {
  using Kind = Operation::Kind;
  if (a.kind == Kind::kFence || b.kind == Kind::kFence) {
    if (a.kind == b.kind && a.location == b.location) return true;
    return (a.kind == Kind::kFence && a.location == thread_b) ||
           (b.kind == Kind::kFence && b.location == thread_a);
  }
  if (a.location != b.location) return false;
  return a.kind != Kind::kLoad || b.kind != Kind::kLoad ||
         (a.seq_cst && b.seq_cst);
}

// One point at which an execution may go on in several ways.
struct Choice {
  bool of_thread;
  uint32_t taken;
  uint32_t count;     // of a value: how many there are
  uint32_t enabled;   // of a thread: which may be taken, as bits
  uint32_t sleeping;  // of a thread: which need not be, as bits
};

class Explorer {
 public:
  Explorer(const std::function<void(ModelProgram&)>& make,
           const ModelOptions& options)
      : make_(make), options_(options) {}

  ModelResult Run() {
    current = this;
    for (size_t i = 0; i < ModelProgram::kMaxThreads; ++i) {
      workers_[i].thread = std::thread([this, i] { Work(i); });
    }
    do {
      Execute();
      ++result_.executions;
    } while (result_.error.empty() && !gave_up_ && Backtrack());
    result_.complete = result_.error.empty() && !gave_up_;
    stopping_ = true;
    for (Worker& worker : workers_) {
      worker.turn.release();
      worker.thread.join();
    }
    current = nullptr;
    return std::move(result_);
  }

  void Fail(const std::string& what) {
    if (running_free_) return;
    result_.error = what + "\n" + Trace();
    running_free_ = true;
  }

  uint32_t NewLocation(uint64_t value) {
    const auto location = static_cast<uint32_t>(locations_.size());
    locations_.push_back({StoredValue{value, Self().view}});
    return location;
  }

  uint64_t Load(uint32_t location, std::memory_order order) {
    const bool seq_cst = IsSeqCst(order);
    Step({Operation::Kind::kLoad, location, seq_cst});
    View& view = Self().view;
    uint32_t oldest = view[location];
    if (seq_cst) oldest = std::max(oldest, seq_cst_[location]);
    const uint32_t newest = Newest(location);
    const bool newest_only = stale_reads_ >= options_.max_stale_reads;
    const uint32_t read =
        newest - Choose(newest_only ? 1 : newest - oldest + 1);
    if (read != newest) ++stale_reads_;
    view.Raise(location, read);
    if (Acquires(order)) view.Join(locations_[location][read].view);
    if (seq_cst) seq_cst_.Raise(location, read);
    return Log("load", location, locations_[location][read].value);
  }

  void Store(uint32_t location, uint64_t value, std::memory_order order) {
    Step({Operation::Kind::kStore, location, IsSeqCst(order)});
    Append(location, value, order, View());
    Log("store", location, value);
  }

  uint64_t Update(uint32_t location, std::memory_order success,
                  std::memory_order failure,
                  const std::function<bool(uint64_t, uint64_t*)>& change) {
    Step({Operation::Kind::kUpdate, location,
          IsSeqCst(success) || IsSeqCst(failure)});
    const uint32_t newest = Newest(location);
    const StoredValue old = locations_[location][newest];
    uint64_t next = 0;
    const bool changes = change(old.value, &next);
    const std::memory_order order = changes ? success : failure;
    View& view = Self().view;
    view.Raise(location, newest);
    if (Acquires(order)) view.Join(old.view);
    if (IsSeqCst(order)) seq_cst_.Raise(location, newest);
    // What the old value released, the new one goes on releasing.
    if (changes) Append(location, next, order, old.view);
    Log(changes ? "update, of" : "no update, of", location, old.value);
    return old.value;
  }

  void HeavyFence() {
    if (self == kMain) return;  // No other thread runs.
    // Each other thread sees what came before the whole fence, and what any of
    // them did before its moment is seen behind the whole: nothing is promised
    // from one of them to another.
    const View before = Self().view;
    View behind;
    for (uint32_t i = 0; i < threads_; ++i) {
      if (i == self) continue;
      Step({Operation::Kind::kFence, i, false});
      behind.Join(workers_[i].view);
      workers_[i].view.Join(before);
      Log("fence with thread", i, 0);
    }
    Self().view.Join(behind);
  }

  void Touch(uint32_t location) {
    // A turn of its own: a fence of another thread may come right before it.
    Step({Operation::Kind::kStore, location, false});
    if (Self().view[location] != Newest(location)) {
      Fail("location " + std::to_string(location) +
           " is used by two threads at once");
    }
    Append(location, 0, std::memory_order_relaxed, View());
    Log("touch", location, 0);
  }

  static Explorer* current;

 private:
  struct Worker {
    std::thread thread;
    std::binary_semaphore turn{0};
    View view;
    Operation next;
    bool ended = true;
  };

  struct Logged {
    size_t thread;
    const char* what;
    uint32_t location;
    uint64_t value;
  };

  static thread_local size_t self;

  Worker& Self() { return self == kMain ? main_ : workers_[self]; }

  uint32_t Newest(uint32_t location) const {
    return static_cast<uint32_t>(locations_[location].size() - 1);
  }

  void Append(uint32_t location, uint64_t value, std::memory_order order,
              View view) {
    const uint32_t store = Newest(location) + 1;
    View& mine = Self().view;
    mine.Raise(location, store);
    if (Releases(order)) view.Join(mine);
    if (IsSeqCst(order)) seq_cst_.Raise(location, store);
    locations_[location].push_back({value, std::move(view)});
  }

  uint64_t Log(const char* what, uint32_t location, uint64_t value) {
    if (self != kMain) log_.push_back({self, what, location, value});
    return value;
  }

  std::string Trace() const {
    std::string text;
    for (const Logged& logged : log_) {
      text += "  thread " + std::to_string(logged.thread) + ": " + logged.what +
              " " + std::to_string(logged.location) + ": " +
              std::to_string(logged.value) + "\n";
    }
    return text;
  }

  // One execution, along path_ as far as it goes.
  void Execute() {
    locations_.clear();
    log_.clear();
    seq_cst_ = View();
    main_.view = View();
    depth_ = steps_ = preemptions_ = stale_reads_ = 0;
    sleeping_ = 0;
    running_free_ = false;
    ModelProgram program;
    make_(program);
    MMSB_CHECK(!program.threads.empty() &&
                   program.threads.size() <= ModelProgram::kMaxThreads,
               "ExploreModel: %zu threads", program.threads.size());
    threads_ = static_cast<uint32_t>(program.threads.size());
    // What they do counts as done by kMain, in one view, until they start.
    for (uint32_t i = 0; i < threads_; ++i) {
      if (program.prepares[i] == nullptr) continue;
      prepare_ = program.prepares[i];
      workers_[i].turn.release();
      main_.turn.acquire();
    }
    bodies_ = program.threads;
    for (uint32_t i = 0; i < threads_; ++i) {
      workers_[i].view = main_.view;
      workers_[i].ended = false;
    }
    started_ = 1;
    running_ = 0;
    workers_[0].turn.release();
    main_.turn.acquire();
    for (uint32_t i = 0; i < threads_; ++i) main_.view.Join(workers_[i].view);
    bodies_.clear();
    if (program.finally && !running_free_) program.finally();
  }

  void Work(size_t number) {
    self = number;
    for (;;) {
      workers_[number].turn.acquire();
      if (stopping_) return;
      if (prepare_ != nullptr) {
        self = kMain;
        std::exchange(prepare_, nullptr)();
        self = number;
        main_.turn.release();
        continue;
      }
      bodies_[number]();
      workers_[number].ended = true;
      PassOn();
    }
  }

  // Before an operation of the calling thread: says what it will be, and waits
  // until it is its turn.
  void Step(const Operation& operation) {
    if (self == kMain) return;
    const size_t me = self;
    workers_[me].next = operation;
    if (PassOn() != me) workers_[me].turn.acquire();
  }

  // Gives the turn to whoever is next; returns who that is.
  size_t PassOn() {
    const size_t me = self;
    size_t next = me;
    if (started_ < threads_) {
      next = started_++;  // It runs until its first operation.
    } else {
      next = Next();
    }
    running_ = next;
    if (next == kMain) {
      main_.turn.release();
    } else if (next != me || workers_[me].ended) {
      workers_[next].turn.release();
    }
    return next;
  }

  size_t Next() {
    uint32_t enabled = 0;
    for (uint32_t i = 0; i < threads_; ++i) {
      if (!workers_[i].ended) enabled |= 1u << i;
    }
    if (enabled == 0) return kMain;
    if (++steps_ > options_.max_steps && !running_free_) {
      gave_up_ = running_free_ = true;
    }
    if (running_free_) {
      MMSB_CHECK(steps_ < 100 * options_.max_steps,
                 "ExploreModel: the program does not end");
      return (enabled >> self & 1) != 0 ? self : Lowest(enabled);
    }
    const bool bounded = options_.max_preemptions != ~uint64_t{0} ||
                         options_.max_stale_reads != ~uint64_t{0};
    // No thread is interrupted before the first operation of all.
    const bool may_go_on = steps_ > 1 && (enabled >> self & 1) != 0;
    if (bounded && may_go_on && preemptions_ >= options_.max_preemptions) {
      return self;
    }
    if (depth_ == path_.size()) {
      const uint32_t awake = enabled & ~sleeping_;
      if (awake == 0) {
        // All that can follow was seen in another order.
        running_free_ = true;
        return Lowest(enabled);
      }
      path_.push_back({true, Lowest(awake), 0, enabled, sleeping_});
      if (path_.size() > (size_t{1} << 20)) gave_up_ = true;
    }
    const Choice& choice = path_[depth_++];
    MMSB_CHECK(choice.of_thread && choice.enabled == enabled,
               "ExploreModel: the program does not repeat itself");
    const size_t next = choice.taken;
    if (may_go_on && next != self) ++preemptions_;
    if (!bounded) {
      // A bound and sleep sets together would leave out too much.
      sleeping_ = 0;
      for (uint32_t i = 0; i < threads_; ++i) {
        if ((choice.sleeping >> i & 1) != 0 && i != next &&
            !Dependent(workers_[i].next, i, workers_[next].next, next)) {
          sleeping_ |= 1u << i;
        }
      }
    }
    return next;
  }

  // One of `count` values.
  uint32_t Choose(uint32_t count) {
    if (count == 1 || running_free_ || self == kMain) return 0;
    if (depth_ == path_.size()) path_.push_back({false, 0, count, 0, 0});
    const Choice& choice = path_[depth_++];
    MMSB_CHECK(!choice.of_thread && choice.count == count,
               "ExploreModel: the program does not repeat itself");
    return choice.taken;
  }

  // Turns path_ to the next way that was not yet taken; false when there is
  // none.
  bool Backtrack() {
    if (result_.executions >= options_.max_executions) {
      gave_up_ = true;
      return false;
    }
    path_.resize(depth_);
    for (; !path_.empty(); path_.pop_back()) {
      Choice& choice = path_.back();
      if (!choice.of_thread) {
        if (++choice.taken < choice.count) return true;
        continue;
      }
      choice.sleeping |= 1u << choice.taken;
      const uint32_t awake = choice.enabled & ~choice.sleeping;
      if (awake != 0) {
        choice.taken = Lowest(awake);
        return true;
      }
    }
    return false;
  }

  static uint32_t Lowest(uint32_t bits) {
    return static_cast<uint32_t>(__builtin_ctz(bits));
  }

  const std::function<void(ModelProgram&)>& make_;
  const ModelOptions options_;
  ModelResult result_;
  bool gave_up_ = false;

  // The way of the execution, and how much of it has been gone.
  std::vector<Choice> path_;
  size_t depth_ = 0;

  // Of the execution; touched by whose turn it is.
  std::array<Worker, ModelProgram::kMaxThreads> workers_;
  Worker main_;
  std::vector<std::function<void()>> bodies_;
  std::function<void()> prepare_;
  std::vector<std::vector<StoredValue>> locations_;
  View seq_cst_;
  std::vector<Logged> log_;
  uint32_t threads_ = 0;
  uint32_t started_ = 0;
  size_t running_ = 0;
  uint32_t sleeping_ = 0;
  uint64_t steps_ = 0;
  uint64_t preemptions_ = 0;
  uint64_t stale_reads_ = 0;
  bool running_free_ = false;  // to its end, unexplored
  bool stopping_ = false;
};

Explorer* Explorer::current = nullptr;
thread_local size_t Explorer::self = kMain;

}  // namespace

ModelResult ExploreModel(const std::function<void(ModelProgram&)>& make,
                         const ModelOptions& options) {
  return Explorer(make, options).Run();
}

void ModelExpect(bool condition, const std::string& what) {
  if (!condition) Explorer::current->Fail(what);
}

namespace model_memory {

uint32_t NewLocation(uint64_t value) {
  return Explorer::current->NewLocation(value);
}
uint64_t Load(uint32_t location, std::memory_order order) {
  return Explorer::current->Load(location, order);
}
void Store(uint32_t location, uint64_t value, std::memory_order order) {
  Explorer::current->Store(location, value, order);
}
uint64_t Update(uint32_t location, std::memory_order success,
                std::memory_order failure,
                const std::function<bool(uint64_t, uint64_t*)>& change) {
  return Explorer::current->Update(location, success, failure, change);
}
void HeavyFence() { Explorer::current->HeavyFence(); }
void Touch(uint32_t location) { Explorer::current->Touch(location); }

}  // namespace model_memory
}  // namespace mmsb
