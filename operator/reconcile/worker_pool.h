#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "operator/api/backfill.h"
#include "operator/reconcile/stage_host.h"

namespace backfill::reconcile {

// Why workers cannot be had, for the condition Ready: a reason of one word, and what is behind it.
struct PoolTrouble {
  std::string reason;  // QuotaExceeded, ImagePullError, Forbidden, NameConflict, ..
  std::string message;
  bool operator==(const PoolTrouble&) const = default;
};

// One elastic set of workers per stage: an Indexed Job on a cluster, processes on one machine.
struct PoolStatus {
  int desired = 0;
  int alive = 0;               // 0: nobody works, and nobody will unless Scale() is called again
  std::uint64_t failures = 0;  // workers that ended badly since the pool was made
  std::string last_failure;    // "run-0 exited with 127", "run-1 was killed by signal 9"
  bool config_error = false;   // exit code 78: what no retry can heal
  // What follows is of a cluster only.
  std::optional<PoolTrouble> trouble = std::nullopt;  // retried, on a schedule of its own
  bool replacing = false;  // its workers end, to begin anew from another template
  // Its namespace is being deleted: there will be no more workers, and those that end are kept from
  // going until Stop().
  bool namespace_goes = false;
  bool remains = false;  // nobody works, but a suspended Job is left, which Stop() takes away
};

// Thread-safe.
class WorkerPool {
 public:
  virtual ~WorkerPool() = default;

  // Makes the pool of that stage have `replicas` workers; the highest indexes go first (SIGTERM:
  // they drain). What else the workers are is the Backfill's: template, labels, the image of the
  // plan. Ended workers are started again with back-off, as the Job controller does. 0: nobody
  // works, but the pool stays, to be had again soon. Idempotent.
  // kInvalid: no worker can ever start here, with the reason.
  virtual Status Scale(const api::Backfill& backfill, Stage stage, int replicas) = 0;
  // Ends all workers: SIGTERM, then SIGKILL after the grace period. Returns at once; Observe()
  // tells when they are gone.
  virtual Status Stop(const StageKey& key) = 0;
  // Of that very object: what an earlier template of it did says nothing about this one.
  virtual PoolStatus Observe(const api::Backfill& backfill, Stage stage) = 0;
};

}  // namespace backfill::reconcile
