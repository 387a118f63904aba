#pragma once

#include <vector>

#include "backfill/v1/coordinator.pb.h"
#include "base/result.h"
#include "operator/plan/plan.h"
#include "rows/extent.h"

// Between the wire and the types of `plan`, for what a worker of the stage `plan` says. Pure. What
// comes in is bounded here where the protocol names a bound; what it means, plan::FoundSourceIntake
// judges.
namespace backfill::coordinator {

inline constexpr int kMaxPlanPart = 5'000;          // shards
inline constexpr std::size_t kMaxPlanText = 1'024;  // bytes of a sample or a reason

// kInvalid: too many.
Result<std::vector<rows::Extent>> ToExtents(const v1::PlanPart& part);
// kInvalid: too long.
Result<plan::FileFacts> ToFacts(const v1::PlanEnd& end);
// kInvalid or kUnavailable, as the worker says.
Error ToError(const v1::PlanFailure& failure);

}  // namespace backfill::coordinator
