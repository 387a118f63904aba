#include "cli/throttle_text.h"

#include <gtest/gtest.h>

namespace backfill::cli {
namespace {

TEST(ThrottleTextTest, SaysWhatHoldsItBackAndSinceWhen) {
  api::Status status;
  const WallTime now = ParseWallTime("2026-11-28T12:03:00Z").value();
  EXPECT_EQ(ThrottleText(status, now), "");
  api::ThrottleStatus& throttle = status.throttle.emplace();
  throttle.state = "Limited";
  throttle.since = "2026-11-28T12:00:00Z";
  throttle.reason = "p99 0.31 over 0.25";
  throttle.holds = 2;
  EXPECT_EQ(ThrottleText(status, now), "Limited for 3 min: p99 0.31 over 0.25; hold 2 in a row");
  status.throttle->reason = "\x1b[31mred";
  EXPECT_EQ(ThrottleText(status, now).find('\x1b'), std::string::npos);
}

TEST(ThrottleTextTest, InOneLineItNamesTheBudgetThatBinds) {
  api::Status status;
  const WallTime now = ParseWallTime("2026-11-28T12:03:00Z").value();
  EXPECT_EQ(ThrottleSummary(status, now), "");
  api::ThrottleStatus& throttle = status.throttle.emplace();
  throttle.state = "Limited";
  throttle.since = "2026-11-28T12:00:00Z";
  throttle.binding_budget = "p99";
  throttle.pressure = 1.24;
  EXPECT_EQ(ThrottleSummary(status, now), "Limited by p99 at 124 % for 3 min");
  throttle.state = "Paused";
  EXPECT_EQ(ThrottleSummary(status, now), "") << "the phase says it";
  throttle.state = "Blackout";
  throttle.binding_budget.clear();
  throttle.since = "nonsense";
  EXPECT_EQ(ThrottleSummary(status, now), "Blackout");
}

TEST(ThrottleTextTest, ABudgetIsShownWithWhatIsKnown) {
  EXPECT_EQ(BudgetText({"p99", 0.31, 1.24, "Fresh", 8}), "p99: 0.31, 124 % of it, Fresh, 8 s old");
  EXPECT_EQ(BudgetText({.name = "lag", .value = {}, .pressure = {}, .state = "Error", .age = {}}),
            "lag: Error");
}

}  // namespace
}  // namespace backfill::cli
