#pragma once

#include <cstddef>
#include <string_view>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/kube/client/api_object.h"
#include "operator/kube/runtime/expectations.h"
#include "operator/kube/runtime/own_writes.h"

namespace backfill::kube {

// Keeps a controller from deciding on a cache that is behind its own writes: OwnWrites and
// Expectations behind one lock (R21, R22). Reconcilers tell it what they do, through their context,
// and the caches' listeners what they see. Thread-safe.
class WriteGuard {
 public:
  struct Options {
    OwnWrites::Options writes = {};
    Expectations::Options expectations = {};
  };

  explicit WriteGuard(const Options& options)
      : look_again_(options.writes.latest),
        writes_(options.writes),
        expectations_(options.expectations) {}

  // ---- from reconcilers
  void OnWrite(const ObjectKey& key, const ObjectVersion& written, Time now) {
    MutexLock l(mu_);
    writes_.OnWrite(key, written, now);
  }
  void OnLiveRead(const ObjectKey& key, const ObjectVersion& read, Time now) {
    MutexLock l(mu_);
    writes_.OnLiveRead(key, read, now);
  }
  [[nodiscard]] bool MustReadLive(const ObjectKey& key) const {
    MutexLock l(mu_);
    return writes_.MustReadLive(key);
  }
  void Expect(const ObjectKey& key, const ExpectedChange& change, Time now) {
    MutexLock l(mu_);
    expectations_.Expect(key, change, now);
  }
  void Lower(const ExpectedChange& change) {
    MutexLock l(mu_);
    expectations_.Lower(change);
  }

  // ---- from the caches
  void OnAdded(std::string_view resource, const ObjectKey& object) {
    MutexLock l(mu_);
    expectations_.OnAdded(resource, object);
  }
  void OnDeleted(std::string_view resource, const ObjectKey& object, std::string_view uid) {
    MutexLock l(mu_);
    expectations_.OnDeleted(resource, object, uid);
  }
  // The object that is reconciled is gone, or is another one of the same name.
  void Forget(const ObjectKey& key) {
    MutexLock l(mu_);
    writes_.Forget(key);
    expectations_.Forget(key);
  }

  // ---- from the controller
  OwnWrites::Gate Check(const ObjectKey& key, const CacheView& caches, Time now);

 private:
  const Duration look_again_;
  mutable Mutex mu_;
  OwnWrites writes_ GUARDED_BY(mu_);
  Expectations expectations_ GUARDED_BY(mu_);
};

}  // namespace backfill::kube
