#include "operator/metrics/throttle_metrics.h"

#include <chrono>
#include <string_view>

#include "operator/metrics/metric_families.h"

namespace backfill::metrics {
namespace {

using throttle::GovernorState;
using throttle::LimitedBy;

// Why nothing is sent, where a budget says so. The words of the condition Throttled.
std::string_view HeldBy(const throttle::Decision& decision) {
  if (decision.state == GovernorState::kYielding) return "TargetOverloadedByOthers";
  const bool held =
      decision.state == GovernorState::kHeld || decision.state == GovernorState::kProbing;
  if (held && decision.limited_by == LimitedBy::kHold) return "CriticalHold";
  if (held && decision.limited_by == LimitedBy::kMissingMetric) return "MetricUnavailable";
  return "";
}

double Count(std::uint64_t count) { return static_cast<double>(count); }

}  // namespace

void ThrottleMetrics::Decided(const api::Backfill& backfill,
                              const throttle::GovernorOptions& options,
                              const throttle::Decision& decision) {
  MutexLock l(mu_);
  const Key key(backfill.ns, backfill.name);
  auto known = published_.find(key);
  if (known == published_.end()) {
    if (published_.size() >= max_backfills_) return;
    known = published_.try_emplace(key).first;
  }
  Figures& f = known->second;
  if (f.uid != backfill.uid) {  // another under that name
    f = {};
    f.uid = backfill.uid;
  }
  f.rate = decision.rate;
  f.limit = decision.limit;
  f.state = throttle::ToString(decision.state);
  f.limited_by = throttle::ToString(decision.limited_by);
  std::map<std::string, BudgetFigures> budgets;
  for (std::size_t i = 0; i < options.budgets.size() && i < decision.budgets.size(); ++i) {
    const std::string& name = options.budgets[i].name;
    BudgetFigures& budget = budgets[name];
    if (const auto before = f.budgets.find(name); before != f.budgets.end())
      budget.cuts = before->second.cuts;
    budget.view = decision.budgets[i];
    budget.bound = options.budgets[i].bound;
    if (decision.cut && decision.binding == i) ++budget.cuts;
  }
  f.budgets = std::move(budgets);
  const std::string_view held_by = HeldBy(decision);
  if (!held_by.empty() && held_by != f.held_by) ++f.holds[std::string(held_by)];
  f.held_by = held_by;
}

void ThrottleMetrics::DecidedByPartition(const api::Backfill& backfill,
                                         const reconcile::PartitionRates& rates) {
  MutexLock l(mu_);
  const auto known = published_.find({backfill.ns, backfill.name});
  if (known == published_.end()) return;
  known->second.partitions = rates.named;
}

void ThrottleMetrics::Released(const api::Backfill& backfill) {
  MutexLock l(mu_);
  published_.erase({backfill.ns, backfill.name});
}

std::vector<kube::MetricFamily> ThrottleMetrics::Collect() const {
  Families families;
  MutexLock l(mu_);
  for (const auto& [key, f] : published_) {
    SeriesOf of({{"namespace", key.first}, {"name", key.second}}, families);
    of.Gauge("backfill_throttle_rate_records_per_second", "What the governor lets be sent", {},
             f.rate);
    of.Gauge("backfill_throttle_limit_records_per_second",
             "The highest rate in force: maximum, schedule, override", {}, f.limit);
    of.Gauge("backfill_throttle_state", "1, with what the governor does and what limits the rate",
             {{"state", f.state}, {"limited_by", f.limited_by}}, 1);
    for (const auto& [partition, rate] : f.partitions)
      of.Gauge("backfill_throttle_partition_rate_records_per_second",
               "What the governor of a partition of the target lets be sent to it",
               {{"partition", partition}}, rate);
    for (const auto& [reason, count] : f.holds)
      of.Counter("backfill_throttle_holds_total", "Times that a budget let nothing be sent",
                 {{"reason", reason}}, Count(count));
    for (const auto& [name, budget] : f.budgets) {
      const throttle::BudgetView& view = budget.view;
      of.Counter("backfill_throttle_cuts_total", "Times that the rate was cut for a budget",
                 {{"budget", name}}, Count(budget.cuts));
      of.Gauge("backfill_budget_bound", "What a metric may be", {{"budget", name}}, budget.bound);
      of.Gauge("backfill_metric_state", "1, with the state of a budget's metric",
               {{"budget", name}, {"state", std::string(ToString(view.state))}}, 1);
      of.Counter("backfill_metric_samples_discarded_total", "Implausible samples",
                 {{"budget", name}, {"reason", "implausible"}}, Count(view.discarded));
      of.Counter("backfill_metric_samples_discarded_total", "Implausible samples",
                 {{"budget", name}, {"reason", "from_the_future"}}, Count(view.from_the_future));
      if (view.pressure)
        of.Gauge("backfill_budget_pressure", "A metric as a share of its budget; 1 is the bound",
                 {{"budget", name}}, *view.pressure);
      if (view.value)
        of.Gauge("backfill_budget_value", "A metric as it was read last", {{"budget", name}},
                 *view.value);
      if (view.age)
        of.Gauge("backfill_metric_age_seconds", "Age of that value", {{"budget", name}},
                 std::chrono::duration<double>(*view.age).count());
    }
  }
  return families.Take();
}

}  // namespace backfill::metrics
