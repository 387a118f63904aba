#include "cli/status_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cli/golden.h"
#include "tests/cli/samples.h"

namespace backfill::cli {
namespace {

using api::Phase;
using testing::HasSubstr;
using testing::Not;

StatusView View(std::optional<RunnerInfo> runner = {}) {
  return {.now = Noon(), .color = false, .place = {}, .runner = std::move(runner)};
}
RunnerInfo Runner() { return {.pid = 4711, .since = "2026-05-01T11:40:00Z"}; }

TEST(DescribeTest, ShowsEveryPhase) {
  ExpectGolden("status_pending.txt", DescribeBackfill(SampleIn(Phase::kPending), View()));
  ExpectGolden("status_planning.txt", DescribeBackfill(SampleIn(Phase::kPlanning), View(Runner())));
  ExpectGolden("status_dry_running.txt",
               DescribeBackfill(SampleIn(Phase::kDryRunning), View(Runner())));
  ExpectGolden("status_awaiting_approval.txt",
               DescribeBackfill(SampleIn(Phase::kAwaitingApproval), View()));
  ExpectGolden("status_running.txt", DescribeBackfill(SampleIn(Phase::kRunning), View(Runner())));
  ExpectGolden("status_paused.txt", DescribeBackfill(SampleIn(Phase::kPaused), View(Runner())));
  ExpectGolden("status_completed.txt", DescribeBackfill(SampleIn(Phase::kCompleted), View()));
  ExpectGolden("status_failed.txt", DescribeBackfill(SampleIn(Phase::kFailed), View()));
}

TEST(DescribeTest, SaysHowToGoOnWhenNothingRunsIt) {
  ExpectGolden("status_stopped.txt", DescribeBackfill(SampleIn(Phase::kRunning), View()));
  ExpectGolden("status_paused_stopped.txt", DescribeBackfill(SampleIn(Phase::kPaused), View()));
}

TEST(DescribeTest, ExplainsWhatNeedsAPerson) {
  api::Backfill b = SampleIn(Phase::kPaused);
  b.annotations.clear();
  SetCondition(b, "Stalled", api::ConditionStatus::kTrue, "FailureBudgetExceeded",
               "1001 failed records are more than 1000");
  ExpectGolden("status_stalled.txt", DescribeBackfill(b, View()));
}

TEST(DescribeTest, SaysWhenAChangeWasNotSeenYet) {
  api::Backfill b = SampleIn(Phase::kRunning);
  b.generation = 4;
  EXPECT_THAT(DescribeBackfill(b, View()), HasSubstr("has not been seen by a runner yet"));
}

TEST(DescribeTest, SaysWhatARunWaitsForWhileThereIsARunner) {
  api::Backfill b = SampleIn(Phase::kRunning);
  SetCondition(b, "Ready", api::ConditionStatus::kTrue, "Running",
               "the target cannot be reached: connecting: \x1b[2JConnection refused");
  EXPECT_THAT(DescribeBackfill(b, View(Runner())),
              HasSubstr("\nWaits:        the target cannot be reached: connecting: "
                        "\\x1b[2JConnection refused\n"));
  EXPECT_THAT(DescribeBackfill(b, View()), Not(HasSubstr("Connection refused")));
}

TEST(DescribeTest, LetsNoControlCharacterThrough) {
  api::Backfill b = SampleIn(Phase::kRunning);
  b.spec.description = "\x1b[2J";
  b.spec.target.url = "http://\x1b]0;x\x07";
  b.annotations[api::kPausedAnnotation] = "\x1b[31m";
  SetCondition(b, "Ready", api::ConditionStatus::kFalse, "\x1b[1m", "\x1b[2m");
  EXPECT_THAT(DescribeBackfill(b, View()), Not(HasSubstr("\x1b")));
}

TEST(TabulateTest, HasALineForEach) {
  std::vector<ListedBackfill> all;
  for (const Phase p : {Phase::kPending, Phase::kRunning, Phase::kPaused, Phase::kCompleted})
    all.push_back({SampleIn(p), p == Phase::kRunning || p == Phase::kPaused});
  all.push_back({SampleIn(Phase::kRunning), false});
  ExpectGolden("status_table.txt", TabulateBackfills(all, View()));
  StatusView colors = View();
  colors.color = true;
  SetCondition(all[2].backfill, "Stalled", api::ConditionStatus::kTrue, "FailureBudgetExceeded");
  ExpectGolden("status_table_color.txt", TabulateBackfills(all, colors));
}

}  // namespace
}  // namespace backfill::cli
