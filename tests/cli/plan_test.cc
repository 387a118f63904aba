#include "cli/plan.h"

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
