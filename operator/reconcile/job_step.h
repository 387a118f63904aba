#pragma once

#include <string>

#include "operator/kube/cache/kinds.h"

namespace backfill::reconcile {

// What one Job of a stage should be.
struct WantedJob {
  std::string backfill;  // its owner's name
  std::string backfill_uid;
  int replicas = 0;     // 0: nobody works
  bool needed = true;   // false: the workers that there are fit into fewer Jobs
  bool queued = false;  // Kueue starts and stops it
  std::string template_hash = {};
  std::string reconcile_at = {};  // a new value means: try anew at once
};

// What to do about one Job next, from what is there. Where it says so, the step after the next one
// depends on what has come of it.
struct JobStep {
  enum class Kind {
    kNothing,
    kCreate,
    kPatch,     // with `patch`, a merge patch with the version that was looked at (R25, R28)
    kDelete,    // its workers drain; it is made again once it is gone
    kAwait,     // it is on its way out
    kConflict,  // the name belongs to something else, which is never adopted (R23)
  };
  Kind kind = Kind::kNothing;
  std::string patch = {};
  std::string why = {};  // kDelete, kAwait, kConflict
  bool operator==(const JobStep&) const = default;
};

// Level-based (R20), pure. `seen`: null if there is none.
//
// Elastic (KEP-3715): completions and parallelism move together, and never to 0: such a Job is
// Complete for ever; it is suspended instead. Pods of a Job cannot change, so another template
// means another Job. One that has ended while workers are wanted is made again: the ledger decides
// what is left to do, not the Job.
JobStep NextStep(const kube::Job* seen, const WantedJob& wanted);

// Whether the Job belongs to the Backfill of that uid.
bool IsOwnedBy(const kube::Job& job, const std::string& backfill_uid);

// The Job was made for what is wanted now: its ends say something about it.
bool IsMadeFor(const kube::Job& job, const WantedJob& wanted);

// A worker has said that no retry can heal it (exit code 78).
bool HasConfigError(const kube::Job& job);

}  // namespace backfill::reconcile
