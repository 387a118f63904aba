#pragma once

#include <map>
#include <optional>

#include "operator/reconcile/stage_host.h"

namespace backfill::reconcile {

// What is seen of the open stages of one Backfill. A stage that cannot be looked at in time is as
// it was, with the error, and nothing ends by it: shown as if nothing were done yet, progress would
// fall back to zero for everybody who watches. Not thread-safe; the memory of one object.
class StageSight {
 public:
  // nullopt: it is not open.
  std::optional<StageSnapshot> Look(StageHost& stages, const StageKey& key);

 private:
  std::map<Stage, StageSnapshot> last_;  // of those that are open
};

}  // namespace backfill::reconcile
