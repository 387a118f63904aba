#pragma once

#include <string>

#include "base/clock.h"
#include "operator/api/throttle.h"
#include "operator/observe/query.h"

// What budgets ask, as operator/observe understands it. Pure.
namespace backfill::reconcile {

// The question that a budget asks. `uid` is that of its Backfill, whose workers are meant by
// `workers`.
observe::Query QueryOf(const api::Budget& budget, const std::string& uid);
// How often.
Duration IntervalOf(const api::Budget& budget);

}  // namespace backfill::reconcile
