#include "cli/plan.h"

#include <nlohmann/json.hpp>

#include "cli/exit_code.h"
#include "tests/cli/command_fixture.h"
#include "tests/cli/golden.h"

namespace backfill::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class PlanTest : public CommandFixture {
 protected:
  void WriteDryRun() {
    WriteFile(R"(apiVersion: backfill.dev/v1alpha1
kind: Backfill
metadata: {name: remind, namespace: shop}
spec:
  description: "Remind: once"
  owner: {team: "crm\u202e", contact: "#crm"}
  stakeholders:
  - {name: mail, contact: "#mail", impact: "three mails more"}
  - {name: legal}
  source: {keys: ["a", "b", "c"]}
  target: {http: {url: "http://mail/{{key}}"}}
)");
  }
};

TEST_F(PlanTest, ShowsARealRun) {
  EXPECT_EQ(Run({"plan", "-f", file()}), kExitDone);
  ExpectGolden("plan.txt", out());
  EXPECT_EQ(Run({"plan", "-f", file(), "-o", "json"}), kExitDone);
  ExpectGolden("plan.json", out());
  EXPECT_EQ(Run({"plan", "-f", file(), "-o", "yaml"}), kExitDone);
  ExpectGolden("plan.yaml", out());
  EXPECT_EQ(Run({"plan", "-f", file(), "-o", "markdown"}), kExitDone);
  ExpectGolden("plan.md", out());
}

TEST_F(PlanTest, ShowsADryRun) {
  WriteDryRun();
  EXPECT_EQ(Run({"plan", "-f", file()}), kExitDone);
  ExpectGolden("plan_dry_run.txt", out());
  EXPECT_EQ(Run({"plan", "-f", file(), "-o", "yaml"}), kExitDone);
  ExpectGolden("plan_dry_run.yaml", out());
  EXPECT_EQ(Run({"plan", "-f", file(), "-o", "markdown"}), kExitDone);
  ExpectGolden("plan_dry_run.md", out());
}

TEST_F(PlanTest, SaysWhatTheBudgetsAreAndWhatPresetsSetOfThem) {
  std::string text = kRealRun;
  const std::string rate = "maxRecordsPerSecond: 500";
  ASSERT_NE(text.find(rate), std::string::npos);
  text.insert(text.find(rate) + rate.size(), R"(, budgets: [
    {name: p99, preset: LatencyP99, http: {url: "http://a/p99"}, max: "0.250", target: "0.80"},
    {name: cpu, preset: Utilization, http: {url: "http://a/cpu"}, max: "0.80", enforce: false},
    {name: ok, http: {url: "http://a/ok"}, min: "0.99", critical: "0.9", required: false}])");
  WriteFile(text);
  EXPECT_EQ(Run({"plan", "-f", file()}), kExitDone) << err();
  EXPECT_THAT(out(), HasSubstr("p99: at most 0.250, aims at 0.80 of it (LatencyP99 sets "
                               "onNoTraffic Probe)\n"));
  EXPECT_THAT(out(), HasSubstr("cpu: at most 0.80, aims at 0.95 of it, critical at 0.9 "
                               "(Utilization sets critical 0.9, target 0.95); measured only\n"));
  EXPECT_THAT(out(), HasSubstr("ok: at least 0.99, aims at 0.85 of it, critical at 0.9; not "
                               "required\n"));
  EXPECT_EQ(Run({"plan", "-f", file(), "-o", "json"}), kExitDone);
  const auto budgets = nlohmann::json::parse(out())["budgets"];
  ASSERT_EQ(budgets.size(), 3U);
  EXPECT_EQ(budgets[0]["setByPreset"], (std::vector<std::string>{"onNoTraffic"}));
  EXPECT_EQ(budgets[1]["critical"], "0.9");
  EXPECT_FALSE(budgets[2].contains("preset"));
}

TEST_F(PlanTest, TouchesNoState) {
  EXPECT_EQ(Run({"plan", "-f", file()}), kExitDone);
  EXPECT_FALSE(std::filesystem::exists(state_dir()));
}

TEST_F(PlanTest, IsNotMadeForAFileWithProblems) {
  WriteFile("kind: Backfill\n");
  EXPECT_EQ(Run({"plan", "-f", file()}), kExitNotStarted);
  EXPECT_THAT(out(), IsEmpty());
  EXPECT_THAT(err(), HasSubstr("nothing was done"));
}

TEST_F(PlanTest, CountsTheLargestRangeWithoutOverflow) {
  std::string text = kRealRun;
  text.replace(text.find("start: 0, end: 10000"), 20, "start: -9223372036854775808, end: -1");
  WriteFile(text);
  EXPECT_EQ(Run({"plan", "-f", file()}), kExitDone);
  EXPECT_THAT(out(), HasSubstr("9,223,372,036,854,775,807"));
  EXPECT_THAT(out(), HasSubstr("more than 10 years"));
}

TEST_F(PlanTest, OfNothingIsNothing) {
  std::string text = kRealRun;
  text.replace(text.find("end: 10000"), 10, "end: 0");
  WriteFile(text);
  EXPECT_EQ(Run({"plan", "-f", file()}), kExitDone);
  EXPECT_THAT(out(), HasSubstr("Shards:         none"));
}

class FilePlanTest : public PlanTest {
 protected:
  FilePlanTest() {
    std::string text = kRealRun;
    const std::string source = "range: {start: 0, end: 10000}";
    text.replace(text.find(source), source.size(),
                 "file: {path: " + data() + ", format: Csv, key: id}");
    WriteFile(text);
  }
  [[nodiscard]] std::string data() const { return (dir_ / "ids.csv").string(); }
};

TEST_F(FilePlanTest, ShowsWhatIsInTheFile) {
  std::ofstream(data()) << "id,price\n1,5\n2\n1,6\n,7\n";
  EXPECT_EQ(Run({"plan", "-f", file()}), kExitDone) << err();
  ExpectGolden("plan_file.txt", out());
  EXPECT_EQ(Run({"plan", "-f", file(), "-o", "json"}), kExitDone);
  ExpectGolden("plan_file.json", out());
}

TEST_F(FilePlanTest, SaysThatThereIsNoFile) {
  EXPECT_EQ(Run({"plan", "-f", file()}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("DIR/ids.csv: No such file or directory"));
}

}  // namespace
}  // namespace backfill::cli
