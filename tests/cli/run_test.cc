#include "cli/run.h"

#include <sys/resource.h>

#include <nlohmann/json.hpp>

#include "cli/exit_code.h"
#include "cli/file_limit.h"
#include "cli/locks.h"
#include "tests/cli/command_fixture.h"
#include "tests/cli/golden.h"

namespace backfill::cli {
namespace {

using api::Phase;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class RunTest : public CommandFixture {
 protected:
  // A step after which the status is that of a sample.
  static FakeOperator::Played Becomes(Phase phase, bool settled = false) {
    return {.change = [phase](api::Backfill& b) { b.status = SampleIn(phase).status; },
            .settled = settled,
            .error = {},
            .meanwhile = {},
            .is_written = true};
  }
  static FakeOperator::Played Settles(Phase phase) { return Becomes(phase, true); }
  static FakeOperator::Played Stalls(const std::string& reason) {
    return {.change =
                [reason](api::Backfill& b) {
                  b.status = SampleIn(Phase::kRunning).status;
                  SetCondition(b, "Stalled", api::ConditionStatus::kTrue, reason, "why");
                },
            .settled = false,
            .error = {},
            .meanwhile = {},
            .is_written = true};
  }
  static FakeOperator::Played Fails(ErrorCode code, const std::string& message) {
    return {.change = {},
            .settled = false,
            .error = Error{code, message},
            .meanwhile = {},
            .is_written = true};
  }
  FakeOperator::Played While(FakeOperator::Played step, std::function<void()> meanwhile) {
    step.meanwhile = std::move(meanwhile);
    return step;
  }
  [[nodiscard]] std::filesystem::path notes() const {
    return dir_ / "state/default.reprice.workers.sent";
  }
  int RunFile(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"run", "-f", file()});
    return Run(more);
  }
};

TEST_F(RunTest, EndsWithTheBackfill) {
  script_ = {Becomes(Phase::kPlanning), Becomes(Phase::kRunning), Settles(Phase::kCompleted)};
  EXPECT_EQ(RunFile(), kExitDone);
  EXPECT_THAT(out(), StartsWith("reprice completed\n"));
  EXPECT_THAT(err(), HasSubstr("reprice: Planning"));
  EXPECT_THAT(err(), HasSubstr("reprice: Running, 48.1 %"));
  EXPECT_EQ(log_.releases, 1);
  EXPECT_FALSE(interrupts_.listening);
}

TEST_F(RunTest, DoesNotStartWithoutTheFilesThatItsWorkersNeed) {
  std::string text = kRealRun;
  text.replace(text.find(", method: POST"), 14,
               ", secretHeaders: [{name: Authorization, prefix: \"Bearer \", file: /x/token}]");
  WriteFile(text);
  EXPECT_EQ(RunFile(), kExitNotStarted);
  EXPECT_THAT(err(),
              HasSubstr("error: spec.target.http.secretHeaders[0].file: /x/token: No such file"));
  EXPECT_EQ(log_.steps, 0);
}

TEST_F(RunTest, DoesNotEndBeforeEverythingIsSettled) {
  script_ = {Becomes(Phase::kRunning), Becomes(Phase::kAwaitingApproval),
             Becomes(Phase::kAwaitingApproval), Settles(Phase::kAwaitingApproval)};
  std::string text = kRealRun;
  text.replace(text.find("dryRun: false"), 13, "dryRun: true");
  WriteFile(text);
  EXPECT_EQ(RunFile(), kExitDone);
  EXPECT_EQ(log_.steps, 4);
  EXPECT_THAT(out(), StartsWith("reprice dry run done"));
}

TEST_F(RunTest, TellsThatItFailed) {
  script_ = {Becomes(Phase::kRunning), Settles(Phase::kFailed)};
  EXPECT_EQ(RunFile(), kExitFailed);
  EXPECT_THAT(out(), HasSubstr("1,001 failed"));
}

TEST_F(RunTest, EndsWhenAPersonIsNeeded) {
  script_ = {Becomes(Phase::kRunning), Stalls("FailureBudgetExceeded")};
  EXPECT_EQ(RunFile(), kExitStopped);
  EXPECT_EQ(log_.releases, 1);
  EXPECT_THAT(out(), HasSubstr("spec.failurePolicy"));
}

TEST_F(RunTest, WhatWorkersNotedGoesOnceItHasEndedForGood) {
  const auto workers_note = [this] {
    std::filesystem::create_directories(notes());
    std::ofstream(notes() / "run-0.abc") << "x";
  };
  script_ = {While(Becomes(Phase::kRunning), workers_note), Stalls("FailureBudgetExceeded")};
  EXPECT_EQ(RunFile(), kExitStopped);
  EXPECT_TRUE(std::filesystem::exists(notes() / "run-0.abc")) << "it may go on";
  script_ = {Becomes(Phase::kRunning), Settles(Phase::kCompleted)};
  EXPECT_EQ(RunFile(), kExitDone);
  EXPECT_FALSE(std::filesystem::exists(notes()));

  workers_note();  // of a runner that was killed at that very moment
  EXPECT_EQ(RunFile(), kExitDone);
  EXPECT_FALSE(std::filesystem::exists(notes()));
}

