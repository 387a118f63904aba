#pragma once

#include "base/clock.h"
#include "operator/api/backfill.h"
#include "operator/reconcile/stage_host.h"
#include "rows/extent.h"

namespace backfill::v1 {
class Workload;
}

namespace backfill::coordinator {

// What the workers of a stage are told to do. In a dry run the target is carried as a sample only,
// so that a worker has nothing to build a write from; in planning there is none. `shape`: of a file
// source, as it was planned.
v1::Workload MakeWorkload(const api::Backfill& backfill, reconcile::Stage stage,
                          const rows::FileShape* shape = nullptr);

}  // namespace backfill::coordinator
