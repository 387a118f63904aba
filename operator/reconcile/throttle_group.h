#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "operator/decision_log/decision_log.h"
#include "operator/reconcile/throttle_options.h"
#include "operator/throttle/alarm.h"
#include "operator/throttle/group_share.h"
#include "operator/throttle/group_union.h"

namespace backfill::reconcile {

// What a member of a group knows at one of its steps.
struct GroupReport {
  std::string uid;
  std::string name;     // for people
  std::string created;  // RFC 3339; of equal ones the uid decides who is older
  throttle::MemberOptions of_spec;
  std::vector<throttle::Observation> observations;  // in the order of its budgets
  // `limit` is that of its spec and its schedule.
  throttle::GroupMember member;
  bool paused = false;        // by people
  bool blackout = false;      // by its schedule
  bool scheduled = false;     // the schedule makes the limit
  bool target_holds = false;  // its workers hold back by what they see of the target
  HandRate hand;
  // What another operator has left in its status; of interest at its first step.
  std::optional<throttle::SavedGovernor> saved;
};

// What comes of it for that member.
struct GroupAnswer {
  // Of the group, but for what is the member's own: rate, limit, state and what limits it.
  throttle::Decision decision;
  std::uint64_t decided = 0;  // rises with each decision of the group
  double group_rate = 0;
  throttle::GovernorOptions options;  // the group's
  throttle::SavedGovernor saved;      // likewise
  std::size_t others = 0;
  std::string hand;  // what other members have set by hand, and until when
  // Names of other members that send and have just been left less: they should be looked at now.
  std::vector<std::string> lowered;
};

// The Backfills of a namespace with one spec.throttle.group.name: one governor, whose rate they
// share by weight. Stepped by whichever member comes first when it is due, or when what people, the
// schedule or a metric say has changed. Not thread-safe; the time is an argument. No I/O but into
// the log.
class ThrottleGroup {
 public:
  // `name` tells it apart in the log, which must outlive it; null: nobody is told.
  ThrottleGroup(std::string name, decision_log::DecisionSink* log, Duration longest_grant,
                Time learns_until);

  // kInvalid: the group has no room for its budgets; it is no member then.
  Result<GroupAnswer> Step(const GroupReport& report, Time now, WallTime wall);
  // It sends nothing any more, or by a rate of its own.
  void Leave(const std::string& uid, Time now);
  [[nodiscard]] bool Empty(Time now) const { return share_.Empty(now); }

 private:
  // A change of it is acted on at once.
  struct Asked {
    bool paused = false;
    bool blackout = false;
    std::optional<double> limit, cap;
    std::optional<throttle::Pin> pin;
    std::optional<double> reported;
    bool operator==(const Asked&) const = default;
  };

  [[nodiscard]] std::vector<const GroupReport*> ByAge() const;
  Status Unite(const GroupReport& report);
  void Govern(const GroupReport& report, bool joins, Time now, WallTime wall);
  [[nodiscard]] Asked WhatIsAsked(Time now) const;
  [[nodiscard]] std::vector<throttle::Observation> Observations() const;
  // Whether the rate is lower now.
  bool Decide(Time now, WallTime wall);
  [[nodiscard]] throttle::Decision DecisionFor(const GroupReport& report, double rate,
                                               Time now) const;

  const std::string name_;
  decision_log::DecisionSink* const log_;
  std::map<std::string, GroupReport> members_;  // by uid
  throttle::GroupShare share_;
  std::vector<std::string> order_;  // uids of the members that the origins speak of
  throttle::GroupUnion union_;
  std::optional<decision_log::LoggedGovernor> governor_;
  std::optional<throttle::Decision> decision_;  // the last one
  Asked asked_;                                 // at that time
  std::uint64_t decided_ = 0;
  double rate_ = 0;  // likewise
  throttle::Alarm alarm_;
};

}  // namespace backfill::reconcile