TEST_F(RunTest, WhatWorkersNotedInADryRunStaysForTheRun) {
  std::filesystem::create_directories(notes());
  std::string text = kRealRun;
  text.replace(text.find("dryRun: false"), 13, "dryRun: true");
  WriteFile(text);
  script_ = {Settles(Phase::kAwaitingApproval)};
  EXPECT_EQ(RunFile(), kExitDone);
  EXPECT_TRUE(std::filesystem::exists(notes()));
}

TEST_F(RunTest, EndsAtOnceWhenItWasPausedBefore) {
  Store(FileIn(Phase::kRunning));
  ASSERT_EQ(Run({"pause", "reprice", "--reason", "night shift"}), kExitDone);
  script_ = {Becomes(Phase::kPaused), Settles(Phase::kPaused)};
  EXPECT_EQ(RunFile(), kExitStopped);
  EXPECT_THAT(out(), HasSubstr("reprice is paused by hand: night shift"));
  EXPECT_THAT(out(), HasSubstr("backfill resume reprice"));
}

TEST_F(RunTest, WaitsWhenItIsPausedMeanwhile) {
  script_ = {Becomes(Phase::kRunning), Settles(Phase::kPaused), Settles(Phase::kPaused),
             Becomes(Phase::kRunning), Settles(Phase::kCompleted)};
  EXPECT_EQ(RunFile(), kExitDone);
  EXPECT_EQ(log_.steps, 5);
  EXPECT_THAT(err(), HasSubstr("reprice: Paused"));
}

TEST_F(RunTest, StopsOnRequestAndSaysHowToGoOn) {
  script_ = {Becomes(Phase::kRunning),
             While(Becomes(Phase::kRunning), [this] { interrupts_.Ask(); })};
  EXPECT_EQ(RunFile(), kExitStopped);
  EXPECT_EQ(log_.releases, 1);
  EXPECT_EQ(log_.kills, 0);
  EXPECT_THAT(err(), HasSubstr("stopping: waiting for requests in flight; again to end at once"));
  EXPECT_THAT(out(), HasSubstr("continue with: backfill run -f DIR/reprice.yaml"));
}

TEST_F(RunTest, KillsItsWorkersWhenSomeoneInsists) {
  script_ = {While(Becomes(Phase::kRunning), [this] {
    interrupts_.Ask();
    interrupts_.Insist();
  })};
  EXPECT_EQ(RunFile(), kExitStopped);  // the real thing ends the process here
  EXPECT_EQ(log_.kills, 1);
}

TEST_F(RunTest, TriesAgainWhatFailsForAWhile) {
  script_ = {Becomes(Phase::kRunning), Fails(ErrorCode::kUnavailable, "the disk is full"),
             Settles(Phase::kCompleted)};
  EXPECT_EQ(RunFile(), kExitDone);
  EXPECT_THAT(err(), HasSubstr("the disk is full; trying again"));
}

TEST_F(RunTest, EndsAfterTenMinutesOfFailures) {
  struct ShiftedClock final : Clock {
    SystemClock real;
    Duration shift{};
    [[nodiscard]] Time Steady() const override { return real.Steady() + shift; }
    [[nodiscard]] WallTime Wall() const override { return real.Wall(); }
  } clock;
  const Environment env{.streams = env_.streams,
                        .clock = clock,
                        .interrupts = env_.interrupts,
                        .open_store = env_.open_store,
                        .start_operator = env_.start_operator,
                        .user = env_.user};
  const auto disk_full = Fails(ErrorCode::kUnavailable, "the disk is full");
  script_ = {Becomes(Phase::kRunning), disk_full,
             While(disk_full, [&] { clock.shift = std::chrono::minutes(10); })};
  EXPECT_EQ(RunCommandLine({"run", "-f", file(), "--state-dir", state_dir()}, env), kExitStopped);
  EXPECT_THAT(err(), HasSubstr("error: the disk is full"));
  EXPECT_EQ(log_.steps, 3);
  EXPECT_EQ(log_.releases, 1);
}

TEST_F(RunTest, SaysWhyItEndedAlsoWhereTheStoreDoesNotKnow) {
  FakeOperator::Played unwritten = Stalls("StoreUnavailable");
  unwritten.is_written = false;
  script_ = {Becomes(Phase::kRunning), unwritten};
  EXPECT_EQ(RunFile(), kExitStopped);
  EXPECT_THAT(out(), StartsWith("reprice needs a person: StoreUnavailable: why"));
}

