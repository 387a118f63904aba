#include "cli/ending.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/exit_code.h"
#include "tests/cli/samples.h"

namespace backfill::cli {
namespace {

using api::Phase;

TEST(EndingTest, IsSeenInEveryPhase) {
  EXPECT_EQ(FindEnding(SampleIn(Phase::kPending)), std::nullopt);
  EXPECT_EQ(FindEnding(SampleIn(Phase::kPlanning)), std::nullopt);
  EXPECT_EQ(FindEnding(SampleIn(Phase::kDryRunning)), std::nullopt);
  EXPECT_EQ(FindEnding(SampleIn(Phase::kRunning)), std::nullopt);
  EXPECT_EQ(FindEnding(SampleIn(Phase::kAwaitingApproval)), Ending::kDryRunDone);
  EXPECT_EQ(FindEnding(SampleIn(Phase::kPaused)), Ending::kPaused);
  EXPECT_EQ(FindEnding(SampleIn(Phase::kCompleted)), Ending::kCompleted);
  EXPECT_EQ(FindEnding(SampleIn(Phase::kFailed)), Ending::kFailed);
}

TEST(EndingTest, IsStalledWhateverThePhase) {
  api::Backfill b = SampleIn(Phase::kRunning);
  SetCondition(b, "Stalled", api::ConditionStatus::kTrue, "LedgerCorrupt");
  EXPECT_EQ(FindEnding(b), Ending::kStalled);
}

TEST(EndingTest, OfAnEarlierGenerationDoesNotCount) {
  api::Backfill b = SampleIn(Phase::kAwaitingApproval);
  b.generation += 1;  // dryRun was just turned off, and nobody has seen it yet
  EXPECT_EQ(FindEnding(b), std::nullopt);
}

TEST(EndingTest, WithoutAnyStatusIsNone) {
  EXPECT_EQ(FindEnding(api::Backfill{}), std::nullopt);
  EXPECT_FALSE(HasEnded(api::Status{}));
  EXPECT_EQ(ProgressOf(api::Status{}), nullptr);
}

TEST(EndingTest, GivesTheExitCode) {
  EXPECT_EQ(ExitCodeOf(Ending::kCompleted), kExitDone);
  EXPECT_EQ(ExitCodeOf(Ending::kDryRunDone), kExitDone);
  EXPECT_EQ(ExitCodeOf(Ending::kFailed), kExitFailed);
  EXPECT_EQ(ExitCodeOf(Ending::kStalled), kExitStopped);
  EXPECT_EQ(ExitCodeOf(Ending::kPaused), kExitStopped);
}

TEST(NextStepTest, OfAPausedRunBeginsWithResume) {
  const api::Backfill b = SampleIn(Phase::kPaused);
  const std::string next = NextStep(b, std::nullopt, {}, "reprice.yaml");
  EXPECT_EQ(next,
            "continue with: backfill resume reprice -n shop; then backfill run -f reprice.yaml -n "
            "shop");
  EXPECT_EQ(NextStep(b, Ending::kPaused, {}, "reprice.yaml"), next);
}

TEST(NextStepTest, OnAClusterIsAnApplyOrNothing) {
  Place place;
  place.called_as = CalledAs::kKubectlPlugin;
  place.cluster = ClusterChoice{};
  place.usual_ns = "shop";
  EXPECT_EQ(NextStep(SampleIn(Phase::kRunning), std::nullopt, place, ""), "");
  EXPECT_EQ(NextStep(SampleIn(Phase::kPaused), Ending::kPaused, place, ""),
            "continue with: kubectl backfill resume reprice");
  EXPECT_THAT(NextStep(SampleIn(Phase::kAwaitingApproval), Ending::kDryRunDone, place, ""),
              testing::EndsWith("performDisruptiveBackfill: reprice, then kubectl apply -f FILE"));
  api::Backfill b = SampleIn(Phase::kRunning);
  SetCondition(b, "Stalled", api::ConditionStatus::kTrue, "WorkersUnavailable");
  EXPECT_EQ(NextStep(b, Ending::kStalled, place, ""),
            "mend that, and the operator goes on; if it is the file: kubectl apply -f FILE");
  SetCondition(b, "Stalled", api::ConditionStatus::kTrue, "CRDOutdated");
  EXPECT_THAT(NextStep(b, Ending::kStalled, place, ""), testing::HasSubstr("of its chart"));
}

TEST(PausedByTest, NamesWhoeverPausedIt) {
  api::Backfill b = SampleIn(Phase::kRunning);
  EXPECT_EQ(PausedBy(b), "");
  b.spec.paused = true;
  EXPECT_EQ(PausedBy(b), "paused by the file (spec.paused: true)");
  b.annotations[api::kPausedAnnotation] = "errors in checkout";
  EXPECT_EQ(PausedBy(b), "paused by hand: errors in checkout");
  b.annotations[api::kPausedAnnotation] = "paused by ann at 2026-05-01T12:00:00Z";
  EXPECT_EQ(PausedBy(b), "paused by ann at 2026-05-01T12:00:00Z");
  b.annotations[api::kPausedAnnotation] = "";
  EXPECT_EQ(PausedBy(b), "paused by hand");
}

}  // namespace
}  // namespace backfill::cli
