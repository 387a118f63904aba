#include "operator/reconcile/process_pool.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>
#include <thread>

#include "base/digest.h"
#include "base/mutex.h"

namespace backfill::reconcile {
namespace {

using testing::HasSubstr;

bool Eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 1000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// Real processes: a worker is a shell script that each test writes.
class ProcessPoolTest : public testing::Test {
 protected:
  ProcessPoolTest() : dir_(std::filesystem::temp_directory_path() / ("pool-" + RandomHex(8))) {
    std::filesystem::create_directory(dir_);
  }
  ~ProcessPoolTest() override {
    pool_.reset();
    if (lock_fd_ >= 0) close(lock_fd_);
    std::filesystem::remove_all(dir_);
  }

  void WorkerIs(const std::string& script) {
    std::ofstream(dir_ / "worker") << "#!/bin/sh\n" << script << "\n";
    std::filesystem::permissions(dir_ / "worker", std::filesystem::perms::owner_all);
  }
  Status Start() {
    lock_fd_ = open((dir_ / "alive").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    flock(lock_fd_, LOCK_SH);
    ProcessPoolOptions options;
    options.worker_binary = dir_ / "worker";
    options.coordinator_address = "unix:/nowhere";
    options.token = "s3cret";
    options.log_file = dir_ / "log";
    options.alive_lock_fd = lock_fd_;
    options.sent_dir = sent_dir_;
    options.grace = grace_;
    options.restart_min = 10ms;
    options.restart_max = 40ms;
    options.on_gone = [this](const StageKey&, const std::string& worker, const std::string&) {
      MutexLock l(mu_);
      gone_.insert(worker);
    };
    pool_.emplace(options, clock_);
    return pool_->Start();
  }
  std::string Log() const { return ReadFile(dir_ / "log"); }
  bool IsGone(const std::string& worker) {
    MutexLock l(mu_);
    return gone_.contains(worker);
  }

  const std::filesystem::path dir_;
  const api::Backfill backfill_ = [] {
    api::Backfill b;
    b.ns = "default";
    b.name = "reprice";
    b.uid = "uid-1";
    return b;
  }();
  const StageKey key_ = KeyOf(backfill_, Stage::kRun);
  SystemClock clock_;
  Duration grace_ = 10s;
  int lock_fd_ = -1;
  Mutex mu_;
  std::set<std::string> gone_ GUARDED_BY(mu_);
  std::filesystem::path sent_dir_;  // empty: no notes
  std::optional<ProcessPool> pool_;
};

TEST_F(ProcessPoolTest, SaysWhenTheWorkerBinaryIsMissing) {
  const Status status = Start();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(status.error().message, HasSubstr((dir_ / "worker").string()));
}

TEST_F(ProcessPoolTest, TellsWorkersWhoTheyAreAndNothingElseOfOurs) {
  setenv("BACKFILL_LEFTOVER", "x", 1);  // NOLINT(concurrency-mt-unsafe): before any thread
  WorkerIs("env | grep ^BACKFILL_ | sort; exit 0");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(pool_->Scale(backfill_, Stage::kRun, 1).ok());
  ASSERT_TRUE(Eventually([&] { return IsGone("run-0"); }));
  EXPECT_THAT(Log(), HasSubstr("BACKFILL_COORDINATOR=unix:/nowhere\n"));
  EXPECT_THAT(Log(), HasSubstr("BACKFILL_STAGE=run\nBACKFILL_TOKEN=s3cret\nBACKFILL_UID=uid-"
                               "1\nBACKFILL_WORKER=run-0\n"));
  EXPECT_THAT(Log(), testing::Not(HasSubstr("LEFTOVER")));
}

TEST_F(ProcessPoolTest, EachWorkerHasAFileForItsNotesThatOutlivesIt) {
  sent_dir_ = dir_ / "sent";
  WorkerIs("echo $BACKFILL_SENT_FD; readlink /proc/self/fd/5; exit 0");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(pool_->Scale(backfill_, Stage::kRun, 2).ok());
  ASSERT_TRUE(Eventually([&] { return IsGone("run-0") && IsGone("run-1"); }));
  EXPECT_THAT(Log(), HasSubstr("5\n"));
  EXPECT_THAT(Log(), HasSubstr((sent_dir_ / "run-0.").string()));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(sent_dir_), {}), 2);
}

TEST_F(ProcessPoolTest, AWorkerThatFinishedIsNotStartedAgain) {
  WorkerIs("echo ran; exit 0");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(pool_->Scale(backfill_, Stage::kRun, 1).ok());
  ASSERT_TRUE(Eventually([&] { return IsGone("run-0"); }));
  ASSERT_TRUE(pool_->Scale(backfill_, Stage::kRun, 2)
                  .ok());  // the second one is started after every look at the first
  ASSERT_TRUE(Eventually([&] { return IsGone("run-1"); }));
  EXPECT_EQ(Log(), "ran\nran\n");
  EXPECT_EQ(pool_->Observe(backfill_, Stage::kRun).failures, 0U);
}

TEST_F(ProcessPoolTest, AWorkerThatEndsBadlyIsStartedAgainAndCounted) {
  WorkerIs("exit 3");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(pool_->Scale(backfill_, Stage::kRun, 1).ok());
  ASSERT_TRUE(Eventually([&] { return pool_->Observe(backfill_, Stage::kRun).failures >= 3; }));
  EXPECT_THAT(pool_->Observe(backfill_, Stage::kRun).last_failure,
              HasSubstr("run-0 exited with 3"));
  EXPECT_FALSE(pool_->Observe(backfill_, Stage::kRun).config_error);
}

TEST_F(ProcessPoolTest, AConfigurationErrorIsNotRetried) {
  WorkerIs("exit 78");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(pool_->Scale(backfill_, Stage::kRun, 1).ok());
  ASSERT_TRUE(Eventually([&] { return pool_->Observe(backfill_, Stage::kRun).config_error; }));
  EXPECT_EQ(pool_->Observe(backfill_, Stage::kRun).failures, 1U);
}

TEST_F(ProcessPoolTest, ScalingDownDrainsTheHighestIndexes) {
  WorkerIs(
      "trap 'echo drained $BACKFILL_WORKER; exit 143' TERM; echo up; while :; do sleep 0.01; done");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(pool_->Scale(backfill_, Stage::kRun, 3).ok());
  ASSERT_TRUE(Eventually([&] { return Log() == "up\nup\nup\n"; }));
  ASSERT_TRUE(pool_->Scale(backfill_, Stage::kRun, 1).ok());
  ASSERT_TRUE(Eventually([&] { return pool_->Observe(backfill_, Stage::kRun).alive == 1; }));
  EXPECT_THAT(Log(), HasSubstr("drained run-1"));
  EXPECT_THAT(Log(), HasSubstr("drained run-2"));
  EXPECT_THAT(Log(), testing::Not(HasSubstr("drained run-0")));
  EXPECT_EQ(pool_->Observe(backfill_, Stage::kRun).failures, 0U) << "asked to go is not a failure";
}

TEST_F(ProcessPoolTest, WorkersThatWereAskedToGoComeBackWhenTheyAreWantedAgain) {
  WorkerIs("trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(pool_->Scale(backfill_, Stage::kRun, 1).ok());
  ASSERT_TRUE(Eventually([&] { return Log() == "up\n"; }));
  ASSERT_TRUE(pool_->Stop(key_).ok());
  ASSERT_TRUE(Eventually([&] { return pool_->Observe(backfill_, Stage::kRun).alive == 0; }));
  ASSERT_TRUE(pool_->Scale(backfill_, Stage::kRun, 1).ok());
  EXPECT_TRUE(Eventually([&] { return Log() == "up\nup\n"; }));
}

TEST_F(ProcessPoolTest, AWorkerThatDoesNotDrainIsKilledAfterTheGrace) {
  grace_ = 50ms;
  WorkerIs("trap '' TERM; echo up; while :; do sleep 0.01; done");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(pool_->Scale(backfill_, Stage::kRun, 1).ok());
  ASSERT_TRUE(Eventually([&] { return Log() == "up\n"; }));
  ASSERT_TRUE(pool_->Stop(key_).ok());
  EXPECT_TRUE(Eventually([&] { return pool_->Observe(backfill_, Stage::kRun).alive == 0; }));
}

TEST_F(ProcessPoolTest, AKilledWorkerIsReplaced) {
  WorkerIs("echo $$; exec sleep 1000");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(pool_->Scale(backfill_, Stage::kRun, 1).ok());
  ASSERT_TRUE(Eventually([&] { return !Log().empty(); }));
  const std::string first = Log();
  kill(std::stoi(first), SIGKILL);
  ASSERT_TRUE(Eventually([&] { return Log().size() > first.size(); }));
  EXPECT_THAT(pool_->Observe(backfill_, Stage::kRun).last_failure,
              HasSubstr("run-0 was killed by signal 9"));
}

TEST_F(ProcessPoolTest, TheLockIsFreeOnlyOnceTheLastWorkerIsGone) {
  WorkerIs("echo up; exec sleep 1000");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(pool_->Scale(backfill_, Stage::kRun, 1).ok());
  ASSERT_TRUE(Eventually([&] { return Log() == "up\n"; }));
  const int other = open((dir_ / "alive").c_str(), O_RDWR | O_CLOEXEC);
  EXPECT_NE(flock(other, LOCK_EX | LOCK_NB), 0);
  close(lock_fd_);
  lock_fd_ = -1;
  EXPECT_NE(flock(other, LOCK_EX | LOCK_NB), 0) << "the worker and the pool still hold it";
  pool_.reset();
  EXPECT_EQ(flock(other, LOCK_EX | LOCK_NB), 0);
  close(other);
}

TEST_F(ProcessPoolTest, WorkersSeeTheirRunnerDie) {
  // The lifeline ends when the last process that holds its write end is gone; here the pool itself
  // goes.
  WorkerIs("echo up; cat <&3; echo lost the runner");
  const pid_t runner = fork();
  if (runner == 0) {
    if (!Start().ok() || !pool_->Scale(backfill_, Stage::kRun, 1).ok()) _exit(1);
    pause();
  }
  ASSERT_TRUE(Eventually([&] { return Log() == "up\n"; }));
  kill(runner, SIGKILL);
  waitpid(runner, nullptr, 0);
  EXPECT_TRUE(Eventually([&] { return Log() == "up\nlost the runner\n"; }));
}

}  // namespace
}  // namespace backfill::reconcile
