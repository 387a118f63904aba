#include "operator/reconcile/stage_host.h"

namespace backfill::reconcile {

std::string_view ToString(Stage stage) {
  switch (stage) {
    case Stage::kDryRun:
      return "dry-run";
    case Stage::kRun:
      return "run";
  }
  return "run";
}

}  // namespace backfill::reconcile
