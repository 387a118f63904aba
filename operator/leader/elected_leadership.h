#pragma once

#include "base/clock.h"
#include "operator/coordinator/leadership.h"
#include "operator/kube/runtime/leader_election.h"

namespace backfill::leader {

// Leadership by a Lease: valid for the renew deadline after the last successful renewal was sent
// (R38). Thread-safe, never blocks. The election outlives it.
class ElectedLeadership final : public coordinator::Leadership {
 public:
  explicit ElectedLeadership(const kube::LeaderElection& election) : election_(election) {}
  [[nodiscard]] bool Valid(Time now) const override { return election_.IsLeaderAt(now); }

 private:
  const kube::LeaderElection& election_;
};

}  // namespace backfill::leader
