#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "operator/throttle/governor.h"

namespace backfill::throttle {

using namespace std::chrono_literals;

inline Budget BudgetNamed(std::string name) {
  return {.name = std::move(name), .bound = 100, .critical = 200};
}

// One budget: at most 100, critical at 200, so that a value reads as per cent of the budget. L is
// 85 s, the target 85, the deadband 80 to 90.
inline GovernorOptions OneBudget() {
  return {
      .max_records_per_second = 600, .floor = 5, .initial = 10, .budgets = {BudgetNamed("p99")}};
}

// A governor, a metric that is what the test says, and workers that send what they may.
class GovernorTest : public testing::Test {
 protected:
  static constexpr Duration kTick = 10s;
  static constexpr Duration kL = 85s;

  void Use(GovernorOptions options) {
    governor_.emplace(std::move(options));
    inputs_.observations.resize(governor_->options().budgets.size());
  }
  // Begins at this rate, in a target that is well.
  void StartAt(double rate, GovernorOptions options = OneBudget()) {
    options.initial = rate;
    Use(std::move(options));
    sent_ = rate;
  }

  // Levers. A metric has a new sample at each tick, until it is said to stand still.
  void Metric(double value, std::size_t budget = 0) { Says(Answer::kValue, value, "", budget); }
  void Says(Answer answer, double value = 0, std::string detail = "", std::size_t budget = 0) {
    if (!governor_) Use(OneBudget());
    inputs_.observations[budget] = {
        .answer = answer, .value = value, .time = now_, .detail = std::move(detail)};
  }
  void StandStill(bool still = true) { still_ = still; }
  void Sends(std::optional<double> rate) { sends_ = rate; }

  Decision Tick(Duration after = kTick) {
    if (!governor_) Use(OneBudget());
    now_ += after;
    if (!still_) {
      for (Observation& said : inputs_.observations) said.time = now_;
    }
    inputs_.sent = sends_.value_or(sent_);
    last_ = governor_->Step(inputs_, now_);
    sent_ = last_.rate;
    return last_;
  }
  Decision Ticks(int n) {
    for (int i = 0; i < n; ++i) Tick();
    return last_;
  }
  Decision For(Duration d) { return Ticks(static_cast<int>(d / kTick)); }
  Decision TickWith(double value) {
    Metric(value);
    return Tick();
  }
  // Three samples tell it that all is well, without a raise.
  void Settle(double value = 85) {
    for (int i = 0; i < 3; ++i) TickWith(value);
  }
  [[nodiscard]] double rate() const { return last_.rate; }

  std::vector<TransitionKind> Told() const {
    std::vector<TransitionKind> kinds;
    for (const Transition& t : last_.transitions) kinds.push_back(t.kind);
    return kinds;
  }

  std::optional<Governor> governor_;
  Inputs inputs_;
  Time now_{std::chrono::hours(1)};
  Decision last_;

 private:
  bool still_ = false;
  std::optional<double> sends_;
  double sent_ = 10;
};

}  // namespace backfill::throttle
