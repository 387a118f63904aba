#include "cli/summary.h"

#include <gtest/gtest.h>

#include "tests/cli/golden.h"
#include "tests/cli/samples.h"

namespace backfill::cli {
namespace {

using namespace std::chrono_literals;
using api::Phase;

std::string Summary(const api::Backfill& backfill, std::optional<Ending> ending,
                    std::uint64_t before = 0, bool stored = true) {
  return Summarize(backfill, {.ending = ending,
                              .took = 754s,
                              .records_before = before,
                              .failures = {{"permanent", 20}, {"timeout", 3}},
                              .place = {},
                              .file = "reprice.yaml",
                              .stored = stored,
                              .color = false});
}

TEST(SummaryTest, TellsHowItEndedAndWhatToDoNext) {
  std::string out;
  const auto add = [&](const std::string& title, const std::string& text) {
    out += "# " + title + "\n" + text + "\n";
  };
  api::Backfill b = SampleIn(Phase::kCompleted);
  add("completed", Summary(b, Ending::kCompleted));
  b.status.progress->redone_at_most = 120;
  add("completed in several runs, after lost workers", Summary(b, Ending::kCompleted, 4'812'000));
  add("dry run", Summary(SampleIn(Phase::kAwaitingApproval), Ending::kDryRunDone));
  add("failed", Summary(SampleIn(Phase::kFailed), Ending::kFailed));
  add("paused from the beginning", Summary(SampleIn(Phase::kPaused), Ending::kPaused, 4'812'000));
  b = SampleIn(Phase::kPaused);
  b.annotations.clear();
  b.spec.paused = true;
  add("paused by its file", Summary(b, Ending::kPaused, 4'812'000));
  b.spec.paused = false;
  SetCondition(b, "Stalled", api::ConditionStatus::kTrue, "FailureBudgetExceeded",
               "1001 failed records are more than 1000");
  add("failure budget", Summary(b, Ending::kStalled));
  SetCondition(b, "Stalled", api::ConditionStatus::kTrue, "WorkersUnavailable",
               "run-0 exited with 127");
  add("no workers", Summary(b, Ending::kStalled));
  add("stopped", Summary(SampleIn(Phase::kRunning), std::nullopt));
  add("stopped while nothing could be stored",
      Summary(SampleIn(Phase::kRunning), std::nullopt, 0, false));
  add("stopped before it was planned", Summary(SampleIn(Phase::kPlanning), std::nullopt));
  ExpectGolden("summary.txt", out);
}

}  // namespace
}  // namespace backfill::cli
