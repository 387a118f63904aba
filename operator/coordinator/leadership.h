#pragma once

#include "base/clock.h"

namespace backfill::coordinator {

// Whether this process may speak as the leader. Asked right before anything leaves it: a leader
// that was stopped and wakes up late must stay silent. Thread-safe.
class Leadership {
 public:
  virtual ~Leadership() = default;
  // `now` is on the steady clock. Counted from before the last successful renewal was sent.
  [[nodiscard]] virtual bool Valid(Time now) const = 0;
};

// On one machine a file lock, held for the life of the process, keeps a second leader out.
class SoleLeader final : public Leadership {
 public:
  [[nodiscard]] bool Valid(Time /*now*/) const override { return true; }
};

}  // namespace backfill::coordinator
