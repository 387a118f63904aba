#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "operator/reconcile/throttle_group.h"

namespace backfill::reconcile {

// The groups of all Backfills that one operator leads; a group ends with its last member.
// Thread-safe.
class ThrottleGroups {
 public:
  // `learning`: so long after Begin() workers may have grants of an earlier leader. 0: there is no
  // such leader.
  explicit ThrottleGroups(Duration learning) : learning_(learning) {}

  // This operator leads. Not the first call: nothing.
  void Begin(Time now);
  // It does not any more: all is forgotten.
  void Reset();

  // `group` is a name within `ns`. One that is in another group leaves that. As of
  // ThrottleGroup::Step().
  Result<GroupAnswer> Step(const std::string& ns, const std::string& group,
                           const GroupReport& report, decision_log::DecisionSink* log, Time now,
                           WallTime wall);
  // One that is in no group: nothing.
  void Leave(const std::string& uid, Time now);

 private:
  void LeaveLocked(const std::string& uid, Time now) REQUIRES(mu_);

  const Duration learning_;
  // Held over a decision and its line in the log, which is put into a queue: the lines of a group
  // have to stand in the order of its decisions.
  Mutex mu_;
  std::optional<Time> began_ GUARDED_BY(mu_);
  std::map<std::string, ThrottleGroup> groups_ GUARDED_BY(mu_);     // by NAMESPACE/group:NAME
  std::map<std::string, std::string> memberships_ GUARDED_BY(mu_);  // groups by uid
};

}  // namespace backfill::reconcile
