#include "operator/reconcile/throttle_group.h"

#include <algorithm>
#include <cstddef>
#include <tuple>
#include <utility>

namespace backfill::reconcile {
namespace {

// Bytes of what others have set by hand: a status shows no more.
constexpr std::size_t kEnoughText = 160;

bool IsActive(const GroupReport& report) { return !report.paused && !report.blackout; }

void LowerTo(std::optional<double>& rate, const std::optional<double>& to) {
  if (to) rate = std::min(rate.value_or(*to), *to);
}

}  // namespace

ThrottleGroup::ThrottleGroup(std::string name, decision_log::DecisionSink* log,
                             Duration longest_grant, Time learns_until)
    : name_(std::move(name)), log_(log), share_(longest_grant) {
  share_.LearnUntil(learns_until);
}

std::vector<const GroupReport*> ThrottleGroup::ByAge() const {
  std::vector<const GroupReport*> members;
  for (const auto& [uid, report] : members_) members.push_back(&report);
  std::ranges::sort(members, {}, [](const GroupReport* m) { return std::tie(m->created, m->uid); });
  return members;
}

// What all members mean together, that one included.
Status ThrottleGroup::Unite(const GroupReport& report) {
  std::vector<const throttle::MemberOptions*> options;
  order_.clear();
  for (const GroupReport* member : ByAge()) {
    options.push_back(&member->of_spec);
    order_.push_back(member->uid);
  }
  union_ = throttle::UnionOf(options);
  const auto place = std::ranges::find(order_, report.uid) - order_.begin();
  if (union_.refused[static_cast<std::size_t>(place)])
    return Error{ErrorCode::kInvalid,
                 "spec.throttle.group: its budgets and those of older members of the group are "
                 "more than " +
                     std::to_string(throttle::kMaxBudgets)};
  return Ok{};
}

// A governor for what the members mean now.
void ThrottleGroup::Govern(const GroupReport& report, bool joins, Time now, WallTime wall) {
  // Of a group that goes on under another operator each member knows a rate, of another moment.
  const bool recalls = joins && report.saved && (!governor_ || share_.Learns(now));
  if (recalls) {
    const throttle::SavedGovernor saved =
        governor_ ? throttle::MostCareful(governor_->governor().Save(now, wall), *report.saved)
                  : *report.saved;
    governor_.emplace(name_, throttle::Governor::Restore(union_.options, saved, now, wall), log_);
    decision_.reset();
  } else if (!governor_) {
    governor_.emplace(name_, throttle::Governor(union_.options), log_);
  } else if (governor_->governor().options() != union_.options) {
    governor_->Reconfigure(union_.options);
    decision_.reset();
  }
}

ThrottleGroup::Asked ThrottleGroup::WhatIsAsked(Time now) const {
  Asked asked;
  double limit = 0;
  bool active = false;
  bool all_paused = true;
  for (const auto& [uid, report] : members_) {
    if (IsActive(report)) limit += report.member.limit;
    active = active || IsActive(report);
    all_paused = all_paused && report.paused;
    LowerTo(asked.cap, report.hand.cap);
    if (report.hand.pin &&
        (!asked.pin || report.hand.pin->records_per_second < asked.pin->records_per_second))
      asked.pin = report.hand.pin;
  }
  asked.paused = all_paused;
  asked.blackout = !active && !all_paused;
  if (active && limit < union_.options.max_records_per_second) asked.limit = limit;
  if (share_.Learns(now)) asked.reported = share_.Reported();
  return asked;
}

// Of those who ask the same, what was measured last.
std::vector<throttle::Observation> ThrottleGroup::Observations() const {
  std::vector<throttle::Observation> latest(union_.origins.size());
  for (std::size_t i = 0; i < latest.size(); ++i) {
    for (const throttle::BudgetOrigin& origin : union_.origins[i]) {
      const auto& said = members_.at(order_[origin.member]).observations;
      if (origin.budget >= said.size()) continue;
      const throttle::Observation& one = said[origin.budget];
      const bool unasked = latest[i] == throttle::Observation{};
      if (unasked || one.time > latest[i].time) latest[i] = one;
    }
  }
  return latest;
}

bool ThrottleGroup::Decide(Time now, WallTime wall) {
  throttle::Inputs in;
  in.observations = Observations();
  const Asked asked = WhatIsAsked(now);
  // While nothing is sent there is nothing to lower.
  const bool alarmed =
      alarm_.Rings(union_.options.budgets, in.observations) && decision_ && decision_->rate > 0;
  if (decision_ && asked == asked_ && !alarmed && now < decision_->next) return false;
  for (const auto& [uid, report] : members_) {
    if (!report.member.open) continue;
    in.sent += report.member.sent;
    if (!IsActive(report)) continue;
    in.records_wait = in.records_wait || report.member.waits;
    in.inner_cut = in.inner_cut || report.target_holds;
  }
  in.paused = asked.paused;
  in.blackout = asked.blackout;
  in.window_limit = asked.limit;
  in.cap = asked.cap;
  in.pin = asked.pin;
  in.reported = asked.reported;
  decision_ = governor_->Step(in, now, wall);
  asked_ = asked;
  ++decided_;
  share_.SetRate(decision_->rate);
  const double before = std::exchange(rate_, decision_->rate);
  return rate_ < before;
}

throttle::Decision ThrottleGroup::DecisionFor(const GroupReport& report, double rate,
                                              Time now) const {
  using enum throttle::LimitedBy;
  throttle::Decision decision = *decision_;
  decision.rate = rate;
  decision.limit = report.member.limit;
  if (report.paused) {
    decision.state = throttle::GovernorState::kPaused;
    decision.limited_by = kPause;
    decision.ask_for_pause = false;
  } else if (report.blackout) {
    decision.state = throttle::GovernorState::kBlackout;
    decision.limited_by = kSchedule;
  } else if (decision_->rate <= 0) {
    // Whatever holds the group holds each of them.
  } else if (rate >= report.member.limit * (1 - 1e-6)) {
    decision.limited_by = report.scheduled ? kSchedule : kMax;
  } else if (const auto by = decision_->limited_by;
             share_.Learns(now) || by == kMax || by == kSchedule || by == kWorkers ||
             (by == kTargetLatency && !report.target_holds)) {
    // It is about the others; what this one may have is what they leave.
    decision.limited_by = kGroup;
  }
  return decision;
}

Result<GroupAnswer> ThrottleGroup::Step(const GroupReport& report, Time now, WallTime wall) {
  const auto known = members_.find(report.uid);
  const bool joins = known == members_.end();
  const bool unites =
      joins || known->second.of_spec != report.of_spec || known->second.created != report.created;
  members_[report.uid] = report;
  if (unites) {
    const Status united = Unite(report);
    if (!united.ok()) {
      Leave(report.uid, now);
      return united.error();
    }
  }
  Govern(report, joins, now, wall);
  throttle::GroupMember member = report.member;
  if (!IsActive(report)) member.limit = 0;
  share_.Update(report.uid, member, now);
  const bool lowered = Decide(now, wall);
  GroupAnswer answer;
  answer.decision = DecisionFor(report, share_.Allow(report.uid, now), now);
  answer.decided = decided_;
  answer.group_rate = decision_->rate;
  answer.options = union_.options;
  answer.saved = governor_->governor().Save(now, wall);
  answer.others = members_.size() - 1;
  for (const auto& [uid, other] : members_) {
    if (lowered && uid != report.uid && other.member.open) answer.lowered.push_back(other.name);
  }
  for (const GroupReport* other : ByAge()) {
    if (other->uid == report.uid || other->hand.reason.empty()) continue;
    if (answer.hand.size() > kEnoughText) break;
    answer.hand += (answer.hand.empty() ? "" : "; ") + other->name + ": " + other->hand.reason;
  }
  return answer;
}

void ThrottleGroup::Leave(const std::string& uid, Time now) {
  if (members_.erase(uid) == 0) return;
  share_.Leave(uid, now);
  if (members_.empty()) return;
  // Its budgets go with it.
  (void)Unite(*ByAge().front());
  if (governor_ && governor_->governor().options() != union_.options) {
    governor_->Reconfigure(union_.options);
    decision_.reset();
  }
}

}  // namespace backfill::reconcile
