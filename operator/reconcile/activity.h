#pragma once

#include <string>

#include "operator/reconcile/decide.h"

// What an open stage is slowed down by, in words. Pure.
namespace backfill::reconcile {

// Why it may be slower than it could be, or "". The worst comes first, since a message is cut.
std::string WhatItWaitsFor(const ObservedStage& stage, bool paused);

// What the rate is limited by: Max, TargetLatency, TargetUnreachable or Workers.
std::string WhatLimits(const ObservedStage& stage, const LiveSettings& settings);

}  // namespace backfill::reconcile
