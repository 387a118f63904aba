#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "tests/e2e/machine.h"

// kill -9 at random points, real processes, a target that counts: nothing may be missing, what is
// done twice is bounded, and the outcomes add up to the plan. The seed is printed; BACKFILL_SEED
// repeats a sweep.
namespace backfill::e2e {
namespace {

using nlohmann::json;

constexpr int kKills = 64;
constexpr std::int64_t kRecords = 240'000;
constexpr int kRate = 6'000;
constexpr int kReplicas = 3, kConcurrency = 8;
constexpr std::uint64_t kFailEvery = 6'000;

enum class Victim { kOneWorker, kAllWorkers, kRunner, kEverything };

class CrashSweepTest : public Machine {
 protected:
  CrashSweepTest() {
    const char* given = std::getenv("BACKFILL_SEED");  // NOLINT(concurrency-mt-unsafe): one thread
    seed_ = given != nullptr ? static_cast<unsigned>(std::atoi(given)) : std::random_device{}();
    random_.seed(seed_);
  }
  int Random(int from, int to) { return std::uniform_int_distribution(from, to)(random_); }

  void EnsureRunning() {
    if (run_ && run_->running()) return;
    if (run_) {
      const Exit ended = run_->Wait(1s);
      ASSERT_TRUE(ended.signal == SIGKILL || ended.code == 0) << ended.code << "\n" << ended.err;
      finished_ = ended.code == 0;
      if (finished_) return;
    }
    run_ = StartRun();
  }

  void Kill(Victim victim) {
    const std::vector<pid_t> workers = ChildrenOf(run_->pid());
    switch (victim) {
      case Victim::kOneWorker:
        if (!workers.empty())
          kill(workers[static_cast<std::size_t>(Random(0, static_cast<int>(workers.size()) - 1))],
               SIGKILL);
        break;
      case Victim::kAllWorkers:
        for (const pid_t w : workers) kill(w, SIGKILL);
        break;
      case Victim::kRunner:
        run_->Signal(SIGKILL);
        break;
      case Victim::kEverything:
        run_->Signal(SIGKILL);
        for (const pid_t w : workers) kill(w, SIGKILL);
        break;
    }
    if (victim == Victim::kRunner || victim == Victim::kEverything) (void)run_->Wait(5s);
    ++kills_[victim];
  }

  unsigned seed_;
  std::mt19937 random_;
  std::unique_ptr<Process> run_;
  bool finished_ = false;
  std::map<Victim, int> kills_;
};

TEST_F(CrashSweepTest, NothingIsMissingAndWhatIsDoneTwiceIsBounded) {
  TargetIs({.bitmap = kRecords, .refuse_every = kFailEvery, .latency = 1ms});
  WriteSpec({.end = kRecords,
             .rate = kRate,
             .replicas = kReplicas,
             .concurrency = kConcurrency,
             .records_per_shard = 1000,
             .extra = "  failurePolicy: {maxFailedPercent: \"100\"}\n",
             .http_extra = "      timeout: 500ms\n"});
  int done = 0;
  for (; done < kKills && !finished_; ++done) {
    ASSERT_NO_FATAL_FAILURE(EnsureRunning()) << "seed " << seed_;
    std::this_thread::sleep_for(std::chrono::milliseconds(Random(30, 700)));
    if (!run_->running()) continue;
    Kill(static_cast<Victim>(Random(0, 3)));
    if (done == kKills / 2) {
      // A dry run of the same work in between, in the same state directory, under another name.
      WriteFile(dir_ / "dry.yaml",
                ToYaml({.name = "dry", .end = kRecords, .real = false}, sink_->port()));
      EXPECT_EQ(Command({"run", "-f", (dir_ / "dry.yaml").string(), "--no-progress"}).code, 0);
    }
  }
  EXPECT_GE(done, 60) << "the work ended too early for so many kills";
  while (!finished_) {
    ASSERT_NO_FATAL_FAILURE(EnsureRunning()) << "seed " << seed_;
    if (finished_) break;
    ASSERT_TRUE(TimeUntil(180s, [&] { return !run_->running(); })) << run_->Err();
    ASSERT_NO_FATAL_FAILURE(EnsureRunning()) << "seed " << seed_;
  }

  const json status = Status()["status"];
  const int worker_kills = kills_[Victim::kOneWorker] + kReplicas * kills_[Victim::kAllWorkers];
  const int runner_kills = kills_[Victim::kRunner] + kills_[Victim::kEverything];
  // Twice is sent at most what was done since the last report (250 ms), and what was in flight.
  constexpr double kReportPeriodSeconds = 0.25;
  const double per_worker_kill = kRate * kReportPeriodSeconds / kReplicas + kConcurrency;
  const double per_runner_kill = kRate * kReportPeriodSeconds + kReplicas * kConcurrency;
  const double bound = worker_kills * per_worker_kill + runner_kills * per_runner_kill;
  std::ostringstream figures;
  figures << "seed " << seed_ << ": kills: one worker " << kills_[Victim::kOneWorker]
          << ", all workers " << kills_[Victim::kAllWorkers] << ", runner "
          << kills_[Victim::kRunner] << ", everything " << kills_[Victim::kEverything]
          << "; records " << kRecords << ", missing " << sink_->stats().missing << ", sent twice "
          << sink_->stats().duplicates << " (bound " << static_cast<std::int64_t>(bound)
          << ", reported at most " << status["progress"].value("redoneAtMost", std::uint64_t{0})
          << ")";
  std::cout << figures.str() << std::endl;
  RecordProperty("figures", figures.str());

  EXPECT_EQ(sink_->stats().missing, 0U);
  EXPECT_LE(static_cast<double>(sink_->stats().duplicates), bound);
  const std::uint64_t reported = status["progress"].value("redoneAtMost", std::uint64_t{0});
  EXPECT_LE(sink_->stats().duplicates, reported) << "what is reported is a bound";
  // Notes are up to 63 records ahead of what a worker has sent of a lease, and of those sent some
  // never reach the target; each kill ends so many leases, one open and one behind it.
  constexpr std::uint64_t kLeases = 2 * kReplicas, kAhead = 64;
  EXPECT_LE(reported,
            2 * sink_->stats().duplicates + static_cast<std::uint64_t>(done) * kLeases * kAhead)
      << "and one that says something";
  EXPECT_EQ(status["phase"], "Completed");
  EXPECT_EQ(status["progress"]["records"], kRecords);
  EXPECT_EQ(status["progress"]["failed"], kRecords / static_cast<std::int64_t>(kFailEvery));
  EXPECT_EQ(status["progress"]["updated"].get<std::int64_t>() +
                status["progress"]["failed"].get<std::int64_t>(),
            kRecords);

  std::istringstream lines(Command({"failures", "touch", "-o", "json"}).out);
  std::set<std::string> keys;
  int listed = 0;
  for (std::string line; std::getline(lines, line); ++listed) keys.insert(json::parse(line)["key"]);
  EXPECT_EQ(listed, kRecords / static_cast<std::int64_t>(kFailEvery))
      << "each failed record is listed once";
  EXPECT_EQ(static_cast<std::int64_t>(keys.size()), listed);
}

}  // namespace
}  // namespace backfill::e2e
