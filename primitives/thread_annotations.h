#ifndef MMSB_PRIMITIVES_THREAD_ANNOTATIONS_H_
#define MMSB_PRIMITIVES_THREAD_ANNOTATIONS_H_

// Which lock guards what, in a form that clang checks (-Wthread-safety) and
// other compilers skip:
//
//   Mutex mutex_;
//   size_t live_bytes_ MMSB_GUARDED_BY(mutex_) = 0;
//   void Refill() MMSB_REQUIRES(mutex_);  // the caller holds it
#if defined(__clang__)
#define MMSB_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define MMSB_THREAD_ATTRIBUTE(x)
#endif

// On a variable: touched only by who holds the lock; on a pointer, what it
// points at is.
#define MMSB_GUARDED_BY(x) MMSB_THREAD_ATTRIBUTE(guarded_by(x))
#define MMSB_PT_GUARDED_BY(x) MMSB_THREAD_ATTRIBUTE(pt_guarded_by(x))

// On a function: called only by who holds the lock, or by who does not.
#define MMSB_REQUIRES(...) \
  MMSB_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define MMSB_EXCLUDES(...) MMSB_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))

// On a function that takes a lock which another gives back.
#define MMSB_NO_THREAD_SAFETY_ANALYSIS \
  MMSB_THREAD_ATTRIBUTE(no_thread_safety_analysis)

// For lock types: what their functions do.
#define MMSB_LOCK_TYPE(x) MMSB_THREAD_ATTRIBUTE(capability(x))
#define MMSB_SCOPED_LOCK_TYPE MMSB_THREAD_ATTRIBUTE(scoped_lockable)
#define MMSB_ACQUIRE(...) MMSB_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define MMSB_RELEASE(...) MMSB_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define MMSB_TRY_ACQUIRE(...) \
  MMSB_THREAD_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))

#endif  // MMSB_PRIMITIVES_THREAD_ANNOTATIONS_H_
