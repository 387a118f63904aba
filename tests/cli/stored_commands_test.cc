// The commands that look at and change what has been run before: status, watch, failures, shards,
// pause, resume, apply.
#include <deque>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "cli/exit_code.h"
#include "cli/failures.h"
#include "cli/locks.h"
#include "cli/shards.h"
#include "operator/coordinator/ledger_store.h"
#include "operator/ledger/ledger.h"
#include "tests/cli/command_fixture.h"
#include "tests/cli/golden.h"

namespace backfill::cli {
namespace {

using api::Phase;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

class StoredCommandsTest : public CommandFixture {
 protected:
  // Someone runs it.
  void StartRunner() {
    static_cast<void>(store());
    runner_.emplace(RunnerLock::Take(dir_ / "state/default.reprice.lock", Noon()).value());
  }
  std::optional<RunnerLock> runner_;
};

TEST_F(StoredCommandsTest, SayWhereThereIsNoState) {
  for (const std::string command : {"status", "watch", "failures", "shards", "pause", "resume"}) {
    EXPECT_EQ(Run({command, "reprice"}), kExitNotStarted);
    EXPECT_THAT(err(), HasSubstr("there is no state in DIR/state")) << command;
  }
  EXPECT_EQ(Run({"apply", "-f", file()}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("start it with: backfill run -f"));
  EXPECT_FALSE(std::filesystem::exists(state_dir()));
}

TEST_F(StoredCommandsTest, GuessTheNameThatWasMeant) {
  Store(FileIn(Phase::kRunning));
  for (const std::string command : {"status", "watch", "failures", "shards", "pause", "resume"}) {
    EXPECT_EQ(Run({command, "repice"}), kExitNotStarted);
    EXPECT_EQ(err(), "error: no backfill \"repice\" in DIR/state; did you mean \"reprice\"?\n");
  }
}

TEST_F(StoredCommandsTest, PointToTheOtherNamespace) {
  api::Backfill b = FileIn(Phase::kRunning);
  b.ns = "shop";
  Store(b);
  EXPECT_EQ(Run({"status", "reprice"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("add -n shop"));
  EXPECT_EQ(Run({"status", "reprice", "-n", "shop"}), kExitDone);
}

TEST_F(StoredCommandsTest, RefuseADamagedState) {
  std::filesystem::create_directories(state_dir());
  std::ofstream(dir_ / "state/backfill.db") << std::string(10'000, 'x');
  EXPECT_EQ(Run({"status", "reprice"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("DIR/state/backfill.db"));
}

// ---- status

TEST_F(StoredCommandsTest, StatusDescribesOneAndListsAll) {
  Store(FileIn(Phase::kRunning));
  EXPECT_EQ(Run({"status", "reprice"}), kExitDone);
  EXPECT_THAT(out(), HasSubstr("Phase:        Running"));
  EXPECT_EQ(Run({"status"}), kExitDone);
  EXPECT_THAT(out(), StartsWith("NAMESPACE   NAME"));
  EXPECT_THAT(out(), HasSubstr("reprice   Running"));
}

TEST_F(StoredCommandsTest, StatusIsJsonForPrograms) {
  Store(FileIn(Phase::kRunning));
  EXPECT_EQ(Run({"status", "reprice", "-o", "json"}), kExitDone);
  const auto one = nlohmann::json::parse(out());
  EXPECT_EQ(one.at("kind"), "Backfill");
  EXPECT_EQ(one.at("status").at("phase"), "Running");
  EXPECT_EQ(Run({"status", "-o", "json"}), kExitDone);
  EXPECT_EQ(nlohmann::json::parse(out()).at("items").at(0).at("metadata").at("name"), "reprice");
}

TEST_F(StoredCommandsTest, JsonEndsWithItsLastLine) {
  Store(FileIn(Phase::kRunning));
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"status", "-o", "json"}, {"status", "reprice", "-o", "json"}}) {
    EXPECT_EQ(Run(command), kExitDone);
    EXPECT_TRUE(out().ends_with("}\n"));
    EXPECT_FALSE(out().ends_with("\n\n"));
  }
}

TEST_F(StoredCommandsTest, StatusShowsNoActivityOfADeadRunner) {
  Store(FileIn(Phase::kRunning));
  EXPECT_EQ(Run({"status"}), kExitDone);
  EXPECT_THAT(out(), Not(HasSubstr("4,980/s")));
  EXPECT_EQ(Run({"status", "reprice"}), kExitDone);
  EXPECT_THAT(out(), Not(HasSubstr("4,980/s")));
  EXPECT_THAT(out(), Not(HasSubstr("connected")));
  StartRunner();
  EXPECT_EQ(Run({"status"}), kExitDone);
  EXPECT_THAT(out(), HasSubstr("4,980/s"));
  EXPECT_EQ(Run({"status", "reprice"}), kExitDone);
  EXPECT_THAT(out(), HasSubstr("7 of 8 connected"));
}

TEST_F(StoredCommandsTest, StatusOfAnEmptyStateIsNoError) {
  static_cast<void>(store());
  EXPECT_EQ(Run({"status"}), kExitDone);
  EXPECT_THAT(err(), HasSubstr("no backfills in DIR/state"));
}

TEST_F(StoredCommandsTest, StatusWaitTellsHowItEnded) {
  for (const auto& [phase, code] : {std::pair{Phase::kCompleted, kExitDone},
                                    {Phase::kFailed, kExitFailed},
                                    {Phase::kPaused, kExitStopped}}) {
    Store(FileIn(phase));
    EXPECT_EQ(Run({"status", "reprice", "--wait"}), code);
    ASSERT_TRUE(store().Delete({"Backfill", "default", "reprice"}, "").ok());
  }
}

TEST_F(StoredCommandsTest, StatusWaitDoesNotWaitForWhatNobodyRuns) {
  Store(FileIn(Phase::kRunning));
  EXPECT_EQ(Run({"status", "reprice", "--wait"}), kExitStopped);
  EXPECT_THAT(err(), HasSubstr("nothing is running it now"));
}

TEST_F(StoredCommandsTest, StatusWaitEndsAfterItsTimeout) {
  Store(FileIn(Phase::kRunning));
  StartRunner();
  EXPECT_EQ(Run({"status", "reprice", "--wait", "--timeout", "10ms"}), kExitStopped);
  EXPECT_THAT(err(), HasSubstr("has not ended after 10 ms"));
}

// ---- watch

class WatchTest : public StoredCommandsTest {
 protected:
  // Watches on a terminal; each time it is drawn, other processes do the next of that.
  int WatchWhile(std::deque<std::function<void()>> others) {
    streams_.live = true;
    streams_.width = [others = std::move(others)]() mutable {
      if (!others.empty()) others.front()();
      if (!others.empty()) others.pop_front();
      return 80;
    };
    return Run({"watch", "reprice"});
  }
  void Becomes(Phase phase) {
    api::Backfill b = Stored();
    b.status = FileIn(phase).status;
    b.status.observed_generation = b.generation;
    ASSERT_TRUE(store().UpdateStatus(api::ToObject(b), kube::Durability::kProcess).ok());
  }
};

TEST_F(WatchTest, OfWhatHasEndedIsItsStatus) {
  for (const auto& [phase, code] :
       {std::pair{Phase::kCompleted, kExitDone}, {Phase::kFailed, kExitFailed}}) {
    Store(FileIn(phase));
    EXPECT_EQ(Run({"watch", "reprice"}), code);
    EXPECT_THAT(out(), StartsWith("Name:         reprice\n"));
    ASSERT_TRUE(store().Delete({"Backfill", "default", "reprice"}, "").ok());
  }
}

TEST_F(WatchTest, OfWhatNobodyRunsIsItsStatus) {
  Store(FileIn(Phase::kRunning));
  EXPECT_EQ(Run({"watch", "reprice"}), kExitStopped);
  EXPECT_THAT(out(), HasSubstr("Run by:       nothing\n"));
  EXPECT_THAT(err(), IsEmpty());
}

TEST_F(WatchTest, DrawsUntilItHasEndedThenPrintsTheStatus) {
  Store(FileIn(Phase::kRunning));
  StartRunner();
  EXPECT_EQ(WatchWhile({[this] { Becomes(Phase::kCompleted); }}), kExitDone);
  EXPECT_THAT(err(), HasSubstr("reprice  Running  "));
  EXPECT_TRUE(err().ends_with("A\x1b[J")) << "what was drawn is taken away";
  EXPECT_THAT(out(), HasSubstr("Phase:        Completed\n"));
}

TEST_F(WatchTest, GoesOnThroughAPause) {
  Store(FileIn(Phase::kRunning));
  StartRunner();
  EXPECT_EQ(WatchWhile({[this] { Becomes(Phase::kPaused); }, [this] { Becomes(Phase::kFailed); }}),
            kExitFailed);
  EXPECT_THAT(err(), HasSubstr("reprice  Paused"));
  EXPECT_THAT(out(), HasSubstr("Phase:        Failed\n"));
}

TEST_F(WatchTest, EndsWithTheRunner) {
  Store(FileIn(Phase::kRunning));
  StartRunner();
  EXPECT_EQ(WatchWhile({[this] { runner_.reset(); }}), kExitStopped);
  EXPECT_THAT(out(), HasSubstr("Next:         continue with: backfill run"));
}

// ---- failures

TEST_F(StoredCommandsTest, FailuresOfAStageThatNeverRanAreNone) {
  Store(FileIn(Phase::kRunning));
  EXPECT_EQ(Run({"failures", "reprice"}), kExitDone);
  EXPECT_THAT(out(), IsEmpty());
  EXPECT_THAT(err(), HasSubstr("no failed records"));
  EXPECT_EQ(Run({"failures", "reprice", "-o", "json"}), kExitDone);
  EXPECT_THAT(out(), IsEmpty());
}

std::vector<ledger::FailedRecord> SomeFailures() {
  ledger::FailedRecord a;
  a.shard = ShardId{3};
  a.position = 17;
  a.key = "17";
  a.failure_class = ledger::FailureClass::kPermanent;
  a.attempts = 1;
  a.message = "422 Unprocessable Entity: total is negative";
  ledger::FailedRecord b = a;
  b.key = "a\x1b[2J\n" + std::string(100, 'k');
  b.failure_class = ledger::FailureClass::kTimeout;
  b.attempts = 5;
  b.message = "sent, no answer\xff";
  return {a, b};
}

TEST(FailuresTest, AreATableForPeople) {
  ExpectGolden("failures.txt", FailuresToTable(SomeFailures()));
}

TEST(FailuresTest, AreOneObjectALineForPrograms) {
  const std::string text = FailuresToJsonLines(SomeFailures());
  ExpectGolden("failures.jsonl", text);
  std::istringstream lines(text);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count)
    EXPECT_TRUE(nlohmann::json::accept(line));
  EXPECT_EQ(count, 2);
}

// ---- shards

std::vector<ledger::Shard> SomeShards() {
  ledger::Shard done;
  done.id = ShardId{0};
  done.range = {0, 1000};
  done.planned = 1000;
  done.state = ledger::ShardState::kDone;
  done.attempt = Attempt{2};
  done.cursor = 1000;
  done.counts = {.updated = 990, .unchanged = 5, .skipped = 3, .failed = 2};
  ledger::Shard split = done;  // off the one before: its id is high, its range is not
  split.id = ShardId{500};
  split.range = {1000, 1500};
  split.planned = 500;
  split.state = ledger::ShardState::kInFlight;
  split.attempt = Attempt{1};
  split.cursor = 1200;
  split.counts = {.updated = 200, .unchanged = 0, .skipped = 0, .failed = 0};
  split.holder = "w-1/\x1b[2J";
  ledger::Shard pending;
  pending.id = ShardId{1};
  pending.range = {1500, 2000};
  pending.planned = 500;
  return {done, pending, split};
}

TEST(ShardsTextTest, AreATableInTheOrderOfTheirRanges) {
  ExpectGolden("shards.txt", ShardsToTable(SomeShards()));
}

TEST(ShardsTextTest, AreOneObjectALineForPrograms) {
  const std::string text = ShardsToJsonLines(SomeShards());
  ExpectGolden("shards.jsonl", text);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_TRUE(nlohmann::json::accept(line));
}

class ShardsTest : public StoredCommandsTest {
 protected:
  // In shards of ten records, of which the first `held` are leased.
  void IsPlanned(int shards, int held = 0) {
    plan::Plan plan;
    for (int i = 0; i < shards; ++i) plan.shards.push_back({Range{i * 10, (i + 1) * 10}, 10});
    plan.records = static_cast<std::uint64_t>(shards) * 10;
    plan.hash = plan::PlanHash("work", plan.shards);
    ledger::Ledger ledger = ledger::Ledger::FromPlan(plan);
    for (int i = 0; i < held; ++i) {
      ledger::Shard shard = *ledger.Find(ShardId{i});
      shard.state = ledger::ShardState::kInFlight;
      shard.attempt = Attempt{1};
      shard.epoch = Epoch{1};
      shard.holder = "run-0/abc";
      ledger.Update(shard);
    }
    std::vector<ledger::ChunkImage> images;
    for (int i = 0; i < ledger.chunks(); ++i) images.push_back(ledger.Encode(i, Epoch{1}));
    const api::Backfill b = Stored();
    coordinator::LedgerStore chunks(
        store(), {.ns = b.ns, .name = b.name, .uid = b.uid, .stage = reconcile::Stage::kRun});
    ASSERT_TRUE(chunks.Create(images, Epoch{1}).ok());
  }
};

TEST_F(ShardsTest, AreThoseOfTheLedger) {
  Store(FileIn(Phase::kRunning));
  IsPlanned(2);
  EXPECT_EQ(Run({"shards", "reprice"}), kExitDone) << err();
  EXPECT_THAT(out(), HasSubstr("\n1       10     20      pending"));
}

TEST_F(ShardsTest, SayThatTheirHoldersMayBeGone) {
  Store(FileIn(Phase::kRunning));
  IsPlanned(2, /*held=*/1);
  EXPECT_EQ(Run({"shards", "reprice"}), kExitDone);
  EXPECT_THAT(out(), HasSubstr("run-0/abc"));
  EXPECT_EQ(err(), "nothing is running reprice now; holders are those of the last run\n");
  StartRunner();
  EXPECT_EQ(Run({"shards", "reprice"}), kExitDone);
  EXPECT_THAT(err(), IsEmpty());
}

TEST_F(ShardsTest, OfNothingAreNone) {
  Store(FileIn(Phase::kRunning));
  IsPlanned(0);
  EXPECT_EQ(Run({"shards", "reprice"}), kExitDone) << err();
  EXPECT_THAT(out(), IsEmpty());
  EXPECT_THAT(err(), HasSubstr("no shards"));
}

TEST_F(ShardsTest, NeedAPlan) {
  Store(FileIn(Phase::kPlanning));
  EXPECT_EQ(Run({"shards", "reprice"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("reprice has not been planned yet"));
}

// ---- pause and resume

TEST_F(StoredCommandsTest, PauseWritesTheReason) {
  Store(FileIn(Phase::kRunning));
  EXPECT_EQ(Run({"pause", "reprice", "--reason", "errors in checkout"}), kExitDone);
  EXPECT_EQ(Stored().annotations.at(api::kPausedAnnotation), "errors in checkout");
  EXPECT_EQ(out(), "reprice: paused by hand: errors in checkout\n");
  EXPECT_THAT(err(), HasSubstr("nothing is running it now"));
}

TEST_F(StoredCommandsTest, PauseSaysWhoAndWhenWithoutAReason) {
  Store(FileIn(Phase::kRunning));
  StartRunner();
  EXPECT_EQ(Run({"pause", "reprice"}), kExitDone);
  EXPECT_THAT(Stored().annotations.at(api::kPausedAnnotation),
              MatchesRegex("paused by ann at 20..-..-..T..:..:..Z"));
  EXPECT_THAT(err(), IsEmpty());
}

TEST_F(StoredCommandsTest, PauseAgainKeepsTheFirstReasonUnlessThereIsANewOne) {
  Store(FileIn(Phase::kRunning));
  EXPECT_EQ(Run({"pause", "reprice", "--reason", "first"}), kExitDone);
  EXPECT_EQ(Run({"pause", "reprice"}), kExitDone);
  EXPECT_EQ(out(), "reprice was paused already: paused by hand: first\n");
  EXPECT_EQ(Run({"pause", "reprice", "--reason", "second"}), kExitDone);
  EXPECT_EQ(Stored().annotations.at(api::kPausedAnnotation), "second");
}

TEST_F(StoredCommandsTest, PauseRefusesWhatHasEnded) {
  Store(FileIn(Phase::kCompleted));
  EXPECT_EQ(Run({"pause", "reprice"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("has ended already"));
  EXPECT_FALSE(Stored().annotations.contains(api::kPausedAnnotation));
}

TEST_F(StoredCommandsTest, PauseBoundsTheReason) {
  Store(FileIn(Phase::kRunning));
  EXPECT_EQ(Run({"pause", "reprice", "--reason", std::string(10'000, 'x')}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("longer than 256 bytes"));
}

TEST_F(StoredCommandsTest, PauseKeepsTheStatusThatARunnerWritesMeanwhile) {
  Store(FileIn(Phase::kRunning));
  // The first read of the command is followed by a write of the runner: the command has to read
  // again.
  auto open = env_.open_store;
  Environment env = env_;
  struct Racing final : kube::ObjectStore {
    explicit Racing(std::unique_ptr<kube::ObjectStore> under) : store(std::move(under)) {}
    std::unique_ptr<kube::ObjectStore> store;
    int races = 3;
    Result<kube::Object> Get(const kube::ObjectRef& ref) override {
      auto object = store->Get(ref);
      if (object.ok() && races-- > 0) {
        api::Backfill b = api::FromObject(*object).value();
        b.status.progress->records += 1;
        EXPECT_TRUE(store->UpdateStatus(api::ToObject(b), kube::Durability::kProcess).ok());
      }
      return object;
    }
    Result<std::vector<kube::Object>> List(std::string_view kind, std::string_view ns) override {
      return store->List(kind, ns);
    }
    Result<kube::Object> Create(const kube::Object& o, kube::Durability d) override {
      return store->Create(o, d);
    }
    Result<kube::Object> Update(const kube::Object& o, kube::Durability d) override {
      return store->Update(o, d);
    }
    Result<kube::Object> UpdateStatus(const kube::Object& o, kube::Durability d) override {
      return store->UpdateStatus(o, d);
    }
    Status Delete(const kube::ObjectRef& ref, std::string_view uid) override {
      return store->Delete(ref, uid);
    }
    Result<std::uint64_t> WaitForChange(std::uint64_t seen, Time deadline,
                                        std::stop_token stop) override {
      return store->WaitForChange(seen, deadline, std::move(stop));
    }
  };
  env.open_store = [&](const std::filesystem::path& f,
                       Access a) -> Result<std::unique_ptr<kube::ObjectStore>> {
    return std::unique_ptr<kube::ObjectStore>(std::make_unique<Racing>(open(f, a).value()));
  };
  EXPECT_EQ(RunCommandLine({"pause", "reprice", "--state-dir", state_dir()}, env), kExitDone);
  EXPECT_TRUE(Stored().annotations.contains(api::kPausedAnnotation));
  EXPECT_EQ(Stored().status.progress->records,
            SampleIn(Phase::kRunning).status.progress->records + 3);
}

TEST_F(StoredCommandsTest, PauseWaitsUntilTheRunnerHasStoppedSending) {
  Store(FileIn(Phase::kRunning));
  StartRunner();
  std::jthread runner([this](const std::stop_token& stop) {
    const auto mine = kube::SqliteStore::Open(dir_ / "state/backfill.db").value();
    std::uint64_t seen = 0;
    while (!stop.stop_requested()) {
      const kube::Object object = mine->Get({"Backfill", "default", "reprice"}).value();
      api::Backfill b = api::FromObject(object).value();
      if (b.annotations.contains(api::kPausedAnnotation)) {
        b.status.phase = Phase::kPaused;
        b.status.rate.reset();
        SetCondition(b, "Paused", api::ConditionStatus::kTrue, "AnnotationPaused");
        if (mine->UpdateStatus(api::ToObject(b), kube::Durability::kProcess).ok()) return;
      }
      seen = mine->WaitForChange(seen, clock_.Steady() + std::chrono::seconds(1), stop).value();
    }
  });
  EXPECT_EQ(Run({"pause", "reprice", "--wait"}), kExitDone);
  EXPECT_THAT(out(), HasSubstr("reprice is paused\n"));
}

TEST_F(StoredCommandsTest, ResumeTakesThePauseBack) {
  Store(FileIn(Phase::kRunning));
  EXPECT_EQ(Run({"pause", "reprice"}), kExitDone);
  EXPECT_EQ(Run({"resume", "reprice"}), kExitDone);
  EXPECT_EQ(out(), "reprice is no longer paused\n");
  EXPECT_THAT(err(), HasSubstr("continue with: backfill run -f FILE"));
  EXPECT_FALSE(Stored().annotations.contains(api::kPausedAnnotation));
  EXPECT_EQ(Run({"resume", "reprice"}), kExitDone);
  EXPECT_EQ(out(), "reprice was not paused\n");
}

TEST_F(StoredCommandsTest, ResumeCannotOverruleTheFile) {
  api::Backfill b = FileIn(Phase::kPaused);
  b.spec.paused = true;
  Store(b);
  ASSERT_TRUE(b.status.phase == Phase::kPaused);
  EXPECT_EQ(Run({"pause", "reprice"}), kExitDone);
  EXPECT_EQ(Run({"resume", "reprice"}), kExitStopped);
  EXPECT_EQ(out(), "reprice: the pause by hand is taken back\n");
  EXPECT_THAT(err(),
              HasSubstr("reprice is still paused by its file: set spec.paused: false there"));
  EXPECT_FALSE(Stored().annotations.contains(api::kPausedAnnotation));
  EXPECT_EQ(Run({"resume", "reprice"}), kExitStopped);
  EXPECT_THAT(out(), IsEmpty());
  EXPECT_THAT(err(), StartsWith("reprice is paused by its file"));
}

TEST_F(StoredCommandsTest, ResumeDoesNotWaitForWhatNobodyRuns) {
  Store(FileIn(Phase::kRunning));
  EXPECT_EQ(Run({"pause", "reprice"}), kExitDone);
  EXPECT_EQ(Run({"resume", "reprice", "--wait"}), kExitStopped);
}

// ---- apply

TEST_F(StoredCommandsTest, ApplyPrintsWhatChangedFieldByField) {
  Store(FileIn(Phase::kRunning));
  StartRunner();
  std::string text = kRealRun;
  text.replace(text.find("500}"), 4, "200}");
  WriteFile(text + "  paused: true\n");
  EXPECT_EQ(Run({"apply", "-f", file()}), kExitDone);
  EXPECT_THAT(out(), HasSubstr("reprice: spec.throttle.maxRecordsPerSecond: 500 -> 200\n"));
  EXPECT_THAT(out(), HasSubstr("reprice: spec.paused: false -> true\n"));
  EXPECT_EQ(Stored().spec.throttle.max_records_per_second, 200);
  EXPECT_EQ(Run({"apply", "-f", file()}), kExitDone);
  EXPECT_EQ(out(), "reprice: nothing differs\n");
}

TEST_F(StoredCommandsTest, ApplyRefusesOtherWorkAndSaysWhy) {
  Store(FileIn(Phase::kRunning));
  std::string text = kRealRun;
  text.replace(text.find("end: 10000"), 10, "end: 20000");
  WriteFile(text);
  EXPECT_EQ(Run({"apply", "-f", file()}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("spec.source"));
  EXPECT_THAT(err(), HasSubstr("reprice stays as it was"));
  ExpectGolden("refusal_apply.txt", err());
  EXPECT_EQ(std::get<api::RangeSource>(Stored().spec.source).end, 10'000);
}

TEST_F(StoredCommandsTest, ApplyDoesNotStartWhatWasNeverRun) {
  static_cast<void>(store());
  EXPECT_EQ(Run({"apply", "-f", file()}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("start it with: backfill run -f DIR/reprice.yaml"));
}

}  // namespace
}  // namespace backfill::cli
