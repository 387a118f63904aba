#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "operator/throttle/budget.h"

namespace backfill::throttle {

inline constexpr double kMostRecordsPerSecond = 10'000'000;

enum class Mode {
  kEnforce,
  kObserve,  // all is computed and shown; only limits, schedule and override act
};
// What to do at the floor when the target stays over budget: it is not the backfill.
enum class AtFloor { kYield, kKeep };
enum class OnCritical { kHold, kPause };

struct HoldOptions {
  OnCritical on_critical = OnCritical::kHold;
  int confirmations = 2;    // consecutive new samples at critical before a hold
  Duration duration = 60s;  // of the first hold; doubled each time
  Duration max_duration = 30min;
  int good_samples = 3;         // consecutive new samples below the target that end a hold
  double resume_factor = 0.25;  // of the rate before; halved for each hold in a row
  int pause_after = 5;          // the hold in a row with which to ask for a person; 0: never

  bool operator==(const HoldOptions&) const = default;
};

struct MissingOptions {
  Duration land_every = 30s;
  Duration after = 5min;

  bool operator==(const MissingOptions&) const = default;
};

// What a spec says about throttling, except for what changes by the clock (Inputs).
struct GovernorOptions {
  Mode mode = Mode::kEnforce;
  double max_records_per_second = 0;
  double floor = 1;  // minRecordsPerSecond
  std::optional<double> initial =
      std::nullopt;  // unset: the larger of the floor and 1 % of the maximum
  AtFloor at_floor = AtFloor::kYield;
  std::vector<Budget> budgets = {};  // at most kMaxBudgets
  HoldOptions hold = {};
  MissingOptions missing = {};
  std::optional<Duration> dead_time = std::nullopt;  // unset: computed from the budgets
  Duration grant_refresh = 5s;                       // until a new rate is in force
  Duration tick = 10s;                               // between decisions

  [[nodiscard]] std::string Validate() const;  // empty: fine

  bool operator==(const GovernorOptions&) const = default;
};

// From a decision until the metrics show it; never less than a tick.
[[nodiscard]] Duration DeadTime(const GovernorOptions& options);
[[nodiscard]] double InitialRate(const GovernorOptions& options);
// With which to find out whether a metric comes back.
[[nodiscard]] double ProbeRate(const GovernorOptions& options);

}  // namespace backfill::throttle