TEST_F(RunTest, StoppedWhilePausedPointsToResume) {
  Store(FileIn(Phase::kRunning));
  script_ = {While(Becomes(Phase::kRunning),
                   [this] {
                     api::Backfill b = Stored();
                     b.annotations[api::kPausedAnnotation] = "incident";
                     ASSERT_TRUE(store().Update(api::ToObject(b), kube::Durability::kProcess).ok());
                   }),
             Settles(Phase::kPaused),
             While(Settles(Phase::kPaused), [this] { interrupts_.Ask(); })};
  EXPECT_EQ(RunFile(), kExitStopped);
  EXPECT_THAT(out(), HasSubstr("continue with: backfill resume reprice"));
}

TEST_F(RunTest, TakesTheNamespaceFromTheCommandLineWhereTheFileNamesNone) {
  script_ = {Settles(Phase::kCompleted)};
  EXPECT_EQ(RunFile({"-n", "shop"}), kExitDone);
  EXPECT_EQ(Stored("reprice", "shop").ns, "shop");
  EXPECT_EQ(RunFile({"-n", "default"}), kExitDone) << "another one";
  EXPECT_EQ(Stored("reprice", "default").ns, "default");
}

TEST_F(RunTest, GivesUpOnADamagedStore) {
  script_ = {Becomes(Phase::kRunning), Fails(ErrorCode::kInternal, "backfill.db is damaged")};
  EXPECT_EQ(RunFile(), kExitStopped);
  EXPECT_THAT(err(), HasSubstr("error: backfill.db is damaged"));
  EXPECT_EQ(log_.releases, 1);
}

TEST_F(RunTest, PrintsOneJsonDocumentHoweverItEnds) {
  for (const auto& [step, code] : {std::pair{Settles(Phase::kCompleted), kExitDone},
                                   {Settles(Phase::kFailed), kExitFailed},
                                   {Stalls("LedgerCorrupt"), kExitStopped}}) {
    std::filesystem::remove_all(state_dir());
    script_ = {Becomes(Phase::kRunning), step};
    EXPECT_EQ(RunFile({"-o", "json"}), code);
    EXPECT_FALSE(out().ends_with("\n\n"));
    const auto object = nlohmann::json::parse(out());
    EXPECT_EQ(object.at("kind"), "Backfill");
    EXPECT_TRUE(object.at("status").contains("phase"));
  }
}

TEST_F(RunTest, PrintsNoFiguresWithoutProgress) {
  script_ = {Becomes(Phase::kRunning), Becomes(Phase::kRunning), Becomes(Phase::kRunning),
             Settles(Phase::kCompleted)};
  EXPECT_EQ(RunFile({"--no-progress"}), kExitDone);
  std::istringstream lines(err());
  int running = 0;
  for (std::string line; std::getline(lines, line);)
    running += line.starts_with("reprice: Running") ? 1 : 0;
  EXPECT_EQ(running, 1);
}

TEST_F(RunTest, DrawsInPlaceOnATerminal) {
  streams_.live = true;
  streams_.width = [] { return 40; };
  script_ = {Becomes(Phase::kPlanning), Becomes(Phase::kRunning), Settles(Phase::kCompleted)};
  EXPECT_EQ(RunFile(), kExitDone);
  EXPECT_THAT(err(), HasSubstr("\x1b[2A\x1b[J"));  // over the two lines of the planning
  EXPECT_THAT(out(), Not(HasSubstr("\x1b")));
}

// ---- what is stored under the name

TEST_F(RunTest, StoresTheObjectBeforeAnythingElse) {
  start_error_ = Error{ErrorCode::kInvalid, "the worker binary is missing"};
  EXPECT_EQ(RunFile(), kExitNotStarted);
  EXPECT_THAT(err(),
              HasSubstr("the worker binary is missing; then run it again with: backfill run"));
  EXPECT_EQ(Stored().spec.throttle.max_records_per_second, 500);
  start_error_.reset();
  script_ = {Settles(Phase::kCompleted)};
  EXPECT_EQ(RunFile(), kExitDone);  // the crash between did no harm
}

TEST_F(RunTest, SaysWhereItGoesOn) {
  Store(FileIn(Phase::kRunning));
  script_ = {Settles(Phase::kCompleted)};
  EXPECT_EQ(RunFile(), kExitDone);
  EXPECT_THAT(err(), HasSubstr("reprice: goes on at 48.1 %, 4,812,000 of 10,000,000 records"));
}

TEST_F(RunTest, CountsNothingOfADryRunWhenItGoesOnForReal) {
  api::Backfill dry = FileIn(Phase::kAwaitingApproval);
  dry.spec.dry_run = true;
  dry.spec.perform_disruptive_backfill = "";
  Store(dry);
  script_ = {Settles(Phase::kCompleted)};
  EXPECT_EQ(RunFile(), kExitDone);
  EXPECT_THAT(err(), HasSubstr("reprice: for real, state in"));
  EXPECT_THAT(out(), Not(HasSubstr("in this run")));
}

