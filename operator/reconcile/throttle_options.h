#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "operator/api/backfill.h"
#include "operator/throttle/governor.h"
#include "operator/throttle/grant_times.h"
#include "operator/throttle/schedule.h"

// What spec.throttle and spec.schedule mean to the governor. Pure, but for the database of time
// zones.
namespace backfill::reconcile {

// Of a spec that says maxRecordsPerSecond. kInvalid: the governor would not take it.
Result<throttle::GovernorOptions> GovernorOptionsOf(const api::Throttle& spec);

// Over how long the value of a budget is a mean, as far as its file tells; else 60 s.
Duration BudgetWindow(const api::Budget& budget);

// How many times slower than usual the target may get before workers send less by themselves; 0:
// they do not look at it.
double LatencyHeadroomOf(const api::WorkerThrottle& spec);

throttle::GrantTimes GrantTimesOf(const api::GrantTimes& spec);

// kInvalid: there is no such zone; kUnavailable: no zone can be read. `uid` as for Schedule.
Result<throttle::Schedule> ScheduleOf(const api::Schedule& spec, const std::string& uid);

// What people have set by hand, as far as it is in force: of the file and of the annotation the
// lower one.
struct HandRate {
  std::optional<double> cap;
  std::optional<throttle::Pin> pin;
  std::string reason;  // "Cap 50/s until 2026-10-01T18:00:00Z: incident 4711"; empty: there is none
  std::string trouble;  // what of it is not understood, or not in force
  // Of a Pin with breakGlass: its `until`, if it is in force, or is refused.
  std::string glass_broken_until = {}, glass_refused_until = {};
};
// Which Pins with breakGlass are refused.
struct GlassRules {
  bool asked = false;              // whoever writes one was asked for the right to
  std::string refused_until = {};  // one with this end was refused once, and stays so
};
HandRate HandRateOf(const api::Backfill& backfill, WallTime now, const GlassRules& glass = {});

}  // namespace backfill::reconcile
