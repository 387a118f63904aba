#include "operator/reconcile/reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operator/api/decode.h"
#include "operator/report/run_report.h"
#include "tests/fakes/fake_stage_host.h"
#include "tests/fakes/manual_clock.h"
#include "tests/fakes/memory_store.h"
#include "tests/fakes/store_levers.h"

namespace backfill::reconcile {
namespace {

using api::Phase;

constexpr char kFile[] = R"(
apiVersion: backfill.dev/v1alpha1
kind: Backfill
metadata: {name: reprice}
spec:
  source: {range: {start: 0, end: 5000}}
  target: {http: {url: "http://127.0.0.1:1/{{key}}"}}
  sharding: {recordsPerShard: 1000}
  failurePolicy: {maxFailedPercent: "100"}
)";

class ReconcilerTest : public testing::Test {
 protected:
  ReconcilerTest() { StartOperator(); }

  // What a user does.
  void Apply(const std::string& text) {
    api::Decoded decoded = api::DecodeBackfill(text, "reprice.yaml");
    ASSERT_TRUE(decoded.backfill) << api::ToString(decoded.problems.at(0));
    decoded.backfill->ns = ref_.ns;
    ASSERT_TRUE(memory_.Create(api::ToObject(*decoded.backfill), kube::Durability::kPower).ok());
  }
  template <typename F>
  void Edit(F change) {
    api::Backfill b = Stored();
    change(b);
    const auto updated = memory_.Update(api::ToObject(b), kube::Durability::kPower);
    ASSERT_TRUE(updated.ok()) << updated.error().message;
  }
  void GoReal() {
    Edit([](api::Backfill& b) {
      b.spec.dry_run = false;
      b.spec.perform_disruptive_backfill = "reprice";
      b.spec.throttle.max_records_per_second = 100;
    });
  }
  void Delete() { ASSERT_TRUE(memory_.Delete(ref_, "").ok()); }

  void StartOperator() {
    reconciler_ = std::make_unique<Reconciler>(store_, stages_, pool_, clock_,
                                               ReconcilerOptions{.status_period = 500ms});
  }
  void CrashOperator() {
    stages_.Crash();
    pool_ = {};
    StartOperator();
  }

  // Steps until nothing is left to do without the outside world; work finishes as soon as a stage
  // is open.
  void RunToEnd(int at_most = 100) {
    for (int i = 0; i < at_most; ++i) {
      if (complete_work_) {
        for (const Stage stage : {Stage::kDryRun, Stage::kRun})
          if (stages_.IsOpen(stage)) stages_.Finish(stage, failed_);
      }
      auto outcome = reconciler_->Reconcile(ref_, {});
      clock_.Advance(200ms);
      if (outcome.ok() && outcome->settled) return;
    }
    FAIL() << "never settled; phase "
           << api::ToString(Stored().status.phase.value_or(Phase::kPending));
  }
  void Step(int n = 1) {
    for (int i = 0; i < n; ++i) {
      (void)reconciler_->Reconcile(ref_, {});
      clock_.Advance(200ms);
    }
  }

  api::Backfill Stored() {
    const auto object = memory_.Get(ref_);
    EXPECT_TRUE(object.ok());
    auto b = api::FromObject(*object);
    EXPECT_TRUE(b.ok());
    return *b;
  }
  std::string ConditionOf(const std::string& type) {
    for (const api::Condition& c : Stored().status.conditions)
      if (c.type == type) return std::string(api::ToString(c.status)) + "/" + c.reason;
    return "-";
  }

