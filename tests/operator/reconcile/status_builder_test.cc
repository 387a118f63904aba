#include "operator/reconcile/status_builder.h"

#include <gtest/gtest.h>

namespace backfill::reconcile {
namespace {

const WallTime kNow{std::chrono::seconds(1'800'000'000)};

TEST(FormatRateTest, StaysShortAtEverySize) {
  EXPECT_EQ(FormatRate(0), "0/s");
  EXPECT_EQ(FormatRate(0.5), "0.5/s");
  EXPECT_EQ(FormatRate(1), "1/s");
  EXPECT_EQ(FormatRate(999), "999/s");
  EXPECT_EQ(FormatRate(1234), "1.2k/s");
  EXPECT_EQ(FormatRate(25'000), "25k/s");
  EXPECT_EQ(FormatRate(1'000'000), "1.0M/s");
  EXPECT_EQ(FormatRate(10'000'000), "10M/s");
}

TEST(StatusBuilderTest, TheRatioReachesOneOnlyWhenAllIsDone) {
  ledger::Totals t;
  t.planned = 1'000'000;
  t.counts.updated = 999'999;
  EXPECT_EQ(ToProgress(t).ratio, "0.999");
  t.counts.updated = 1'000'000;
  EXPECT_EQ(ToProgress(t).ratio, "1.000");
  EXPECT_EQ(ToProgress(ledger::Totals{}).ratio, "1.000") << "nothing to do is done";
}

TEST(StatusBuilderTest, LongMessagesAreCutBetweenCharacters) {
  api::Backfill b;
  StatusBuilder builder(b, kNow);
  std::string long_text;
  while (long_text.size() < 400) long_text += "\xc3\xa4";  // a two-byte character
  builder.Set("Ready", api::ConditionStatus::kTrue, "Running", long_text);
  const std::string message = builder.Take().conditions.front().message;
  EXPECT_LE(message.size(), 160U);
  EXPECT_EQ((message.size() - 3) % 2, 0U);
}

// The schema has a bound there, too, and refuses the whole status beyond it.
TEST(StatusBuilderTest, ALongReasonOfTheRateIsCutBetweenCharacters) {
  api::Backfill b;
  StatusBuilder builder(b, kNow);
  api::ThrottleStatus throttle;
  throttle.reason = "Cap 50/s until 2026-10-01T18:00:00Z: ";
  while (throttle.reason.size() < 400) throttle.reason += "\xc3\xa4";
  builder.SetThrottle(throttle);
  const std::string reason = builder.Take().throttle->reason;
  EXPECT_LE(reason.size(), 160U);
  EXPECT_EQ(reason.substr(reason.size() - 5), "\xc3\xa4...");
}

TEST(StatusBuilderTest, EstimatesTheEndFromTheMeasuredRate) {
  api::Backfill b;
  b.status.plan = api::PlanStatus{"sha256:abc", 1, 1000, ""};
  StatusBuilder builder(b, kNow);
  ledger::Totals t;
  t.planned = 1000;
  t.counts.updated = 400;
  builder.SetProgress(t);
  builder.SetRate(10, 100, "Workers");
  EXPECT_EQ(builder.Take().eta, FormatWallTime(kNow + std::chrono::seconds(60)));
}

TEST(StatusBuilderTest, GivesNoEstimateWithoutARate) {
  api::Backfill b;
  b.status.plan = api::PlanStatus{"sha256:abc", 1, 1000, ""};
  b.status.eta = "2027-01-15T08:00:00Z";
  StatusBuilder builder(b, kNow);
  builder.SetProgress({});
  builder.SetRate(0, 100, "Pause");
  EXPECT_EQ(builder.Take().eta, "");
}

}  // namespace
}  // namespace backfill::reconcile
