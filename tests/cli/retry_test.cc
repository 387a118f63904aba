#include "cli/retry.h"

#include "cli/exit_code.h"
#include "operator/coordinator/ledger_store.h"
#include "tests/cli/command_fixture.h"
#include "tests/cli/golden.h"

namespace backfill::cli {
namespace {

using api::Phase;
using ledger::FailureClass;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

class RetryTest : public CommandFixture {
 protected:
  // A run of the file that has ended, in which some records failed.
  void HasEndedWith(const std::vector<std::pair<std::string, FailureClass>>& failures) {
    Store(FileIn(Phase::kCompleted));
    ledger::FailureLog log;
    for (const auto& [key, how] : failures) {
      ledger::FailedRecord record;
      record.attempt = Attempt{1};
      record.position = std::stoll(key);
      record.key = key;
      record.failure_class = how;
      log.Append(record);
    }
    const api::Backfill b = Stored();
    coordinator::LedgerStore pages(
        store(), {.ns = b.ns, .name = b.name, .uid = b.uid, .stage = reconcile::Stage::kRun});
    const auto outcome = pages.Write({{coordinator::LedgerWrite::Kind::kPage,
                                       log.EncodePage(0, Epoch{1}), kube::Durability::kProcess}},
                                     Epoch{1});
    ASSERT_TRUE(outcome.status.ok()) << outcome.status.error().message;
  }
  [[nodiscard]] std::string retry_file() const { return (dir_ / "reprice-2.yaml").string(); }
  int Retry(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"retry",      "reprice", "-f",
                                          retry_file(), "--name",  "reprice-2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Run(arguments);
  }
  [[nodiscard]] std::string RetryText() const {
    std::ifstream in(retry_file());
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
};

TEST_F(RetryTest, MakesAFileOfWhatFailed) {
  HasEndedWith({{"17", FailureClass::kTimeout}, {"4", FailureClass::kPermanent}});
  EXPECT_EQ(Retry(), kExitDone) << err();
  EXPECT_THAT(out(), IsEmpty());
  EXPECT_THAT(err(), AllOf(HasSubstr("DIR/reprice-2.yaml: 2 records"),
                           HasSubstr("try it with: backfill run -f DIR/reprice-2.yaml")));
  ExpectGolden("retry.yaml", RetryText());
}

TEST_F(RetryTest, TheFileIsValidAndPlansWhatFailed) {
  HasEndedWith({{"17", FailureClass::kTimeout}, {"4", FailureClass::kPermanent}});
  ASSERT_EQ(Retry(), kExitDone) << err();
  EXPECT_EQ(Run({"lint", "-f", retry_file()}), kExitDone) << out();
  EXPECT_EQ(Run({"plan", "-f", retry_file(), "--state-dir", state_dir()}), kExitDone) << err();
  EXPECT_THAT(out(), AllOf(HasSubstr("Source:         the records that failed in reprice\n"),
                           HasSubstr("Records:        2\n")));
  EXPECT_EQ(Run({"plan", "-f", retry_file(), "--state-dir", state_dir(), "-o", "json"}), kExitDone);
  EXPECT_THAT(out(), HasSubstr("POST http://127.0.0.1:1/r/4\\n"));
}

TEST_F(RetryTest, TakesOnlySomeClassesWhereAsked) {
  HasEndedWith({{"17", FailureClass::kTimeout}, {"4", FailureClass::kPermanent}});
  EXPECT_EQ(Retry({"--class", "timeout,transient"}), kExitDone) << err();
  EXPECT_THAT(err(), HasSubstr("1 record;"));
  EXPECT_THAT(RetryText(), HasSubstr("classes:\n      - timeout\n      - transient\n"));
}

TEST_F(RetryTest, PrintsTheFileWhereAsked) {
  HasEndedWith({{"17", FailureClass::kTimeout}});
  EXPECT_EQ(Run({"retry", "reprice", "-f", "-", "--name", "reprice-2"}), kExitDone);
  EXPECT_THAT(out(), HasSubstr("kind: Backfill\n"));
}

TEST_F(RetryTest, LeavesAFileThatIsThereAlone) {
  HasEndedWith({{"17", FailureClass::kTimeout}});
  std::ofstream(retry_file()) << "edited";
  EXPECT_EQ(Retry(), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("cannot write DIR/reprice-2.yaml: File exists"));
  EXPECT_EQ(RetryText(), "edited");
}

TEST_F(RetryTest, RefusesWhereThereIsNothingToRetry) {
  HasEndedWith({{"17", FailureClass::kTimeout}});
  EXPECT_EQ(Retry({"--class", "conflict"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("reprice has no failed records of that class"));
  EXPECT_FALSE(std::filesystem::exists(retry_file()));
}

TEST_F(RetryTest, RefusesWhatHasNotEnded) {
  Store(FileIn(Phase::kRunning));
  EXPECT_EQ(Retry(), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("reprice has not ended"));
  EXPECT_FALSE(std::filesystem::exists(retry_file()));
}

TEST_F(RetryTest, NeedsAnotherName) {
  HasEndedWith({{"17", FailureClass::kTimeout}});
  EXPECT_EQ(Run({"retry", "reprice", "-f", retry_file(), "--name", "reprice"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("--name must be another"));
}

TEST_F(RetryTest, APlanOfFailuresNeedsTheState) {
  WriteFile(R"(apiVersion: backfill.dev/v1alpha1
kind: Backfill
metadata: {name: second}
spec:
  source: {failuresOf: {name: reprice}}
  target: {http: {url: "http://127.0.0.1:1/r/{{key}}"}}
)");
  EXPECT_EQ(Run({"plan", "-f", file(), "--state-dir", state_dir()}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("there is no state in DIR/state"));
  static_cast<void>(store());
  EXPECT_EQ(Run({"plan", "-f", file(), "--state-dir", state_dir()}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("there is no Backfill reprice in namespace default"));
}

TEST(MakeRetryTest, IsADryRunThatIsNotPaused) {
  api::Backfill ended = SampleIn(Phase::kCompleted);
  ended.spec.paused = true;
  ended.spec.sharding = api::Sharding{5};
  ended.spec.description = std::string(1024, 'x');
  ended.annotations[api::kPausedAnnotation] = "errors";
  const api::Backfill retry = MakeRetry(ended, "again", {});
  EXPECT_TRUE(retry.spec.dry_run);
  EXPECT_EQ(retry.spec.perform_disruptive_backfill, "");
  EXPECT_FALSE(retry.spec.paused);
  EXPECT_FALSE(retry.spec.sharding.has_value());
  EXPECT_THAT(retry.annotations, IsEmpty());
  EXPECT_EQ(retry.status, api::Status{});
  EXPECT_EQ(retry.spec.owner, ended.spec.owner);
  EXPECT_TRUE(api::DecodeBackfill(api::ToYaml(retry), "again.yaml").problems.empty());
}

}  // namespace
}  // namespace backfill::cli