  const kube::ObjectRef ref_{"Backfill", "default", "reprice"};
  fakes::ManualClock clock_;
  fakes::MemoryStore memory_{&clock_};
  fakes::StoreLevers store_{memory_};
  fakes::FakeStageHost stages_;
  fakes::FakeWorkerPool pool_;
  std::unique_ptr<Reconciler> reconciler_;
  bool complete_work_ = true;
  std::uint64_t failed_ = 0;
};

TEST_F(ReconcilerTest, ADryRunEndsBeforeAnyRun) {
  Apply(kFile);
  RunToEnd();
  EXPECT_EQ(Stored().status.phase, Phase::kAwaitingApproval);
  EXPECT_EQ(Stored().status.dry_run->records, 5000U);
  EXPECT_EQ(stages_.times_opened(Stage::kRun), 0);
  EXPECT_EQ(pool_.alive(Stage::kDryRun), 0);
  EXPECT_FALSE(memory_.Get({"ConfigMap", "default", "reprice-report"}).ok())
      << "a dry run leaves no tombstone";
  EXPECT_TRUE(memory_.Get({"ConfigMap", "default", "reprice-dry-run-report"}).ok());
}

TEST_F(ReconcilerTest, TheRunKeepsThePlanOfItsDryRun) {
  Apply(kFile);
  RunToEnd();
  const std::string hash = Stored().status.plan->hash;
  GoReal();
  RunToEnd();
  EXPECT_EQ(Stored().status.phase, Phase::kCompleted);
  EXPECT_EQ(ConditionOf("Succeeded"), "True/Completed");
  EXPECT_EQ(Stored().status.plan->hash, hash);
  EXPECT_EQ(Stored().status.progress->records, 5000U);
  report::ReportStore reports(memory_);
  EXPECT_EQ(reports.Read(Stored())->result, report::RunResult::kCompleted);
  EXPECT_EQ(reports.Read(Stored())->outcome.records, 5000U);
}

TEST_F(ReconcilerTest, ADeletedAndRecreatedBackfillDoesNotRunAgain) {
  Apply(kFile);
  GoReal();
  RunToEnd();
  Delete();
  Apply(kFile);
  GoReal();
  RunToEnd();
  EXPECT_EQ(ConditionOf("Stalled"), "True/AlreadyRan");
  EXPECT_EQ(stages_.times_opened(Stage::kRun), 1);
}

TEST_F(ReconcilerTest, AHandOverClosesStagesAndLeavesWorkersAlone) {
  Apply(kFile);
  GoReal();
  complete_work_ = false;
  Step(10);
  ASSERT_TRUE(stages_.IsOpen(Stage::kRun));
  const int alive = pool_.alive(Stage::kRun);
  ASSERT_GT(alive, 0);
  ASSERT_TRUE(reconciler_->HandOver().ok());
  EXPECT_FALSE(stages_.IsOpen(Stage::kRun));
  EXPECT_EQ(pool_.alive(Stage::kRun), alive);
  // Whoever leads next goes on.
  StartOperator();
  complete_work_ = true;
  RunToEnd();
  EXPECT_EQ(ConditionOf("Succeeded"), "True/Completed");
}

TEST_F(ReconcilerTest, WhatIsGoneUnderItsWorkersIsWoundDown) {
  Apply(kFile);
  GoReal();
  complete_work_ = false;
  Step(10);
  ASSERT_TRUE(stages_.IsOpen(Stage::kRun));
  Delete();
  for (int i = 0; i < 3; ++i) ASSERT_FALSE(reconciler_->Reconcile(ref_, {}).ok());
  EXPECT_FALSE(stages_.IsOpen(Stage::kRun));
  EXPECT_EQ(pool_.alive(Stage::kRun), 0);
}

TEST_F(ReconcilerTest, ARunDeletedHalfWayDoesNotRunAgainEither) {
  Apply(kFile);
  GoReal();
  complete_work_ = false;
  Step(10);
  ASSERT_TRUE(stages_.IsOpen(Stage::kRun));
  Delete();
  CrashOperator();
  Apply(kFile);
  GoReal();
  RunToEnd();
  EXPECT_EQ(ConditionOf("Stalled"), "True/AlreadyRan");
  EXPECT_EQ(stages_.times_opened(Stage::kRun), 1);
}

TEST_F(ReconcilerTest, PausingReachesTheStageInOneStep) {
  Apply(kFile);
  GoReal();
  complete_work_ = false;
  Step(10);
  ASSERT_FALSE(stages_.SettingsOf(Stage::kRun)->paused);
  Edit([](api::Backfill& b) { b.annotations[api::kPausedAnnotation] = "incident"; });
  Step();
  EXPECT_TRUE(stages_.SettingsOf(Stage::kRun)->paused);
  EXPECT_EQ(Stored().status.phase, Phase::kPaused);
  Edit([](api::Backfill& b) { b.annotations.clear(); });
  Step();
  EXPECT_FALSE(stages_.SettingsOf(Stage::kRun)->paused);
}

TEST_F(ReconcilerTest, ProgressAloneIsWrittenOncePerStatusPeriod) {
  Apply(kFile);
  GoReal();
  complete_work_ = false;
  Step(10);
  store_.ForgetWrites();
  const StageKey key{"default", "reprice", Stored().uid, Stage::kRun};
  for (int done = 0; done < 5; ++done) {  // a step each 200 ms: 1 s
    stages_.Progress(key, done);
    Step();
  }
  EXPECT_LE(store_.Writes("Backfill"), 2);
  EXPECT_GE(store_.Writes("Backfill"), 1);
}

TEST_F(ReconcilerTest, WhatSlowedARunDownStandsInItsReport) {
  Apply(kFile);
  RunToEnd();
  complete_work_ = false;
  GoReal();
  Step(5);
  Edit([](api::Backfill& b) {
    b.spec.throttle.override =
        api::Override{api::OverrideType::kCap, 10, "2099-01-01T00:00:00Z", "incident 4711"};
  });
  Step(5);
  complete_work_ = true;
  RunToEnd();
  const auto report = report::ReportStore(memory_).Read(Stored());
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->result, report::RunResult::kCompleted);
  ASSERT_FALSE(report->throttling.changes.empty());
  const api::ThrottleChange& change = report->throttling.changes[0];
  EXPECT_EQ(change.state, "Overridden");
  EXPECT_EQ(change.rate, 10);
  EXPECT_NE(change.reason.find("incident 4711"), std::string::npos);
}

