#include "operator/reconcile/observed_budgets.h"

#include <utility>

#include "operator/reconcile/budget_query.h"

namespace backfill::reconcile {
ObservedBudgets::ObservedBudgets(const ObservedBudgetsOptions& options, const Clock& clock)
    : servers_({.credentials_folder = options.credentials_folder}, clock),
      sources_(servers_, signals_, clock),
      observer_(sources_, clock, options.observer) {}

ObservedBudgets::~ObservedBudgets() { Stop(); }

Status ObservedBudgets::Watch(const api::Backfill& backfill) {
  const std::vector<api::Budget>& budgets = backfill.spec.throttle.budgets;
  bool start = false;
  {
    MutexLock l(mu_);
    const auto known = watched_.find(backfill.uid);
    if (known == watched_.end() ? budgets.empty() : known->second == budgets) return Ok{};
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
  if (start) observer_.Start();
  TRY(observer_.Watch(backfill.uid, wanted));
  MutexLock l(mu_);
  watched_[backfill.uid] = budgets;
  return Ok{};
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

void ObservedBudgets::Stop() {
  {
    MutexLock l(mu_);
    stopped_ = true;
  }
  observer_.Stop();
}

}  // namespace backfill::reconcile
