#ifndef MMSB_PRIMITIVES_OS_CLOCK_H_
#define MMSB_PRIMITIVES_OS_CLOCK_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>

#include "primitives/check.h"

namespace mmsb {

// Where time comes from: an interface, so that a test decides what time it is.
//
// Clocks are passed by reference and never owned through this class.
// Thread-safe. Cannot fail. A reading of the system's clock takes some 20 ns.
//
//   int64_t started = clock.Now();
//   Work();
//   int64_t elapsed_ns = clock.Now() - started;
class Clock {
 public:
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

  // Nanoseconds since some moment that stays the same while the process lives;
  // never goes back. For intervals and deadlines.
  [[nodiscard]] virtual int64_t Now() const = 0;

  // Nanoseconds since 1970-01-01 00:00:00 UTC, without leap seconds; jumps when
  // somebody sets the system's time. For people.
  [[nodiscard]] virtual int64_t WallTime() const = 0;

  // The operating system's clock. Lives as long as the process, in static
  // destructors too.
  [[nodiscard]] static Clock& System();

 protected:
  constexpr Clock() = default;
  ~Clock() = default;
};

// A clock that moves when a test moves it. Thread-safe: whoever reads a new
// time also sees what its setter did before.
//
//   ManualClock clock;
//   Cache cache(&clock);
//   clock.Advance(Cache::kLifetimeNs);
class ManualClock final : public Clock {
 public:
  // Starts at these times, in nanoseconds, as Now() and WallTime() tell them.
  constexpr explicit ManualClock(int64_t now = 0, int64_t wall_time = 0)
      : now_(now), wall_time_(wall_time) {}

  [[nodiscard]] int64_t Now() const override {
    // acquire: pairs with the release in Add.
    return now_.load(std::memory_order_acquire);
  }

  [[nodiscard]] int64_t WallTime() const override {
    // acquire: pairs with the releases in Add and SetWallTime.
    return wall_time_.load(std::memory_order_acquire);
  }

  // Moves both times on by `ns` nanoseconds, at least 0.
  void Advance(int64_t ns) {
    MMSB_CHECK(ns >= 0, "ManualClock::Advance(%lld): time never goes back",
               static_cast<long long>(ns));
    Add(wall_time_, ns);
    Add(now_, ns);
  }

  // Lets the wall time jump, to any value; Now() stays.
  void SetWallTime(int64_t wall_time) {
    // release: pairs with the acquire in WallTime.
    wall_time_.store(wall_time, std::memory_order_release);
  }

 private:
  static void Add(std::atomic<int64_t>& time, int64_t ns) {
    // relaxed: only the sum is used, and the exchange below catches a change.
    int64_t old = time.load(std::memory_order_relaxed);
    do {
      MMSB_CHECK(old <= std::numeric_limits<int64_t>::max() - ns,
                 "ManualClock::Advance(%lld): past the end of time",
                 static_cast<long long>(ns));
      // release: pairs with the acquire in Now and WallTime. relaxed on
      // failure: as the load above.
    } while (!time.compare_exchange_weak(
        old, old + ns, std::memory_order_release, std::memory_order_relaxed));
  }

  std::atomic<int64_t> now_;
  std::atomic<int64_t> wall_time_;
};

namespace clock_internal {

class SystemClock final : public Clock {
 public:
  constexpr SystemClock() = default;

  [[nodiscard]] int64_t Now() const override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }

  [[nodiscard]] int64_t WallTime() const override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

inline constinit SystemClock system_clock;

}  // namespace clock_internal

inline Clock& Clock::System() { return clock_internal::system_clock; }

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_OS_CLOCK_H_
