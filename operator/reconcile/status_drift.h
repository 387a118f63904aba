#pragma once

#include "operator/api/backfill.h"

// Which changes of a status are worth a write of their own. Pure.
namespace backfill::reconcile {

// A status without what moves all the time: if this is equal, a write may wait for the status
// period.
api::Status Lasting(api::Status status);

// Nothing has come further, only the clock: a rate within 1 %, and what follows from it.
bool OnlyDrifts(const api::Status& before, const api::Status& after);

}  // namespace backfill::reconcile
