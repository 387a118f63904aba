#pragma once

#include <optional>
#include <vector>

#include "base/clock.h"
#include "operator/throttle/budget.h"
#include "operator/throttle/observation.h"

namespace backfill::throttle {

// What must not wait for the next tick: a new sample over its budget, so that a cut or a hold acts
// within a second of it and not of the tick. Rings once for each such sample; one that went down
// again rings for nothing, since raises wait for ticks. Pure, not thread-safe.
class Alarm {
 public:
  // `observations` in the order of the budgets. Those that are only watched do not count.
  bool Rings(const std::vector<Budget>& budgets, const std::vector<Observation>& observations);

 private:
  std::vector<std::optional<Time>> heard_;  // the sample of each budget that last rang
};

}  // namespace backfill::throttle
