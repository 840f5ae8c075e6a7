#include "primitives/os_mutex.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include <cstdint>

#include "primitives/check.h"
#include "primitives/os_clock.h"

namespace mmsb {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr int64_t kPollNs = 1'000'000;

// The clock of std::chrono::steady_clock, and so of Clock::System().
constexpr clockid_t kSystemClock = CLOCK_MONOTONIC;

void CheckOk(const char* call, int result) {
  MMSB_CHECK(result == 0, "%s failed with errno %d", call, result);
}

}  // namespace

void Mutex::Lock() {
  CheckOk("Mutex::Lock: pthread_mutex_lock", pthread_mutex_lock(&mutex_));
}

void Mutex::Unlock() {
  CheckOk("Mutex::Unlock: pthread_mutex_unlock", pthread_mutex_unlock(&mutex_));
}

bool Mutex::TryLock() {
  const int result = pthread_mutex_trylock(&mutex_);
  if (result == EBUSY) return false;
  CheckOk("Mutex::TryLock: pthread_mutex_trylock", result);
  return true;
}

CondVar::CondVar() {
  pthread_condattr_t attributes;
  CheckOk("CondVar: pthread_condattr_init", pthread_condattr_init(&attributes));
  CheckOk("CondVar: pthread_condattr_setclock",
          pthread_condattr_setclock(&attributes, kSystemClock));
  CheckOk("CondVar: pthread_cond_init", pthread_cond_init(&cond_, &attributes));
  CheckOk("CondVar: pthread_condattr_destroy",
          pthread_condattr_destroy(&attributes));
}

CondVar::~CondVar() {
  CheckOk("~CondVar: pthread_cond_destroy", pthread_cond_destroy(&cond_));
}

void CondVar::Wait(Mutex& mutex) {
  CheckOk("CondVar::Wait: pthread_cond_wait",
          pthread_cond_wait(&cond_, &mutex.mutex_));
}

bool CondVar::WaitUntil(Mutex& mutex, int64_t deadline, const Clock& clock) {
  const Clock& system = Clock::System();
  if (&clock == &system) return WaitUntilSystem(mutex, deadline);
  if (clock.Now() >= deadline) return false;
  // Returns also when it was too late for the notification: who sent it may
  // have had the mutex in between, and the condition is to be looked at.
  static_cast<void>(WaitUntilSystem(mutex, system.Now() + kPollNs));
  return true;
}

bool CondVar::WaitUntilSystem(Mutex& mutex, int64_t deadline) {
  if (deadline <= 0) return false;  // Passed long ago, and not to be encoded.
  timespec until;
  until.tv_sec = static_cast<time_t>(deadline / kNsPerSecond);
  until.tv_nsec = static_cast<long>(deadline % kNsPerSecond);
  const int result = pthread_cond_timedwait(&cond_, &mutex.mutex_, &until);
  if (result == ETIMEDOUT) return false;
  CheckOk("CondVar::WaitUntil: pthread_cond_timedwait", result);
  return true;
}

void CondVar::NotifyOne() {
  CheckOk("CondVar::NotifyOne: pthread_cond_signal",
          pthread_cond_signal(&cond_));
}

void CondVar::NotifyAll() {
  CheckOk("CondVar::NotifyAll: pthread_cond_broadcast",
          pthread_cond_broadcast(&cond_));
}

}  // namespace mmsb
