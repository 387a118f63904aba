#include "cli/lint.h"

#include <sys/stat.h>

#include "cli/exit_code.h"
#include "tests/cli/command_fixture.h"
#include "tests/cli/golden.h"

namespace backfill::cli {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class LintTest : public CommandFixture {};

TEST_F(LintTest, AcceptsAFileThatCouldRun) {
  EXPECT_EQ(Run({"lint", "-f", file()}), kExitDone);
  EXPECT_THAT(out(), EndsWith("DIR/reprice.yaml: ok\n"));
  EXPECT_THAT(err(), IsEmpty());
}

TEST_F(LintTest, PrintsEveryProblemWithItsPlace) {
  WriteFile(R"(apiVersion: backfill.dev/v1alpha1
kind: Backfill
metadata: {name: Reprice}
spec:
  source: {range: {start: 10, end: 0}}
  target: {http: {url: "http://orders/{{keey}}", method: POST}}
  dryRun: false
  workers: {replicas: 0, concurency: 3}
)");
  EXPECT_EQ(Run({"lint", "-f", file()}), kExitNotStarted);
  EXPECT_THAT(out(), Not(HasSubstr(": ok")));
  ExpectGolden("lint_problems.txt", out());
}

TEST_F(LintTest, ChecksEveryFileItIsGiven) {
  const std::string other = (dir_ / "other.yaml").string();
  std::ofstream(other) << "kind: [";
  EXPECT_EQ(Run({"lint", "-f", other, file()}), kExitNotStarted);
  EXPECT_THAT(out(), HasSubstr("DIR/other.yaml:1:"));
  EXPECT_THAT(out(), HasSubstr("DIR/reprice.yaml: ok"));
  EXPECT_EQ(Run({"lint", "-f", file(), "-f", file()}), kExitDone);
}

TEST_F(LintTest, ReadsStdin) {
  in_.str(kRealRun);
  EXPECT_EQ(Run({"lint", "-f", "-"}), kExitDone);
  EXPECT_THAT(out(), EndsWith("stdin: ok\n"));
}

TEST_F(LintTest, SaysWhyAFileCannotBeRead) {
  EXPECT_EQ(Run({"lint", "-f", (dir_ / "missing.yaml").string(), dir_.path().string()}),
            kExitNotStarted);
  EXPECT_THAT(out(), HasSubstr("DIR/missing.yaml: No such file or directory"));
  EXPECT_THAT(out(), HasSubstr("DIR: Is a directory"));
}

TEST_F(LintTest, PrintsHostileTextHarmlessly) {
  WriteFile("apiVersion: backfill.dev/v1alpha1\nkind: \"\\e[2J\"\n\"\\e]0;x\\a\": 1\n");
  EXPECT_EQ(Run({"lint", "-f", file()}), kExitNotStarted);
  EXPECT_THAT(out(), Not(HasSubstr("\x1b")));
}

TEST_F(LintTest, RefusesAFileOfAnyLength) {
  WriteFile(std::string(8'000'000, 'a'));
  EXPECT_EQ(Run({"lint", "-f", file()}), kExitNotStarted);
  EXPECT_LT(out().size(), 1000U);
}

TEST_F(LintTest, NoticesThatTheNamespaceContradictsTheFile) {
  std::string text = kRealRun;
  text.replace(text.find("{name: reprice}"), 15, "{name: reprice, namespace: shop}");
  WriteFile(text);
  EXPECT_EQ(Run({"lint", "-f", file(), "-n", "shop"}), kExitDone);
  EXPECT_EQ(Run({"lint", "-f", file(), "-n", "other"}), kExitNotStarted);
  EXPECT_THAT(out(), HasSubstr("metadata.namespace"));
}

TEST_F(LintTest, WarnsOfASourceFileThatIsNotThere) {
  std::string text = kRealRun;
  const std::string source = "range: {start: 0, end: 10000}";
  text.replace(text.find(source), source.size(), "file: {path: /no/ids.txt, format: Lines}");
  WriteFile(text);
  EXPECT_EQ(Run({"lint", "-f", file()}), kExitDone) << "another machine may have it";
  EXPECT_THAT(out(),
              HasSubstr("warning: spec.source.file.path: opening /no/ids.txt: No such file"));
}

TEST_F(LintTest, WarnsOfAGroupWithSeveralTargets) {
  const auto write = [this](const std::string& name, const std::string& url) {
    std::string text = kRealRun;
    const std::string rate = "maxRecordsPerSecond: 500";
    text.replace(text.find(rate), rate.size(), rate + ", group: {name: orders-db}");
    const std::string target = "http://127.0.0.1:1/r/{{key}}";
    text.replace(text.find(target), target.size(), url);
    std::ofstream((dir_ / name).string()) << text;
    return (dir_ / name).string();
  };
  const std::string a = write("a.yaml", "http://orders:80/a/{{key}}");
  const std::string b = write("b.yaml", "http://orders:80/b/{{key}}");
  const std::string c = write("c.yaml", "http://customers/{{key}}");
  EXPECT_EQ(Run({"lint", "-f", a, "-f", b}), kExitDone);
  EXPECT_THAT(out(), Not(HasSubstr("several targets")));
  EXPECT_EQ(Run({"lint", "-f", a, "-f", b, "-f", c}), kExitDone);
  EXPECT_THAT(out(), HasSubstr("c.yaml: warning: spec.throttle.group: the group orders-db has "
                               "several targets, http://orders:80 in DIR/a.yaml and "
                               "http://customers here"));
}

}  // namespace
}  // namespace backfill::cli
