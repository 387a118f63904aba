#include "operator/reconcile/budget_query.h"

#include <charconv>
#include <chrono>

#include "operator/api/budget_presets.h"
#include "operator/api/codec.h"
#include "operator/reconcile/throttle_options.h"

namespace backfill::reconcile {
namespace {

// Of a checked text; what is none would be a fault of the schema.
Duration ParsedDuration(const std::string& text) {
  const auto duration = api::ParseDuration(text);
  return duration ? Duration(*duration) : Duration(std::chrono::seconds(5));
}

observe::Reduce ReduceOf(const api::Budget& budget) {
  switch (*api::Filled(budget).reduce) {
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

// Of partitions the worst stands for all, where one number is to be shown.
observe::Reduce ForAllPartitions(const api::Budget& budget) {
  if (budget.scope == api::BudgetScope::kGlobal) return ReduceOf(budget);
  return budget.max.empty() ? observe::Reduce::kMin : observe::Reduce::kMax;
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
  query.timeout = ParsedDuration(spec.timeout);
  query.reduce = ReduceOf(budget);
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
                                    .timeout = ParsedDuration(spec.timeout),
                                    .reduce = ForAllPartitions(budget),
                                    .partition_label = budget.partition_label};
  }
  if (budget.scrape) return ScrapeOf(budget);
  if (budget.http) {
    return observe::JsonQuery{.url = budget.http->url,
                              .pointer = budget.http->pointer,
                              .credentials = budget.http->credentials,
                              .timeout = ParsedDuration(budget.http->timeout)};
  }
  observe::WorkersQuery query{.owner = uid};
  if (budget.workers) {
    query.signal = budget.workers->signal == api::WorkerSignal::kErrorRatio
                       ? observe::WorkerSignal::kErrorRatio
                       : observe::WorkerSignal::kLatencyP99;
    query.window = ParsedDuration(budget.workers->window);
  }
  return query;
}

Duration IntervalOf(const api::Budget& budget) { return ParsedDuration(budget.timing.interval); }

}  // namespace backfill::reconcile
