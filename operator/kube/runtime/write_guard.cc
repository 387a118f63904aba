#include "operator/kube/runtime/write_guard.h"

namespace backfill::kube {

OwnWrites::Gate WriteGuard::Check(const ObjectKey& key, const CacheView& caches, Time now) {
  // CacheView takes the caches' locks under this one: no cache calls us while it holds its own.
  MutexLock l(mu_);
  OwnWrites::Gate gate = writes_.Check(key, caches, now);
  if (gate.open && !expectations_.Fulfilled(key, now)) {
    gate.open = false;
    gate.look_again = look_again_;  // the change itself adds the key sooner
  }
  return gate;
}

}  // namespace backfill::kube
