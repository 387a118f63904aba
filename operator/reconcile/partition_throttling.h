#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "operator/decision_log/decision_log.h"
#include "operator/reconcile/stage_host.h"
#include "operator/throttle/partition_governors.h"

namespace backfill::reconcile {

// The governors of a target's partitions: fed with what budgets of scope Partition and workers say
// of each, and put together with the one of the whole target. A partition is known once a series
// or a worker names it; what is not known yet shares the rate that a governor begins with. One that
// workers send to and no series speaks of has a metric that is missing, which is not zero.
//
// Not thread-safe; the time is an argument. No I/O but into the log. Nothing is kept for the next
// operator: each partition then begins at its initial rate.
class PartitionThrottling {
 public:
  // What was answered to each budget by partition, in their order; empty: it was not.
  using Answers = std::vector<std::map<std::string, throttle::Observation>>;

  struct Outcome {
    PartitionRates rates = {};
    double total = 0;  // of all of them
    // The one with the least rate, and what its governor says; none: no partition is known.
    std::string slowest = {};
    std::optional<throttle::Decision> decision = std::nullopt;
    bool hot = false;  // it has been far below the others for long
    bool asks_for_pause = false;
    Time next = Time::max();
  };

  // `options` of the Backfill, with all budgets. `log` gets every decision and must outlive this;
  // null: nobody does.
  PartitionThrottling(const std::string& name, const throttle::GovernorOptions& options,
                      decision_log::DecisionSink* log);
  PartitionThrottling(const PartitionThrottling&) = delete;
  PartitionThrottling& operator=(const PartitionThrottling&) = delete;

  void Reconfigure(const throttle::GovernorOptions& options);

  // `shared` is what holds for all; its observations are those of all budgets. `open`: null where
  // no stage is.
  Outcome Step(const throttle::Inputs& shared, const Answers& answers, const StageSnapshot* open,
               Time now, WallTime wall);

 private:
  [[nodiscard]] std::map<std::string, throttle::PartitionInputs> InputsOf(
      const throttle::Inputs& shared, const Answers& answers, const StageSnapshot* open) const;

  [[nodiscard]] double RateOfOthers(const throttle::Inputs& shared) const;

  throttle::GovernorOptions options_;
  WallTime wall_{};  // of this step
  throttle::PartitionGovernors governors_;
};

// The observations of budgets of that scope, of all in their order.
std::vector<throttle::Observation> ObservationsOf(
    const throttle::GovernorOptions& options, throttle::Scope scope,
    const std::vector<throttle::Observation>& observations);

// One decision of all that is decided, with the budgets of `options` in their order: `global` is
// that of the governor of the whole target. What its partitions may be sent together bounds it, and
// what is said of them is what is said of the slowest.
throttle::Decision Combined(const throttle::GovernorOptions& options,
                            const throttle::Decision& global,
                            const PartitionThrottling::Outcome& partitions);

}  // namespace backfill::reconcile
