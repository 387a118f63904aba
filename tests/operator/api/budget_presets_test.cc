#include "operator/api/budget_presets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace backfill::api {
namespace {

using testing::IsEmpty;

// A budget on a query, of that kind.
Budget OfKind(std::optional<Preset> preset, const std::string& max = "10") {
  Budget budget;
  budget.name = "a";
  budget.preset = preset;
  budget.max = max;
  budget.prometheus = PrometheusMetric{
      .address = "http://p", .query = "q", .freshness_query = {}, .credentials = {}};
  return budget;
}

TEST(BudgetPresetsTest, WithoutOneItIsAsUsual) {
  const Budget filled = Filled(OfKind(std::nullopt));
  EXPECT_EQ(filled.target, "0.85");
  EXPECT_EQ(filled.critical, "") << "the governor's: twice the bound";
  EXPECT_EQ(filled.on_no_traffic, OnNoTraffic::kMissing);
  EXPECT_EQ(filled.reduce, Reduce::kNone);
  EXPECT_THAT(ByPreset(OfKind(std::nullopt)), IsEmpty());
}

// The table of docs/throttling/metrics.md.
TEST(BudgetPresetsTest, EachSaysWhatItsKindOfMetricNeeds) {
  using Fields = std::vector<PresetField>;
  EXPECT_EQ(ByPreset(OfKind(Preset::kLatencyP99)),
            (Fields{{"target", "0.70"}, {"onNoTraffic", "Probe"}}));
  EXPECT_EQ(ByPreset(OfKind(Preset::kHttpErrorRatio)), (Fields{{"onNoTraffic", "Probe"}}));
  EXPECT_EQ(ByPreset(OfKind(Preset::kUtilization, "0.80")),
            (Fields{{"critical", "0.9"}, {"target", "0.95"}}));
  EXPECT_EQ(ByPreset(OfKind(Preset::kKafkaLag)), (Fields{{"reduce", "Sum"}}));
  EXPECT_EQ(ByPreset(OfKind(Preset::kReplicaLag)), (Fields{{"reduce", "Max"}}));
}

TEST(BudgetPresetsTest, WhatIsGivenCounts) {
  Budget given = OfKind(Preset::kUtilization, "0.80");
  given.target = "0.60";
  given.critical = "0.97";
  given.on_no_traffic = OnNoTraffic::kZero;
  given.reduce = Reduce::kAvg;
  for (const Preset preset : {Preset::kLatencyP99, Preset::kHttpErrorRatio, Preset::kUtilization,
                              Preset::kKafkaLag, Preset::kReplicaLag}) {
    given.preset = preset;
    EXPECT_EQ(Filled(given), given);
    EXPECT_THAT(ByPreset(given), IsEmpty());
  }
}

TEST(BudgetPresetsTest, WhatIsGivenCountsAlsoWhereItIsTheUsual) {
  Budget given = OfKind(Preset::kLatencyP99);
  given.target = "0.85";
  given.on_no_traffic = OnNoTraffic::kMissing;
  EXPECT_EQ(Filled(given).target, "0.85");
  EXPECT_EQ(Filled(given).on_no_traffic, OnNoTraffic::kMissing);
}

TEST(BudgetPresetsTest, UtilisationIsCriticalBeforeAllIsUsedWhereThereIsRoom) {
  EXPECT_EQ(Filled(OfKind(Preset::kUtilization, "0.5")).critical, "0.75");
  EXPECT_EQ(Filled(OfKind(Preset::kUtilization, "0.989")).critical, "0.9945");
  EXPECT_EQ(Filled(OfKind(Preset::kUtilization, "0.99")).critical, "");
  EXPECT_EQ(Filled(OfKind(Preset::kUtilization, "80")).critical, "") << "of 100, perhaps";
  EXPECT_EQ(Filled(OfKind(Preset::kUtilization, "much")).critical, "");
}

TEST(BudgetPresetsTest, OnlyWhatMayHaveSeveralValuesIsReduced) {
  Budget lag = OfKind(Preset::kReplicaLag);
  lag.prometheus.reset();
  lag.http = HttpMetric{.url = "http://lag", .pointer = {}, .credentials = {}};
  EXPECT_EQ(Filled(lag).reduce, Reduce::kNone);
  lag.http.reset();
  lag.scrape =
      ScrapeMetric{.url = "http://lag", .series = "lag", .quantile = {}, .credentials = {}};
  EXPECT_EQ(Filled(lag).reduce, Reduce::kMax);
}

}  // namespace
}  // namespace backfill::api
