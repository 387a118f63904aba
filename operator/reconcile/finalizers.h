#pragma once

#include <string>

#include "base/result.h"
#include "operator/api/backfill.h"

namespace backfill::reconcile {

// What of an object's metadata the operator of a cluster writes. Above all it keeps a deleted
// Backfill for as long as its workers need to end (api::kDrainFinalizer). On one machine nothing is
// deleted under a runner, so there is none. Thread-safe; calls are bounded in time.
class Finalizers {
 public:
  virtual ~Finalizers() = default;

  // From the object as it was read. Success says that the stored one has another version now: read
  // it before anything else is written (R26). kConflict: it has changed meanwhile; read it again.
  // kNotFound: it is gone.
  virtual Status Add(const api::Backfill& backfill) = 0;
  // The same; that it is gone already is success (R25).
  virtual Status Remove(const api::Backfill& backfill) = 0;
  // Pauses it until a person resumes it, by api::kPausedAnnotation; as Add().
  virtual Status Pause(const api::Backfill& backfill, const std::string& reason) = 0;
};

}  // namespace backfill::reconcile
