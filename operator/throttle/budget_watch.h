#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "operator/throttle/budget.h"
#include "operator/throttle/decision.h"
#include "operator/throttle/history.h"
#include "operator/throttle/observation.h"

// What is known of one budget: which samples count, how old they are, how they have been lately.
namespace backfill::throttle {

struct BudgetMemory {
  // Of the last plausible sample; of "no traffic" under OnNoTraffic::kZero the value is unset.
  std::optional<double> value = std::nullopt;
  std::optional<double> pressure = std::nullopt;
  std::optional<Time> sampled = std::nullopt;  // never after it was first seen
  std::optional<Time> said = std::nullopt;  // the same as the source has it, to tell samples apart
  // Pressures of the last three samples, the latest one last.
  std::vector<double> recent = {};
  int critical_in_a_row = 0;  // new samples
  int good_in_a_row = 0;      // new samples below the target, since the last critical tick
  std::uint64_t discarded = 0;
  std::uint64_t from_the_future = 0;
  History past = {};  // its pressure at each tick

  bool operator==(const BudgetMemory&) const = default;
};

// A budget as of this tick.
struct BudgetReading {
  MetricState state = MetricState::kError;
  bool usable = false;
  bool fresh_sample = false;  // new since the last tick
  double pressure = 0;        // if usable
  double worst = 0;           // of the last three samples, if usable
  std::optional<Duration> age = std::nullopt;
  std::string detail = {};
  bool no_traffic = false;  // NoData or NaN, which OnNoTraffic says what to make of
};

// Takes note of what the source has said by `now`.
BudgetReading Read(const Budget& budget, const Observation& said, BudgetMemory& memory, Time now);

}  // namespace backfill::throttle
