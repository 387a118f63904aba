#include "operator/reconcile/stage_sight.h"

namespace backfill::reconcile {

std::optional<StageSnapshot> StageSight::Look(StageHost& stages, const StageKey& key) {
  std::optional<StageSnapshot> open = stages.Snapshot(key);
  if (!open) {
    last_.erase(key.stage);
    return open;
  }
  if (!open->error || open->error->code != ErrorCode::kDeadline) {
    last_[key.stage] = *open;
    return open;
  }
  const auto last = last_.find(key.stage);
  if (last == last_.end()) return open;
  StageSnapshot as_it_was = last->second;
  as_it_was.error = open->error;
  as_it_was.flushed = false;
  return as_it_was;
}

}  // namespace backfill::reconcile
