#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "operator/kube/runtime/metric_source.h"
#include "operator/reconcile/throttle_watcher.h"

namespace backfill::metrics {

// The metrics of governors: backfill_throttle_*, backfill_budget_*, backfill_metric_*. They are
// there while a rate is decided, and gone with the last decision. Counters begin with this process:
// a rate() over them takes note of a new leader as of any restart.
//
// Thread-safe; no call blocks. Labels are the Backfill's name and namespace, its budgets' names (at
// most 16 of checked form), those of its target's partitions (at most 64, of 64 bytes), and words
// of a fixed set.
class ThrottleMetrics final : public kube::MetricSource, public reconcile::ThrottleWatcher {
 public:
  // Of more Backfills than `max_backfills` the rest is not published.
  explicit ThrottleMetrics(std::size_t max_backfills = 10'000) : max_backfills_(max_backfills) {}

  void Decided(const api::Backfill& backfill, const throttle::GovernorOptions& options,
               const throttle::Decision& decision) override;
  void DecidedByPartition(const api::Backfill& backfill,
                          const reconcile::PartitionRates& rates) override;
  void Released(const api::Backfill& backfill) override;

  [[nodiscard]] std::vector<kube::MetricFamily> Collect() const override;

 private:
  struct BudgetFigures {
    throttle::BudgetView view;
    double bound = 0;
    std::uint64_t cuts = 0;
  };
  struct Figures {
    std::string uid;
    double rate = 0, limit = 0;
    std::string state, limited_by;
    std::map<std::string, BudgetFigures> budgets;
    std::map<std::string, double> partitions;  // records/s
    // What had stopped it as of the last decision; empty: nothing had.
    std::string held_by;
    std::map<std::string, std::uint64_t> holds;  // by reason
  };
  using Key = std::pair<std::string, std::string>;  // namespace and name

  const std::size_t max_backfills_;
  mutable Mutex mu_;
  std::map<Key, Figures> published_ GUARDED_BY(mu_);
};

}  // namespace backfill::metrics
