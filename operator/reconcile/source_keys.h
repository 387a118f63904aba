#pragma once

#include <functional>
#include <vector>

#include "base/result.h"
#include "operator/api/backfill.h"
#include "operator/kube/object_store.h"
#include "operator/ledger/failure_log.h"
#include "operator/reconcile/stage_host.h"

namespace backfill::reconcile {

// The failed records of a stage that stand, as StageHost::ReadFailures().
using FailureReader = std::function<Result<std::vector<ledger::FailedRecord>>(const StageKey& key)>;

// What a spec means at the moment: with failuresOf, the same spec with the keys of the records that
// failed, in the order of the other's plan; else itself. The other has ended, so its failures stay
// what they are, and the result is the same each time; it does not depend on what may change once
// planned. Errors: kInvalid: no such Backfill, one that has not ended, too many records; those of
// the store.
Result<api::Spec> ResolveSource(const api::Backfill& backfill, kube::ObjectStore& store,
                                const FailureReader& read);

}  // namespace backfill::reconcile
