#pragma once

#include <optional>
#include <stop_token>

#include "base/clock.h"
#include "base/result.h"
#include "cli/ending.h"
#include "cli/operator.h"
#include "cli/progress_display.h"
#include "operator/api/backfill.h"

namespace backfill::cli {

struct RunOutcome {
  std::optional<Ending> ending;           // nullopt: stopped on request, or `error`
  std::optional<Error> error;             // it cannot go on for a reason that no status tells
  std::optional<api::Backfill> backfill;  // as last seen
};

// Steps the operator until the backfill has ended, needs a person, or a stop is requested. Paused
// meanwhile it waits to be resumed; paused from the beginning it ends as soon as that is in the
// status. What fails for a while (a full disk) is shown and tried again. Blocks; leaves the
// operator as it is: Release() is the caller's.
RunOutcome RunToItsEnd(Operator& op, kube::ObjectStore& store, const kube::ObjectRef& ref,
                       ProgressDisplay& display, const Clock& clock, std::stop_token stop);

}  // namespace backfill::cli
