#include "primitives/os_thread_exit.h"

#include <errno.h>
#include <pthread.h>

#include "primitives/check.h"
#include "primitives/os_error.h"

namespace mmsb {

ThreadExitHook::~ThreadExitHook() {
  if (!created_) return;
  const int code = pthread_key_delete(key_);
  MMSB_CHECK(code == 0, "~ThreadExitHook: pthread_key_delete: errno %d", code);
}

OsError ThreadExitHook::Create(Callback callback) {
  if (callback == nullptr) return OsError("ThreadExitHook::Create", EINVAL);
  if (created_) return OsError("ThreadExitHook::Create", EBUSY);
  const int code = pthread_key_create(&key_, callback);
  if (code != 0) return OsError("pthread_key_create", code);
  created_ = true;
  return OsError();
}

OsError ThreadExitHook::Arm(void* argument) {
  if (!created_ || argument == nullptr) {
    return OsError("ThreadExitHook::Arm", EINVAL);
  }
  const int code = pthread_setspecific(key_, argument);
  if (code != 0) return OsError("pthread_setspecific", code);
  return OsError();
}

OsError ThreadExitHook::Disarm() {
  if (!created_) return OsError("ThreadExitHook::Disarm", EINVAL);
  const int code = pthread_setspecific(key_, nullptr);
  if (code != 0) return OsError("pthread_setspecific", code);
  return OsError();
}

void* ThreadExitHook::argument() const {
  return created_ ? pthread_getspecific(key_) : nullptr;
}

}  // namespace mmsb
