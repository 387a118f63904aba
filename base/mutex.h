#pragma once

#include <mutex>

// Thread-safety annotations, checked by clang (-Wthread-safety), nothing for g++.
#if defined(__clang__)
#define BACKFILL_TSA(x) __attribute__((x))
#else
#define BACKFILL_TSA(x)
#endif
#define GUARDED_BY(mu) BACKFILL_TSA(guarded_by(mu))
#define REQUIRES(mu) BACKFILL_TSA(requires_capability(mu))

namespace backfill {

// std::mutex with annotations. The lowercase names let std::condition_variable_any take it.
class BACKFILL_TSA(capability("mutex")) Mutex {
 public:
  void lock() BACKFILL_TSA(acquire_capability()) { mu_.lock(); }
  void unlock() BACKFILL_TSA(release_capability()) { mu_.unlock(); }

 private:
  std::mutex mu_;
};

class BACKFILL_TSA(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mu) BACKFILL_TSA(acquire_capability(mu)) : mu_(mu) { mu_.lock(); }
  ~MutexLock() BACKFILL_TSA(release_capability()) { mu_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mu_;
};

}  // namespace backfill