struct ListedDecisions final : decision_log::DecisionSink {
  void Write(std::string_view line) override { lines.emplace_back(line); }
  [[nodiscard]] std::uint64_t Volume() const override { return 1; }
  std::vector<std::string> lines;
};

TEST_F(ReconcilerTest, EveryDecisionAboutTheRateIsLoggedUnderItsName) {
  ListedDecisions decisions;
  reconciler_ = std::make_unique<Reconciler>(
      store_, stages_, pool_, clock_,
      ReconcilerOptions{.status_period = 500ms, .decisions = &decisions});
  Apply(kFile);
  RunToEnd();
  EXPECT_TRUE(decisions.lines.empty()) << "a dry run without requests has no rate";
  GoReal();
  RunToEnd();
  ASSERT_GE(decisions.lines.size(), 2u);
  EXPECT_NE(decisions.lines[0].find("\"throttle\":\"start\""), std::string::npos);
  EXPECT_NE(decisions.lines[1].find("\"governor\":\"default/reprice\""), std::string::npos);
  reconciler_.reset();  // before what it writes to
}

TEST_F(ReconcilerTest, NothingIsWrittenWhenNothingChanges) {
  Apply(kFile);
  RunToEnd();
  store_.ForgetWrites();
  Step(10);
  EXPECT_EQ(store_.Writes(), 0);
}

TEST_F(ReconcilerTest, ReleaseLeavesTheBackfillReadyToGoOn) {
  Apply(kFile);
  GoReal();
  complete_work_ = false;
  Step(10);
  ASSERT_TRUE(reconciler_->Release(ref_).ok());
  EXPECT_FALSE(stages_.IsOpen(Stage::kRun));
  EXPECT_EQ(pool_.alive(Stage::kRun), 0);
  EXPECT_EQ(ConditionOf("Paused"), "False/NotPaused");
  CrashOperator();
  complete_work_ = true;
  RunToEnd();
  EXPECT_EQ(Stored().status.phase, Phase::kCompleted);
}

