#include "cli/plan_changes.h"

#include "cli/exit_code.h"
#include "tests/cli/command_fixture.h"
#include "tests/cli/golden.h"

namespace backfill::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class PlanChangesTest : public CommandFixture {
 protected:
  [[nodiscard]] std::string old() const { return (dir_ / "old.yaml").string(); }
  void Keep(const std::string& text) { std::ofstream(old()) << text; }
  void KeepPlan(const std::string& format) {
    ASSERT_EQ(Run({"plan", "-f", file(), "-o", format}), kExitDone);
    Keep(out_.str());
  }
  // The file with one text in place of another.
  void Edit(const std::string& from, const std::string& to) {
    std::string text = kRealRun;
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos);
    WriteFile(text.replace(at, from.size(), to));
  }
  int PlanAgainstOld(const std::string& format = "text") {
    return Run({"plan", "-f", file(), "--against", old(), "-o", format});
  }
};

TEST_F(PlanChangesTest, APlanIsTheSameAsItself) {
  for (const std::string format : {"json", "yaml"}) {
    SCOPED_TRACE(format);
    KeepPlan(format);
    EXPECT_EQ(PlanAgainstOld(), kExitDone);
    EXPECT_THAT(out(), HasSubstr("The same as DIR/old.yaml\n"));
  }
}

TEST_F(PlanChangesTest, AFileIsTheSameAsItself) {
  Keep(kRealRun);
  EXPECT_EQ(PlanAgainstOld("markdown"), kExitDone);
  EXPECT_THAT(out(), HasSubstr("None: the same as `DIR/old.yaml`."));
}

TEST_F(PlanChangesTest, AnotherRateIsAnotherPlan) {
  KeepPlan("json");
  Edit("maxRecordsPerSecond: 500", "maxRecordsPerSecond: 5000");
  EXPECT_EQ(PlanAgainstOld(), kExitPlanDiffers);
  EXPECT_THAT(out(), HasSubstr("Differs from DIR/old.yaml:\n"
                               "  maxRecordsPerSecond: 500 -> 5000\n\n"));
}

TEST_F(PlanChangesTest, AgainstAFileTheFieldsOfTheSpecAreNamed) {
  Keep(kRealRun);
  Edit("end: 10000}", "end: 20000}");
  EXPECT_EQ(PlanAgainstOld(), kExitPlanDiffers);
  EXPECT_THAT(out(),
              AllOf(HasSubstr("  spec.source.range.end: 10000 -> 20000\n"),
                    HasSubstr("  records: 10000 -> 20000\n"), HasSubstr("  planHash: \"sha256:")));
}

TEST_F(PlanChangesTest, WhatIsFoundInHeadersIsNotShown) {
  Edit("method: POST", "method: POST, headers: {Authorization: s3cret-1}");
  std::ifstream in(file());
  std::stringstream text;
  text << in.rdbuf();
  Keep(text.str());
  Edit("method: POST", "method: POST, headers: {Authorization: s3cret-2}");
  for (const std::string format : {"text", "json", "yaml", "markdown"}) {
    EXPECT_EQ(PlanAgainstOld(format), kExitPlanDiffers);
    EXPECT_THAT(out(), AllOf(HasSubstr("spec.target.http.headers.Authorization"),
                             HasSubstr("(hidden)"), Not(HasSubstr("s3cret"))));
  }
}

TEST_F(PlanChangesTest, ShowsThemInEveryFormat) {
  Keep(kRealRun);
  Edit("maxRecordsPerSecond: 500", "maxRecordsPerSecond: 5000");
  EXPECT_EQ(PlanAgainstOld("markdown"), kExitPlanDiffers);
  ExpectGolden("plan_against.md", out());
  EXPECT_EQ(PlanAgainstOld("yaml"), kExitPlanDiffers);
  EXPECT_THAT(out(), HasSubstr("against:\n"
                               "  file: \"DIR/old.yaml\"\n"
                               "  changes:\n"
                               "    -\n"
                               "      path: \"spec.throttle.maxRecordsPerSecond\"\n"
                               "      before: \"500\"\n"
                               "      after: \"5000\"\n"));
}

TEST_F(PlanChangesTest, OldMayComeFromAPipe) {
  in_.str(kRealRun);
  EXPECT_EQ(Run({"plan", "-f", file(), "--against", "-"}), kExitDone);
  EXPECT_THAT(out(), HasSubstr("The same as stdin\n"));
}

TEST_F(PlanChangesTest, OnlyOneOfThemMayComeFromAPipe) {
  EXPECT_EQ(Run({"plan", "-f", "-", "--against", "-"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("cannot both be stdin"));
}

TEST_F(PlanChangesTest, WhatIsNeitherPlanNorFileIsRefused) {
  for (const std::string text : {"", "[1]", "planHash: 5\n", "kind: Backfill\n", "{"}) {
    SCOPED_TRACE(text);
    Keep(text);
    EXPECT_EQ(PlanAgainstOld(), kExitNotStarted);
    EXPECT_THAT(out(), IsEmpty());
    EXPECT_THAT(err(), HasSubstr("--against takes a file made by plan"));
  }
  EXPECT_EQ(Run({"plan", "-f", file(), "--against", "/nowhere"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("cannot read /nowhere"));
}

}  // namespace
}  // namespace backfill::cli
