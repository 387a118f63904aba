#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "operator/api/backfill.h"
#include "operator/decision_log/decision_log.h"
#include "operator/reconcile/partition_throttling.h"
#include "operator/reconcile/stage_host.h"
#include "operator/reconcile/throttle_groups.h"
#include "operator/reconcile/throttle_options.h"
#include "operator/reconcile/throttle_view.h"
#include "operator/reconcile/throttle_watcher.h"
#include "operator/throttle/alarm.h"
#include "operator/throttle/governor.h"

namespace backfill::reconcile {

// The governor of one Backfill: made from its spec, fed with what is observed, stepped when it is
// due, when people or the schedule change something, or a new sample is over budget, and shown. Or,
// where the spec names a group, what the governor of that group leaves for this member. Goes on
// from status.throttle under another operator. Not thread-safe; the time is an argument. No I/O but
// into the log.
class Throttling {
 public:
  struct Seen {
    const api::Backfill& backfill;
    const StageSnapshot* open = nullptr;  // null: no stage is open
    bool begun = false;                   // some record has an outcome already
    bool paused = false;                  // by people
    bool asked_for_glass = false;         // as GlassRules::asked
    // Of the budgets, in their order.
    std::vector<throttle::Observation> observations;
    // Likewise, of those for each partition of the target.
    PartitionThrottling::Answers partitions = {};
    // Gets every decision. Must outlive this; the same with each call. Null: nobody.
    decision_log::DecisionSink* log = nullptr;
    ThrottleWatcher* watcher = nullptr;  // likewise
    ThrottleGroups* groups = nullptr;    // likewise; null: each has a governor of its own
    LookNow look_now = nullptr;          // as of ReconcilerOptions
  };

  // Of a spec that says maxRecordsPerSecond. kInvalid, kUnavailable: as of throttle_options.h; then
  // nothing may be sent.
  Result<ThrottleView> Step(const Seen& seen, Time now, WallTime wall);

  // What it did, for the report, since the last ForgetChanges(): whenever the state or what limits
  // the rate is another one.
  [[nodiscard]] const std::vector<api::ThrottleChange>& changes() const { return changes_; }
  void ForgetChanges() { changes_.clear(); }

 private:
  // What people and the clock on the wall say; a change of it is acted on at once.
  struct Asked {
    bool paused = false;
    bool blackout = false;
    std::optional<double> window_limit, cap;
    std::optional<throttle::Pin> pin;
    std::optional<double> reported;
    bool operator==(const Asked&) const = default;
  };

  throttle::Decision Decide(throttle::Inputs in, const Seen& seen, Time now, WallTime wall);
  Status Configure(const Seen& seen, Time now, WallTime wall);
  // Of its own.
  void Govern(const Seen& seen, const Asked& asked, std::optional<Duration> closes_in, Time now,
              WallTime wall);
  Status GovernInGroup(const Seen& seen, const Asked& asked, std::optional<Duration> closes_in,
                       const HandRate& hand, Time now, WallTime wall);
  [[nodiscard]] GroupReport ReportFor(const Seen& seen, const Asked& asked,
                                      const HandRate& hand) const;
  void ConfigurePartitions(const Seen& seen);
  // Of the group it goes on alone, or the other way round.
  void ChangeSides(const Seen& seen, Time now, WallTime wall);
  [[nodiscard]] bool InGroup(const Seen& seen) const {
    return seen.groups != nullptr && spec_->group.has_value();
  }
  // Of whoever decides.
  [[nodiscard]] const throttle::GovernorOptions& Options() const {
    return group_ ? group_->options : own_;
  }
  [[nodiscard]] throttle::SavedGovernor Saved(Time now, WallTime wall) const {
    return group_ ? group_->saved : governor_->governor().Save(now, wall);
  }
  [[nodiscard]] std::string GroupText() const;
  void NoteState(const Seen& seen, WallTime wall);
  // Before the first record: what is required and has no value, with its query.
  void Preflight(const Seen& seen, Time now, ThrottleView& view) const;
  std::optional<double> Reported(const Seen& seen);
  [[nodiscard]] bool Shown() const;
  void NoteChange(const std::string& reason, WallTime wall);
  [[nodiscard]] api::ThrottleStatus StatusOf(const throttle::Decision& decision,
                                             const std::string& reason, Time now,
                                             WallTime wall) const;

  std::optional<api::Throttle> spec_;
  std::optional<api::Schedule> schedule_spec_;
  std::optional<throttle::Schedule> schedule_;
  throttle::GovernorOptions own_;  // of its spec, with all budgets
  std::optional<decision_log::LoggedGovernor>
      governor_;  // its own, of the whole target; unset in a group
  std::unique_ptr<PartitionThrottling> partitions_;           // where the target has some
  std::optional<PartitionThrottling::Outcome> by_partition_;  // with decision_
  std::optional<GroupAnswer> group_;                          // the last one
  std::optional<throttle::SavedGovernor> recalled_;           // until a group knows it
  // Another operator was before: what workers still have of its grants is not known yet.
  bool takes_over_ = false;
  std::optional<throttle::Decision> decision_;  // the last one, of all together
  throttle::Alarm alarm_;
  Asked asked_;        // at that time
  std::string state_;  // likewise, and since when
  WallTime since_;
  std::vector<api::ThrottleChange> changes_;
  std::string noted_;                                     // the last of them
  bool overridden_ = false;                               // an override was in force once
  std::string glass_broken_until_, glass_refused_until_;  // as in the status
};

}  // namespace backfill::reconcile
