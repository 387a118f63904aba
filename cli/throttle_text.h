#pragma once

#include <string>

#include "base/clock.h"
#include "operator/api/backfill.h"

// Why a backfill is not faster, for people. Pure.
namespace backfill::cli {

// "Limited for 3 min: p99 0.31 over 0.25"; empty: nothing limits it but its maximum.
std::string ThrottleText(const api::Status& status, WallTime now);

// "Limited by p99 at 124 % for 3 min"; empty: only its maximum, or nothing, does. For one line.
std::string ThrottleSummary(const api::Status& status, WallTime now);

// "p99: 0.31, 124 % of it, Fresh, 8 s old"
std::string BudgetText(const api::BudgetStatus& budget);

}  // namespace backfill::cli