TEST_F(ReconcilerTest, FailuresBeyondTheBudgetFailAndStayFailed) {
  Apply(kFile);
  GoReal();
  Edit([](api::Backfill& b) {
    b.spec.failure_policy.max_failed_records = 10;
    b.spec.failure_policy.on_exceeded = api::OnExceeded::kFail;
  });
  failed_ = 11;
  complete_work_ = false;
  Step(10);
  stages_.Progress({"default", "reprice", Stored().uid, Stage::kRun}, 2, failed_);
  RunToEnd();
  EXPECT_EQ(Stored().status.phase, Phase::kFailed);
  EXPECT_EQ(ConditionOf("Succeeded"), "False/FailureBudgetExceeded");
  CrashOperator();
  RunToEnd();
  EXPECT_EQ(ConditionOf("Succeeded"), "False/FailureBudgetExceeded");
  EXPECT_EQ(report::ReportStore(memory_).Read(Stored())->result, report::RunResult::kFailed);
}

TEST_F(ReconcilerTest, AConflictingEditIsReadAndNothingOfItIsLost) {
  Apply(kFile);
  store_.FailAfterApply(1, Error{ErrorCode::kUnavailable, "the answer is lost"}, "Backfill");
  Step();
  Edit([](api::Backfill& b) { b.spec.description = "edited meanwhile"; });
  RunToEnd();
  EXPECT_EQ(Stored().spec.description, "edited meanwhile");
  EXPECT_EQ(Stored().status.phase, Phase::kAwaitingApproval);
}

TEST_F(ReconcilerTest, TheDryRunRunsThePlanThatWasMadeWhateverIsEditedMeanwhile) {
  std::string text = kFile;
  text.replace(text.find("  sharding"), text.find("  failure") - text.find("  sharding"), "");
  text.replace(text.find("5000"), 4, "90000");
  Apply(text);
  Step();
  const std::string hash = Stored().status.plan->hash;
  Edit([](api::Backfill& b) { b.spec.workers.replicas = 7; });  // would cut other shards
  RunToEnd();
  EXPECT_EQ(Stored().status.phase, Phase::kAwaitingApproval);
  EXPECT_EQ(Stored().status.dry_run->records, 90'000U);
  for (const auto& [key, ledger] : stages_.ledgers()) EXPECT_EQ(ledger.plan_hash, hash);
}

TEST_F(ReconcilerTest, AllWorkersMayBeLostAtOnce) {
  Apply(kFile);
  GoReal();
  Edit([](api::Backfill& b) { b.spec.workers.replicas = 8; });
  complete_work_ = false;
  Step(5);
  for (int i = 0; i < 4; ++i) pool_.LoseAll(Stage::kRun);
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "-");
  stages_.NewSession();
  Step();
  for (int i = 0; i < 4; ++i) pool_.LoseAll(Stage::kRun);
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "-") << "one of them has connected";
  pool_.LoseAll(Stage::kRun);
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/WorkersUnavailable");
}

TEST_F(ReconcilerTest, AnotherBatchSizeReachesTheWorkers) {
  std::string text = kFile;
  text.replace(text.find("{url: \"http://127.0.0.1:1/{{key}}\"}"), 35,
               "{url: \"http://127.0.0.1:1/\", body: \"{{records}}\"}");
  Apply(text + "  workers: {batchSize: 20}\n");
  GoReal();
  complete_work_ = false;
  Step(5);
  ASSERT_EQ(stages_.batch_size(Stage::kRun), 20);
  Edit([](api::Backfill& b) { b.spec.workers.batch_size = 50; });
  Step(5);
  EXPECT_EQ(stages_.batch_size(Stage::kRun), 50);
  EXPECT_EQ(pool_.alive(Stage::kRun), 2);
  EXPECT_EQ(ConditionOf("Reconciling"), "-");
  complete_work_ = true;
  RunToEnd();
  EXPECT_EQ(Stored().status.phase, Phase::kCompleted);
}

TEST_F(ReconcilerTest, AnEmptyRunThatIsPausedByItsFileEnds) {
  std::string text = kFile;
  text.replace(text.find("5000"), 4, "0");
  Apply(text);
  GoReal();
  Edit([](api::Backfill& b) { b.spec.paused = true; });
  RunToEnd();
  EXPECT_EQ(ConditionOf("Succeeded"), "True/Completed");
}