TEST_F(RunTest, LetsTheFileWinOverWhatWasAppliedSince) {
  api::Backfill applied = FileIn(Phase::kRunning);
  applied.spec.throttle.max_records_per_second = 9;
  Store(applied);
  script_ = {Settles(Phase::kCompleted)};
  EXPECT_EQ(RunFile(), kExitDone);
  EXPECT_THAT(err(), HasSubstr("the file holds:\n  spec.throttle.maxRecordsPerSecond: 9 -> 500"));
  EXPECT_EQ(Stored().spec.throttle.max_records_per_second, 500);
}

TEST_F(RunTest, DoesNothingForWhatHasEnded) {
  Store(FileIn(Phase::kCompleted));
  EXPECT_EQ(RunFile(), kExitDone);
  EXPECT_EQ(out(),
            "reprice completed at 2026-05-01T11:48:30Z, 10,000,000 records; nothing to do\n");
  EXPECT_EQ(log_.steps, 0);
  EXPECT_EQ(RunFile({"-o", "json"}), kExitDone);
  EXPECT_TRUE(nlohmann::json::accept(out()));
}

TEST_F(RunTest, RepeatsThatItHasFailed) {
  Store(FileIn(Phase::kFailed));
  EXPECT_EQ(RunFile(), kExitFailed);
  EXPECT_EQ(log_.steps, 0);
}

TEST_F(RunTest, RefusesAnotherSpecUnderAnEndedName) {
  api::Backfill other = FileIn(Phase::kCompleted);
  other.spec.source = api::RangeSource{5, 6};
  Store(other);
  EXPECT_EQ(RunFile(), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("AlreadyRan"));
  EXPECT_THAT(err(), HasSubstr("give it another metadata.name"));
  EXPECT_EQ(log_.steps, 0);
  EXPECT_THAT(out(), IsEmpty());
}

TEST_F(RunTest, RefusesOtherWorkWhileItIsUnderWay) {
  api::Backfill other = FileIn(Phase::kRunning);
  other.spec.source = api::RangeSource{5, 6};
  Store(other);
  EXPECT_EQ(RunFile(), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("spec.source"));
  EXPECT_EQ(log_.steps, 0);
}

// ---- the environment

TEST_F(RunTest, IsRefusedWhileAnotherProcessRunsIt) {
  static_cast<void>(store());
  const auto runner = RunnerLock::Take(dir_ / "state/default.reprice.lock", Noon());
  EXPECT_EQ(RunFile(), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("reprice is run by process " + std::to_string(getpid()) +
                               " since 2026-05-01T12:00:00Z"));
  EXPECT_THAT(err(), HasSubstr("see backfill status reprice"));
  EXPECT_EQ(log_.steps, 0);
}

TEST_F(RunTest, PassesOnWhatItKnowsOfEarlierWorkers) {
  script_ = {Settles(Phase::kCompleted)};
  EXPECT_EQ(RunFile({"--workers", "3"}), kExitDone);
  EXPECT_TRUE(settings_->predecessors_gone);
  EXPECT_GE(settings_->alive_lock_fd, 0);
  EXPECT_EQ(settings_->max_replicas, 3);
}

TEST_F(RunTest, StartsNothingForAFileWithProblems) {
  WriteFile("kind: Backfill\n");
  EXPECT_EQ(RunFile(), kExitNotStarted);
  EXPECT_FALSE(std::filesystem::exists(state_dir()));
}

TEST_F(RunTest, RefusesADirectoryThatIsNone) {
  std::ofstream(dir_ / "state") << "x";
  EXPECT_EQ(RunFile(), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("is not a directory"));
}

TEST(FileLimitTest, GrowsWithWorkersAndConcurrency) {
  EXPECT_LT(FilesNeeded(2, 16), 256U);
  EXPECT_GT(FilesNeeded(3000, 16), 6000U);
  EXPECT_GT(FilesNeeded(1, 1024), 1024U);
  EXPECT_GT(FilesNeeded(-1, -1), 0U);
}

TEST(FileLimitTest, RaisesTheSoftLimitAndSaysWhatIsMissing) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit low{std::min<rlim_t>(64, before.rlim_max), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_TRUE(RaiseFileLimit(65).ok());
  const Status missing = RaiseFileLimit(std::uint64_t{before.rlim_max} + 1);
  setrlimit(RLIMIT_NOFILE, &before);
  if (before.rlim_max == RLIM_INFINITY) GTEST_SKIP() << "nothing is missing without a limit";
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, HasSubstr("ulimit -n"));
}

}  // namespace
}  // namespace backfill::cli
