#include "operator/reconcile/observed_budgets.h"

#include <utility>

#include "operator/reconcile/budget_query.h"
#include "operator/reconcile/throttle_options.h"

namespace backfill::reconcile {
ObservedBudgets::ObservedBudgets(const ObservedBudgetsOptions& options, const Clock& clock)
    : options_(options),
      servers_({.credentials_folder = options.credentials_folder}, clock),
      sources_(servers_, signals_, clock),
      observer_(sources_, clock, options.observer,
                [this](const std::string& uid) { OnObserved(uid); }) {}

ObservedBudgets::~ObservedBudgets() { Stop(); }

Status ObservedBudgets::Watch(const api::Backfill& backfill) {
  const std::vector<api::Budget>& budgets = backfill.spec.throttle.budgets;
  bool start = false;
  {
    MutexLock l(mu_);
    const auto known = watched_.find(backfill.uid);
    if (known == watched_.end() ? budgets.empty() : known->second.asked == budgets) return Ok{};
    start = !budgets.empty() && !started_ && !stopped_;
    started_ = started_ || start;
  }
  std::vector<observe::Wanted> wanted;
  for (std::size_t i = 0; i < budgets.size(); ++i) {
    observe::Wanted& want = wanted.emplace_back();
    want.query = QueryOf(budgets[i], backfill.uid);
    want.interval = IntervalOf(budgets[i]);
    TRY(observe::Check(want.query).Annotate("spec.throttle.budgets[" + std::to_string(i) + "]"));
    if (budgets[i].workers) (void)signals_.Of(backfill.uid);
  }
  std::vector<throttle::Budget> bounds;
  if (backfill.spec.throttle.max_records_per_second) {
    // What is wrong with it, if anything, the governor says.
    auto options = GovernorOptionsOf(backfill.spec.throttle);
    if (options.ok()) bounds = std::move(options->budgets);
  }
  if (start) observer_.Start();
  TRY(observer_.Watch(backfill.uid, wanted));
  {
    MutexLock l(mu_);
    watched_[backfill.uid] = {.ns = backfill.ns,
                              .name = backfill.name,
                              .asked = budgets,
                              .bounds = std::move(bounds),
                              .alarm = {}};
  }
  OnObserved(backfill.uid);  // what was answered meanwhile
  return Ok{};
}

void ObservedBudgets::OnObserved(const std::string& uid) {
  if (!options_.on_alarm) return;
  const std::vector<throttle::Observation> latest = observer_.Latest(uid);
  std::string ns;
  std::string name;
  {
    MutexLock l(mu_);
    const auto it = watched_.find(uid);
    if (it == watched_.end() || !it->second.alarm.Rings(it->second.bounds, latest)) return;
    ns = it->second.ns;
    name = it->second.name;
  }
  options_.on_alarm(ns, name);
}

void ObservedBudgets::Forget(const std::string& uid) {
  signals_.Drop(uid);  // the coordinator makes them, whatever is watched
  {
    MutexLock l(mu_);
    if (watched_.erase(uid) == 0) return;
  }
  (void)observer_.Watch(uid, {});  // to want nothing is never refused
}

std::vector<throttle::Observation> ObservedBudgets::Latest(const std::string& uid) {
  return observer_.Latest(uid);
}

std::vector<std::map<std::string, throttle::Observation>> ObservedBudgets::LatestPartitions(
    const std::string& uid) {
  return observer_.LatestPartitions(uid);
}

void ObservedBudgets::Stop() {
  {
    MutexLock l(mu_);
    stopped_ = true;
  }
  observer_.Stop();
}

}  // namespace backfill::reconcile