TEST_F(ReconcilerTest, ACrashBetweenReportAndStatusLosesNoReport) {
  Apply(kFile);
  GoReal();
  Step();  // planned
  store_.FailNext(1, Error{ErrorCode::kUnavailable, "the process is gone"}, "Backfill");
  Step();  // the report is there, the status does not say so
  ASSERT_TRUE(memory_.Get({"ConfigMap", "default", "reprice-report"}).ok());
  CrashOperator();
  RunToEnd();
  EXPECT_EQ(Stored().status.report, "reprice-report");
}

TEST_F(ReconcilerTest, AStoreThatTakesNoWritesNeedsAPersonAfterTenMinutes) {
  Apply(kFile);
  GoReal();
  complete_work_ = false;
  Step(5);
  store_.FailNext(1'000'000, Error{ErrorCode::kUnavailable, "disk full"});
  stages_.Progress({"default", "reprice", Stored().uid, Stage::kRun}, 1);
  clock_.Advance(1s);
  const auto ready_and_stalled = [&] {
    const auto outcome = reconciler_->Reconcile(ref_, {});
    std::string seen;
    for (const api::Condition& c : outcome->backfill.status.conditions)
      if (c.type == "Ready" || c.type == "Stalled") seen += c.type + "=" + c.reason + " ";
    clock_.Advance(1s);
    return seen;
  };
  (void)ready_and_stalled();
  EXPECT_EQ(ready_and_stalled(), "Ready=StoreUnavailable ");
  clock_.Advance(9min + 50s);
  EXPECT_EQ(ready_and_stalled(), "Ready=StoreUnavailable ");
  clock_.Advance(10s);
  EXPECT_THAT(ready_and_stalled(), testing::HasSubstr("Stalled=StoreUnavailable"));
  EXPECT_EQ(ConditionOf("Ready"), "True/Running") << "as far as the store can tell";

  store_.FailNext(0, Error{ErrorCode::kUnavailable, ""});
  Step(3);
  EXPECT_EQ(ConditionOf("Ready"), "True/Running");
  EXPECT_EQ(ConditionOf("Stalled"), "-");
}

TEST_F(ReconcilerTest, LedgersAreReadWhenTheyMayHaveChangedOnly) {
  Apply(kFile);
  RunToEnd();
  GoReal();
  complete_work_ = false;
  Step(5);
  const int before = stages_.times_read();
  Step(20);
  EXPECT_EQ(stages_.times_read(), before);
}

// F1: the operator dies at every write in turn, with the write lost or done; what comes back
// converges.
class CrashAfterEveryWrite : public ReconcilerTest, public testing::WithParamInterface<bool> {};
TEST_P(CrashAfterEveryWrite, Converges) {
  const Error crash{ErrorCode::kUnavailable, "the process is gone"};
  for (int write = 0; write < 12; ++write) {
    (void)memory_.Delete(ref_, "");
    (void)memory_.Delete({"ConfigMap", "default", "reprice-report"}, "");
    stages_ = {};
    Apply(kFile);
    GoReal();
    CrashOperator();
    for (int step = 0; step < 60; ++step) {
      if (stages_.IsOpen(Stage::kRun)) stages_.Finish(Stage::kRun);
      const int before = store_.Writes();
      if (step == write) GetParam() ? store_.FailAfterApply(1, crash) : store_.FailNext(1, crash);
      (void)reconciler_->Reconcile(ref_, {});
      clock_.Advance(1s);
      if (step == write || store_.Writes() != before) CrashOperator();
    }
    EXPECT_EQ(ConditionOf("Succeeded"), "True/Completed") << "after a crash at step " << write;
    EXPECT_EQ(Stored().status.progress->records, 5000U);
    store_.FailNext(0, crash);
    store_.FailAfterApply(0, crash);
  }
}
INSTANTIATE_TEST_SUITE_P(LostOrDone, CrashAfterEveryWrite, testing::Bool());

TEST_F(ReconcilerTest, WhatPlanningFoundInAFileStandsInTheStatus) {
  const std::string path = testing::TempDir() + "reconciler_" + std::to_string(getpid()) + ".csv";
  std::ofstream(path) << "id,a\n1,x\n2\n1,y\n";
  std::string text = kFile;
  const std::string source = "range: {start: 0, end: 5000}";
  text.replace(text.find(source), source.size(),
               "file: {path: " + path + ", format: Csv, key: id}");
  Apply(text);
  Step(2);
  ASSERT_TRUE(Stored().status.plan.has_value());
  EXPECT_EQ(Stored().status.plan->records, 3U);
  EXPECT_EQ(Stored().status.plan->bad_records, 1U);
  EXPECT_EQ(Stored().status.plan->duplicate_keys, 1U);
  std::filesystem::remove(path);
}

