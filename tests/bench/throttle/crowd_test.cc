#include "bench/throttle/crowd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace backfill::throttle_bench {
namespace {

using testing::HasSubstr;

TEST(CrowdTest, AFileSaysHowManyOfWhat) {
  const auto crowd = ParseCrowd(
      "{name: a, title: 9 a, kind: Workers, count: 7, duration: 60, churn: 0.1, cutOff: 0.2, "
      "gates: {used: {least: 95}}}");
  ASSERT_TRUE(crowd.ok()) << crowd.error().message;
  EXPECT_EQ(crowd->kind, CrowdKind::kWorkers);
  EXPECT_EQ(crowd->count, 7);
  EXPECT_EQ(crowd->churn, 0.1);
  EXPECT_EQ(crowd->cut_off, 0.2);
  ASSERT_EQ(crowd->gates.size(), 1u);
  EXPECT_EQ(crowd->gates[0].least, 95);
}

TEST(CrowdTest, WhatMakesNoSenseIsAnError) {
  for (const std::string text :
       {"", "{name: a}", "{name: a, title: a, kind: Sheep}",
        "{name: a, title: a, kind: Workers, count: 0}",
        "{name: a, title: a, kind: Workers, cuont: 3}", "{name: a, title: a, kind: [", "[1, 2]"})
    EXPECT_FALSE(ParseCrowd(text).ok()) << text;
}

TEST(CrowdTest, AGateIsMissedWithTheFigureThatMissesIt) {
  Crowd crowd{.name = "a", .title = "9 a", .kind = CrowdKind::kWorkers, .count = 5};
  crowd.duration = 5;
  crowd.gates = {{.figure = "used", .most = 1, .least = {}},
                 {.figure = "unknown", .most = 1, .least = {}}};
  const auto results = HoldCrowds({crowd}, 0, 1);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_THAT(results[0].missed, HasSubstr("used "));
  EXPECT_THAT(results[0].missed, HasSubstr("no figure unknown"));
  EXPECT_THAT(ToMarkdown(results, 1), HasSubstr("| 9 a | broken 0.00"));
}

TEST(CrowdTest, AHotPartitionDoesNotSlowDownTheOthers) {
  const CrowdFigures figures = Simulate({.name = "a",
                                         .title = "a",
                                         .kind = CrowdKind::kPartitions,
                                         .count = 8,
                                         .duration = 3000,
                                         .hot = 0.72},
                                        3);
  EXPECT_GT(figures.at("thr"), 60);
  EXPECT_LT(figures.at("one_thr"), 35);
}

TEST(CrowdTest, AGroupSharesFairlyWhatOneCouldSendAndKeepsTheTarget) {
  const CrowdFigures figures = Simulate(
      {.name = "a", .title = "a", .kind = CrowdKind::kGroup, .count = 2, .duration = 3000}, 3);
  EXPECT_GT(figures.at("jain"), 0.9);
  EXPECT_LT(figures.at("over"), 2);
  EXPECT_NEAR(figures.at("thr"), figures.at("single_thr"), 5);
  EXPECT_LE(figures.at("excess"), 0.001);
}

TEST(CrowdTest, BackfillsThatKnowNothingOfEachOtherKeepTheTargetAsOneDoes) {
  const CrowdFigures figures = Simulate(
      {.name = "a", .title = "a", .kind = CrowdKind::kBackfills, .count = 2, .duration = 3000}, 3);
  EXPECT_LT(figures.at("over"), 2);
  EXPECT_NEAR(figures.at("thr"), figures.at("single_thr"), 5);
  EXPECT_LE(figures.at("jain"), 1);
}

}  // namespace
}  // namespace backfill::throttle_bench
