#include "operator/reconcile/stage_host.h"

namespace backfill::reconcile {

std::string_view ToString(Stage stage) {
  switch (stage) {
    case Stage::kPlan:
      return "plan";
    case Stage::kDryRun:
      return "dry-run";
    case Stage::kRun:
      return "run";
  }
  return "run";
}

StageKey KeyOf(const api::Backfill& backfill, Stage stage) {
  return {backfill.ns, backfill.name, backfill.uid, stage};
}

}  // namespace backfill::reconcile