// ---- what failed in another

class RetryTest : public ReconcilerTest {
 protected:
  static constexpr char kRetry[] = R"(
apiVersion: backfill.dev/v1alpha1
kind: Backfill
metadata: {name: reprice}
spec:
  source: {failuresOf: {name: first}}
  target: {http: {url: "http://127.0.0.1:1/{{key}}"}}
  failurePolicy: {maxFailedPercent: "100"}
)";

  // Another Backfill that has ended, with these records failed.
  void FirstEndedWith(const std::vector<std::string>& keys,
                      const std::optional<api::Source>& source = std::nullopt) {
    api::Backfill b = api::DecodeBackfill(kFile, "first.yaml").backfill.value();
    if (source) b.spec.source = *source;
    b.name = "first";
    b.ns = "default";
    const auto created = memory_.Create(api::ToObject(b), kube::Durability::kPower);
    ASSERT_TRUE(created.ok());
    b = api::FromObject(*created).value();
    b.status.conditions = {{"Succeeded", api::ConditionStatus::kTrue, "R", "", 1, ""}};
    ASSERT_TRUE(memory_.UpdateStatus(api::ToObject(b), kube::Durability::kPower).ok());
    first_ = {.ns = b.ns, .name = b.name, .uid = b.uid, .stage = Stage::kRun};
    FirstHas(keys);
  }
  void FirstHas(const std::vector<std::string>& keys) {
    std::vector<ledger::FailedRecord> records;
    for (const std::string& key : keys) records.emplace_back().key = key;
    stages_.FailedIn(first_, records);
  }
  StageKey first_;
};

TEST_F(RetryTest, PlansAndOpensTheKeysThatFailed) {
  FirstEndedWith({"17", "4"});
  Apply(kRetry);
  RunToEnd();
  EXPECT_EQ(Stored().status.plan->records, 2U);
  const api::Source expected = api::KeysSource{.keys = {"17", "4"}, .numeric = true};
  EXPECT_EQ(stages_.source(Stage::kDryRun), expected);
  GoReal();
  RunToEnd();
  EXPECT_EQ(stages_.source(Stage::kRun), expected);
  EXPECT_EQ(Stored().status.phase, Phase::kCompleted);
}

TEST_F(RetryTest, AnotherNumberOfWorkersOpensWhatWasPlanned) {
  FirstEndedWith(std::vector<std::string>(20'000, "4"));
  Apply(kRetry);
  RunToEnd();
  Edit([](api::Backfill& b) { b.spec.workers.replicas = 50; });
  GoReal();
  RunToEnd();
  EXPECT_EQ(Stored().status.phase, Phase::kCompleted);
}

TEST_F(RetryTest, OpensNothingElseThanWasPlanned) {
  FirstEndedWith({"17"});
  Apply(kRetry);
  RunToEnd();
  FirstHas({"18"});
  GoReal();
  Step(5);
  EXPECT_EQ(stages_.times_opened(Stage::kRun), 0);
  EXPECT_EQ(ConditionOf("Ready"), "False/StoreUnavailable");
}

TEST_F(RetryTest, OfAFileNeedsAPersonSinceARowIsMoreThanItsKey) {
  FirstEndedWith(
      {"17"},
      api::FileSource{
          .path = "/ids.txt", .format = api::FileFormat::kLines, .key = "", .delimiter = ""});
  Apply(kRetry);
  RunToEnd();
  EXPECT_EQ(ConditionOf("Stalled"), "True/InvalidSpec");
}

TEST_F(RetryTest, OfWhatHasNotEndedNeedsAPerson) {
  Apply(kRetry);
  RunToEnd();
  EXPECT_EQ(ConditionOf("Stalled"), "True/InvalidSpec");
}

}  // namespace
}  // namespace backfill::reconcile
