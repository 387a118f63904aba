#include "operator/reconcile/throttle_groups.h"

#include "operator/throttle/grant_times.h"

namespace backfill::reconcile {

void ThrottleGroups::Begin(Time now) {
  MutexLock l(mu_);
  if (!began_) began_ = now;
}

void ThrottleGroups::Reset() {
  MutexLock l(mu_);
  began_.reset();
  groups_.clear();
  memberships_.clear();
}

Result<GroupAnswer> ThrottleGroups::Step(const std::string& ns, const std::string& group,
                                         const GroupReport& report, decision_log::DecisionSink* log,
                                         Time now, WallTime wall) {
  // No Backfill is called so: a colon is in no name.
  const std::string key = ns + "/group:" + group;
  MutexLock l(mu_);
  if (!began_) began_ = now;
  const auto membership = memberships_.find(report.uid);
  if (membership != memberships_.end() && membership->second != key) LeaveLocked(report.uid, now);
  std::erase_if(groups_,
                [&](const auto& entry) { return entry.first != key && entry.second.Empty(now); });
  auto it = groups_.find(key);
  if (it == groups_.end())
    it = groups_.try_emplace(key, key, log, throttle::kMostGrantTtl, *began_ + learning_).first;
  auto answer = it->second.Step(report, now, wall);
  if (answer.ok()) {
    memberships_[report.uid] = key;
  } else {
    memberships_.erase(report.uid);
  }
  return answer;
}

void ThrottleGroups::Leave(const std::string& uid, Time now) {
  MutexLock l(mu_);
  LeaveLocked(uid, now);
}

void ThrottleGroups::LeaveLocked(const std::string& uid, Time now) {
  const auto membership = memberships_.find(uid);
  if (membership == memberships_.end()) return;
  const auto group = groups_.find(membership->second);
  if (group != groups_.end()) {
    group->second.Leave(uid, now);
    if (group->second.Empty(now)) groups_.erase(group);
  }
  memberships_.erase(membership);
}

}  // namespace backfill::reconcile
