#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "operator/api/backfill.h"
#include "operator/throttle/observation.h"

namespace backfill::reconcile {

// What the metrics of budgets say, for the governors. Thread-safe, and never waits for a metric.
class BudgetReadings {
 public:
  virtual ~BudgetReadings() = default;

  // From now on what the budgets of that spec ask for is observed, and nothing else for this uid.
  // Level-based: to say the same again changes nothing. kInvalid: a query that nobody can answer,
  // with its field; kUnavailable: too many are observed already.
  virtual Status Watch(const api::Backfill& backfill) = 0;
  virtual void Forget(const std::string& uid) = 0;
  // In the order of the budgets.
  virtual std::vector<throttle::Observation> Latest(const std::string& uid) = 0;
  // Likewise, of budgets that have a bound for each partition of the target: what there is of
  // those that were answered. Where they were not, Latest() says why.
  virtual std::vector<std::map<std::string, throttle::Observation>> LatestPartitions(
      const std::string& /*uid*/) {
    return {};
  }
};

}  // namespace backfill::reconcile
