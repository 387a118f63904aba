#include "operator/throttle/governor_options.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace backfill::throttle {
namespace {

constexpr double kInitialShare = 0.01;
constexpr double kLeastProbe = 1;  // records/s
constexpr Duration kDay = std::chrono::hours(24);

bool Between(Duration d, Duration least, Duration most) { return d >= least && d <= most; }

std::string ValidateHold(const HoldOptions& hold) {
  if (hold.confirmations < 1 || hold.confirmations > 100)
    return "hold.confirmations must be 1 to 100";
  if (hold.good_samples < 1 || hold.good_samples > 100) return "hold.goodSamples must be 1 to 100";
  if (!Between(hold.duration, 1s, kDay)) return "hold.duration must be 1s to 24h";
  if (!Between(hold.max_duration, hold.duration, kDay))
    return "hold.maxDuration must be hold.duration to 24h";
  if (!(hold.resume_factor > 0 && hold.resume_factor <= 1))
    return "hold.resumeFactor must be more than 0 and at most 1";
  if (hold.pause_after < 0 || hold.pause_after > 1000) return "hold.pauseAfter must be 0 to 1000";
  return "";
}

std::string ValidateBudgets(const std::vector<Budget>& budgets) {
  if (budgets.size() > kMaxBudgets) return "there are more than 16 budgets";
  std::set<std::string_view> names;
  for (const Budget& budget : budgets) {
    if (const std::string problem = budget.Validate(); !problem.empty())
      return "budget " + budget.name + ": " + problem;
    if (!names.insert(budget.name).second) return "two budgets are called " + budget.name;
  }
  return "";
}

}  // namespace

std::string GovernorOptions::Validate() const {
  if (!(max_records_per_second > 0 && max_records_per_second <= kMostRecordsPerSecond))
    return "maxRecordsPerSecond must be more than 0 and at most 10000000";
  if (!(floor >= 0 && floor <= max_records_per_second))
    return "minRecordsPerSecond must be 0 to maxRecordsPerSecond";
  if (initial && !(*initial >= floor && *initial <= max_records_per_second))
    return "initialRecordsPerSecond must be minRecordsPerSecond to maxRecordsPerSecond";
  if (const std::string problem = ValidateBudgets(budgets); !problem.empty()) return problem;
  if (const std::string problem = ValidateHold(hold); !problem.empty()) return problem;
  if (!Between(missing.land_every, 1s, kDay)) return "missing.landEvery must be 1s to 24h";
  if (!Between(missing.after, 0s, kDay)) return "missing.after must be 0s to 24h";
  if (dead_time && !Between(*dead_time, 1s, kDay)) return "deadTime must be 1s to 24h";
  if (!Between(grant_refresh, 0s, 1min)) return "grants.refresh must be 0s to 1m";
  if (!Between(tick, 1s, 1min)) return "a tick must be 1s to 1m";
  return "";
}

Duration DeadTime(const GovernorOptions& options) {
  Duration lag = Duration::zero();
  for (const Budget& budget : options.budgets) {
    if (budget.enforce) lag = std::max(lag, Lag(budget.timing));
  }
  // A decision cannot be judged before the next one.
  return std::max(options.dead_time.value_or(lag + options.grant_refresh), options.tick);
}

double InitialRate(const GovernorOptions& options) {
  const double usual = std::max(options.floor, kInitialShare * options.max_records_per_second);
  return std::min(options.initial.value_or(usual), options.max_records_per_second);
}

double ProbeRate(const GovernorOptions& options) { return std::max(options.floor, kLeastProbe); }

}  // namespace backfill::throttle
