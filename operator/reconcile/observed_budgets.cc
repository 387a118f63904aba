#include "operator/reconcile/observed_budgets.h"

#include <charconv>
#include <utility>

#include "operator/api/codec.h"
#include "operator/reconcile/throttle_options.h"

namespace backfill::reconcile {
namespace {

Duration TimeoutOf(const std::string& text) {
  const auto timeout = api::ParseDuration(text);
  return timeout ? Duration(*timeout) : Duration(std::chrono::seconds(5));
}

observe::Reduce ReduceOf(api::Reduce reduce) {
  switch (reduce) {
    case api::Reduce::kNone:
      return observe::Reduce::kNone;
    case api::Reduce::kMax:
      return observe::Reduce::kMax;
    case api::Reduce::kMin:
      return observe::Reduce::kMin;
    case api::Reduce::kSum:
      return observe::Reduce::kSum;
    case api::Reduce::kAvg:
      return observe::Reduce::kAvg;
  }
  return observe::Reduce::kNone;
}

observe::ScrapeAs ScrapeAsOf(api::ScrapeAs as) {
  switch (as) {
    case api::ScrapeAs::kValue:
      return observe::ScrapeAs::kValue;
    case api::ScrapeAs::kRate:
      return observe::ScrapeAs::kRate;
    case api::ScrapeAs::kQuantile:
      return observe::ScrapeAs::kQuantile;
  }
  return observe::ScrapeAs::kValue;
}

observe::ScrapeQuery ScrapeOf(const api::Budget& budget) {
  const api::ScrapeMetric& spec = *budget.scrape;
  observe::ScrapeQuery query{.url = spec.url, .series = spec.series};
  query.as = ScrapeAsOf(spec.as);
  std::from_chars(spec.quantile.data(), spec.quantile.data() + spec.quantile.size(),
                  query.quantile);
  query.window = BudgetWindow(budget);
  query.credentials = spec.credentials;
  query.timeout = TimeoutOf(spec.timeout);
  query.reduce = ReduceOf(budget.reduce);
  return query;
}

}  // namespace

observe::Query QueryOf(const api::Budget& budget, const std::string& uid) {
  if (budget.prometheus) {
    const api::PrometheusMetric& spec = *budget.prometheus;
    return observe::PrometheusQuery{.addresses = {spec.address},
                                    .query = spec.query,
                                    .freshness_query = spec.freshness_query,
                                    .credentials = spec.credentials,
                                    .timeout = TimeoutOf(spec.timeout),
                                    .reduce = ReduceOf(budget.reduce)};
  }
  if (budget.scrape) return ScrapeOf(budget);
  if (budget.http) {
    return observe::JsonQuery{.url = budget.http->url,
                              .pointer = budget.http->pointer,
                              .credentials = budget.http->credentials,
                              .timeout = TimeoutOf(budget.http->timeout)};
  }
  observe::WorkersQuery query{.owner = uid};
  if (budget.workers) {
    query.signal = budget.workers->signal == api::WorkerSignal::kErrorRatio
                       ? observe::WorkerSignal::kErrorRatio
                       : observe::WorkerSignal::kLatencyP99;
    query.window = TimeoutOf(budget.workers->window);
  }
  return query;
}

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
    want.interval = TimeoutOf(budgets[i].timing.interval);
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
