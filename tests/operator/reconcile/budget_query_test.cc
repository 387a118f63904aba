#include "operator/reconcile/budget_query.h"

#include <gtest/gtest.h>

#include <variant>

namespace backfill::reconcile {
namespace {

using namespace std::chrono_literals;

api::Budget NamedBudget(const std::string& name) {
  api::Budget budget;
  budget.name = name;
  return budget;
}

TEST(QueryOfTest, EachMetricIsAskedAsTheFileSays) {
  api::Budget budget = NamedBudget("p99");
  budget.reduce = api::Reduce::kMax;
  budget.prometheus = api::PrometheusMetric{"http://p:9090", "rate(a[1m])", "f", "prod", "1500ms"};
  EXPECT_EQ(std::get<observe::PrometheusQuery>(QueryOf(budget, "uid")),
            (observe::PrometheusQuery{.addresses = {"http://p:9090"},
                                      .query = "rate(a[1m])",
                                      .freshness_query = "f",
                                      .credentials = "prod",
                                      .timeout = 1500ms,
                                      .reduce = observe::Reduce::kMax}));
  budget = NamedBudget("s");
  budget.scrape =
      api::ScrapeMetric{"http://a/metrics", "x", api::ScrapeAs::kQuantile, "0.5", "", "2s"};
  budget.timing.window = "2m";
  const auto scrape = std::get<observe::ScrapeQuery>(QueryOf(budget, "uid"));
  EXPECT_EQ(scrape.as, observe::ScrapeAs::kQuantile);
  EXPECT_EQ(scrape.quantile, 0.5);
  EXPECT_EQ(scrape.window, 2min);
  EXPECT_EQ(scrape.timeout, 2s);
  budget = NamedBudget("h");
  budget.http = api::HttpMetric{"http://a/lag", "/seconds", "c", "3s"};
  EXPECT_EQ(std::get<observe::JsonQuery>(QueryOf(budget, "uid")),
            (observe::JsonQuery{"http://a/lag", "/seconds", "c", 3s}));
  budget = NamedBudget("w");
  budget.workers = api::WorkersMetric{api::WorkerSignal::kLatencyP99, "45s"};
  EXPECT_EQ(std::get<observe::WorkersQuery>(QueryOf(budget, "uid")),
            (observe::WorkersQuery{"uid", observe::WorkerSignal::kLatencyP99, 45s}));
  budget.timing.interval = "7s";
  EXPECT_EQ(IntervalOf(budget), 7s);
}

TEST(QueryOfTest, SeveralSeriesAreOneWhereThePresetSaysSo) {
  api::Budget budget = NamedBudget("lag");
  budget.prometheus = api::PrometheusMetric{"http://p:9090", "lag", "", "", "5s"};
  const auto reduce = [&budget] {
    return std::get<observe::PrometheusQuery>(QueryOf(budget, "uid")).reduce;
  };
  EXPECT_EQ(reduce(), observe::Reduce::kNone);
  budget.preset = api::Preset::kKafkaLag;
  EXPECT_EQ(reduce(), observe::Reduce::kSum);
  budget.reduce = api::Reduce::kNone;
  EXPECT_EQ(reduce(), observe::Reduce::kNone) << "what is given counts";
}

}  // namespace
}  // namespace backfill::reconcile
