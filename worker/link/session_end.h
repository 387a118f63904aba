#pragma once

namespace backfill::worker {

// Why a worker ends.
enum class SessionEnd {
  kNoMoreWork,   // the stage is done
  kDrained,      // asked to stop; what was held is given back, or the grace is over
  kBadWorkload,  // what no retry can heal
  kRefused,      // the coordinator does not accept its identity
  kOutOfStep,    // the coordinator speaks another protocol or changed the workload: start again
};

}  // namespace backfill::worker
