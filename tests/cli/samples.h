#pragma once

#include <string>

#include "base/clock.h"
#include "operator/api/backfill.h"

namespace backfill::cli {

// 2026-05-01T12:00:00Z, at which the samples are looked at.
WallTime Noon();

// A backfill as the store has it at 48.1 % of a real run, in every phase.
api::Backfill SampleIn(api::Phase phase);

void SetCondition(api::Backfill& backfill, const std::string& type, api::ConditionStatus status,
                  const std::string& reason, const std::string& message = "");

}  // namespace backfill::cli
