#include "cli/report.h"

#include <nlohmann/json.hpp>

#include "cli/exit_code.h"
#include "operator/report/run_report.h"
#include "tests/cli/command_fixture.h"
#include "tests/cli/golden.h"

namespace backfill::cli {
namespace {

using api::Phase;
using testing::HasSubstr;
using testing::Not;

Account Sample(Phase phase) {
  Account account;
  account.backfill = SampleIn(phase);
  account.backfill.spec.target.headers = {{"Authorization", "Bearer s3cret"}};
  account.started = "2026-05-01T11:41:00Z";
  account.ended = "2026-05-01T12:14:20Z";
  account.failures = {{"permanent", 20}, {"timeout", 3}};
  account.version = "1.2.3";
  return account;
}

Account Completed() {
  Account account = Sample(Phase::kCompleted);
  account.backfill.status.progress->redone_at_most = 812;
  account.interventions.dropped = 2;
  account.interventions.entries = {
      {"2026-05-01T11:50:00Z", "ann", "Paused", "errors in checkout"},
      {"2026-05-01T11:55:00Z", "bob", "Changed", "spec.throttle.maxRecordsPerSecond: 8000 -> 5000"},
      {"2026-05-01T11:56:00Z", "bob", "Resumed", ""}};
  account.throttling.left_out = 7;
  account.throttling.changes = {
      {"2026-05-01T11:41:00Z", "Ramping", "Budget", "p99", "", 50},
      {"2026-05-01T11:44:10Z", "Limited", "Budget", "p99", "p99 0.31 over 0.25", 1234.5},
      {"2026-05-01T11:50:00Z", "Held", "MissingMetric", "", "lag: no answer | [x]", 0}};
  return account;
}

TEST(ReportTextTest, OfARunThatCompleted) {
  ExpectGolden("report.txt", ReportToText(Completed()));
  ExpectGolden("report.json", ReportToJson(Completed()));
  ExpectGolden("report.md", ReportToMarkdown(Completed()));
}

TEST(ReportTextTest, OfWhatHasNotEnded) {
  std::string text;
  for (const Phase phase : {Phase::kPlanning, Phase::kRunning, Phase::kPaused, Phase::kFailed,
                            Phase::kAwaitingApproval}) {
    Account account;
    account.backfill = SampleIn(phase);
    const std::string report = ReportToText(account);
    text += report.substr(0, report.find("To reproduce")) + "\n";
  }
  ExpectGolden("report_phases.txt", text);
}

TEST(ReportTextTest, ShowsNoCredentials) {
  for (const std::string& report :
       {ReportToText(Completed()), ReportToJson(Completed()), ReportToMarkdown(Completed())}) {
    EXPECT_THAT(report, HasSubstr("(hidden)"));
    EXPECT_THAT(report, Not(HasSubstr("s3cret")));
  }
}

TEST(ReportTextTest, IsOneJsonDocument) {
  const auto json = nlohmann::json::parse(ReportToJson(Completed()));
  EXPECT_EQ(json["outcome"]["redoneAtMost"], 812);
  EXPECT_EQ(json["failures"]["timeout"], 3);
  EXPECT_EQ(json["seconds"], 2000);
  EXPECT_EQ(json["file"]["kind"], "Backfill");
}

class ReportTest : public CommandFixture {};

TEST_F(ReportTest, TellsOfARunFromItsStart) {
  Store(FileIn(Phase::kRunning));
  EXPECT_EQ(Run({"report", "reprice"}), kExitDone) << err();
  EXPECT_THAT(out(), Not(HasSubstr("Started:")));
  ASSERT_TRUE(report::ReportStore(store()).Begin(Stored(), Noon()).ok());
  EXPECT_EQ(Run({"report", "reprice"}), kExitDone) << err();
  EXPECT_THAT(out(), HasSubstr("Started:      2026-05-01T12:00:00Z\n"));
  EXPECT_THAT(out(), HasSubstr("Interventions: none\n"));
}

TEST_F(ReportTest, NeedsABackfill) {
  EXPECT_EQ(Run({"report", "reprice"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("there is no state in DIR/state"));
}

}  // namespace
}  // namespace backfill::cli
