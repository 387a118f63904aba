#include "cli/locks.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "tests/cli/samples.h"
#include "tests/cli/temp_dir.h"

namespace backfill::cli {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// A child that runs `begin`, says that it did, and lives until it is killed.
class Child {
 public:
  template <typename F>
  explicit Child(F begin) {
    int ready[2];
    if (pipe(ready) != 0) std::abort();
    pid_ = fork();
    if (pid_ == 0) {
      const auto held = begin();
      const char byte = held.ok() ? 'y' : 'n';
      if (write(ready[1], &byte, 1) != 1) _exit(1);
      pause();
      _exit(0);
    }
    close(ready[1]);
    char byte = 0;
    ready_ = read(ready[0], &byte, 1) == 1 && byte == 'y';
    close(ready[0]);
  }
  ~Child() { Kill(); }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] int pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
  bool ready_ = false;
};

TEST(RunnerLockTest, NamesTheProcessThatHasIt) {
  const TempDir dir;
  Child runner([&] { return RunnerLock::Take(dir / "a.lock", Noon()); });
  ASSERT_TRUE(runner.ready());
  const auto second = RunnerLock::Take(dir / "a.lock", Noon());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  EXPECT_EQ(second.error().message,
            "is run by process " + std::to_string(runner.pid()) + " since 2026-05-01T12:00:00Z");
}

TEST(RunnerLockTest, IsFreeOnceItsHolderWasKilled) {
  const TempDir dir;
  Child runner([&] { return RunnerLock::Take(dir / "a.lock", Noon()); });
  ASSERT_TRUE(FindRunner(dir / "a.lock"));
  runner.Kill();
  EXPECT_FALSE(FindRunner(dir / "a.lock"));
  EXPECT_TRUE(RunnerLock::Take(dir / "a.lock", Noon()).ok());
}

TEST(RunnerLockTest, OfOneBackfillLeavesOthersAlone) {
  const TempDir dir;
  const auto a = RunnerLock::Take(dir / "a.lock", Noon());
  EXPECT_TRUE(RunnerLock::Take(dir / "b.lock", Noon()).ok());
}

TEST(RunnerLockTest, CanBeLookedAtWithoutBeingTaken) {
  const TempDir dir;
  EXPECT_FALSE(FindRunner(dir / "a.lock"));
  EXPECT_FALSE(std::filesystem::exists(dir / "a.lock"));
  const auto held = RunnerLock::Take(dir / "a.lock", Noon());
  ASSERT_TRUE(held.ok());
  const auto info = FindRunner(dir / "a.lock");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->pid, getpid());
  EXPECT_EQ(info->since, "2026-05-01T12:00:00Z");
}

TEST(RunnerLockTest, ReadsAHostileFileWithoutHarm) {
  const TempDir dir;
  const auto held = RunnerLock::Take(dir / "a.lock", Noon());
  std::ofstream(dir / "a.lock") << "17 \x1b[2J";
  EXPECT_EQ(FindRunner(dir / "a.lock")->since, "\\x1b[2J");
  std::ofstream(dir / "a.lock") << std::string(10'000, 'x');
  EXPECT_EQ(FindRunner(dir / "a.lock")->pid, 0);
}

TEST(RunnerLockTest, SaysWhyItCannotBeTaken) {
  const TempDir dir;
  const auto lock = RunnerLock::Take(dir / "missing/a.lock", Noon());
  ASSERT_FALSE(lock.ok());
  EXPECT_EQ(lock.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(lock.error().message, HasSubstr("No such file or directory"));
}

TEST(WorkersLockTest, KnowsThatNobodyIsLeft) {
  const TempDir dir;
  const auto first = WorkersLock::Take(dir / "w.lock", 0s);
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(first->predecessors_gone());
}

TEST(WorkersLockTest, KnowsThatAWorkerOutlivedItsRunner) {
  const TempDir dir;
  // A worker has its runner's descriptor and so its shared lock.
  Child worker([&] { return WorkersLock::Take(dir / "w.lock", 0s); });
  ASSERT_TRUE(worker.ready());
  {
    const auto next = WorkersLock::Take(dir / "w.lock", 0s);
    ASSERT_TRUE(next.ok());
    EXPECT_FALSE(next->predecessors_gone());
  }
  worker.Kill();
  EXPECT_TRUE(WorkersLock::Take(dir / "w.lock", 0s)->predecessors_gone());
}

TEST(WorkersLockTest, LetsOurOwnWorkersShareIt) {
  const TempDir dir;
  const auto held = WorkersLock::Take(dir / "w.lock", 0s);
  const int other = open((dir / "w.lock").c_str(), O_RDWR | O_CLOEXEC);
  EXPECT_EQ(flock(other, LOCK_SH | LOCK_NB), 0);
  close(other);
}

}  // namespace
}  // namespace backfill::cli
