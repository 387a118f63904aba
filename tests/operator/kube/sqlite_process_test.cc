// The SQLite store between processes, killed ones included, and on a disk that is full.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "operator/kube/sqlite_store.h"
#include "tests/operator/kube/temp_dir.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

const ObjectRef kRef{.kind = std::string(kLedgerKind), .ns = "shop", .name = "reprice-0000"};

std::unique_ptr<SqliteStore> Open(const std::filesystem::path& file) {
  auto store = SqliteStore::Open(file);
  if (!store.ok()) {
    ADD_FAILURE() << store.error().message;
    std::abort();
  }
  return std::move(store).value();
}

Object Wanted(const std::string& content) {
  Object o;
  o.ref = kRef;
  o.content = content;
  return o;
}

// A child process that runs `body` and exits with its result. It shares nothing with us but files
// and pipes. Never with a store open: SQLite's locks do not survive a fork.
pid_t Fork(const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  return pid;
}

// Lets a child wait for the parent.
class Gate {
 public:
  Gate() { EXPECT_EQ(::pipe(ends_), 0); }
  ~Gate() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  void Open() { EXPECT_EQ(::write(ends_[1], "x", 1), 1); }
  bool Await() {
    char c = 0;
    return ::read(ends_[0], &c, 1) == 1;
  }

 private:
  int ends_[2] = {-1, -1};
};

int ExitCodeOf(pid_t pid) {
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class SqliteProcessTest : public ::testing::Test {
 protected:
  TempDir dir_;
  const std::filesystem::path file_ = dir_.path() / "backfill.db";
};

// Adds one `times` times; 1: the store failed.
int Increment(const std::filesystem::path& file, int times) {
  auto store = SqliteStore::Open(file);
  if (!store.ok()) return 1;
  for (int done = 0; done < times;) {
    auto o = (*store)->Get(kRef);
    if (!o.ok()) return 1;
    o->content = std::to_string(std::stoi(o->content) + 1);
    const auto result = (*store)->Update(*o, Durability::kProcess);
    if (result.ok()) {
      ++done;
    } else if (result.error().code != ErrorCode::kConflict) {
      return 1;
    }
  }
  return 0;
}

TEST_F(SqliteProcessTest, IncrementsFromSeveralProcessesLoseNothing) {
  ASSERT_TRUE(Open(file_)->Create(Wanted("0"), Durability::kProcess).ok());
  std::vector<pid_t> children;
  for (int i = 0; i < 3; ++i) children.push_back(Fork([&] { return Increment(file_, 60); }));
  for (const pid_t child : children) EXPECT_EQ(ExitCodeOf(child), 0);
  EXPECT_EQ(Open(file_)->Get(kRef)->content, "180");
}

TEST_F(SqliteProcessTest, AChangeByAnotherProcessIsSeenWithin100Milliseconds) {
  constexpr int kRounds = 11;
  ASSERT_TRUE(Open(file_)->Create(Wanted("0"), Durability::kProcess).ok());
  Gate gate;
  const pid_t child = Fork([&] {
    auto store = SqliteStore::Open(file_);
    if (!store.ok()) return 1;
    for (int round = 0; round < kRounds; ++round) {
      if (!gate.Await()) return 1;
      auto o = (*store)->Get(kRef);
      if (!o.ok()) return 1;
      // The monotonic clock is one for all processes, so the writer can say when it wrote.
      o->content = std::to_string(std::chrono::steady_clock::now().time_since_epoch().count());
      if (!(*store)->Update(*o, Durability::kProcess).ok()) return 1;
    }
    return 0;
  });
  auto store = Open(file_);
  std::vector<Duration> delays;
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t seen = *store->WaitForChange(0, Time{}, {});
    gate.Open();
    const auto now = store->WaitForChange(seen, std::chrono::steady_clock::now() + 20s, {});
    const Time noticed = std::chrono::steady_clock::now();
    ASSERT_TRUE(now.ok());
    EXPECT_GT(*now, seen);
    delays.push_back(noticed - Time(Time::duration(std::stoll(store->Get(kRef)->content))));
  }
  EXPECT_EQ(ExitCodeOf(child), 0);
  // The median: on a machine with other work a single process may be kept waiting.
  std::nth_element(delays.begin(), delays.begin() + kRounds / 2, delays.end());
  EXPECT_LT(delays[kRounds / 2], 100ms);
}

TEST_F(SqliteProcessTest, KillingTheWriterLosesNothingThatWasConfirmed) {
  ASSERT_TRUE(Open(file_)->Create(Wanted("0"), Durability::kProcess).ok());
  std::mt19937 random(11);
  long total = 0;
  for (int round = 0; round < 25; ++round) {
    int confirmed_pipe[2];
    ASSERT_EQ(::pipe(confirmed_pipe), 0);
    const pid_t child = Fork([&] {
      ::close(confirmed_pipe[0]);
      auto store = SqliteStore::Open(file_);
      if (!store.ok()) return 1;
      auto o = (*store)->Get(kRef);
      for (;;) {
        if (!o.ok()) return 1;
        const long next = std::stol(o->content) + 1;
        o->content = std::to_string(next);
        // A value of several pages, so that a kill can fall between them.
        o->annotations["padding"] = std::string(static_cast<std::size_t>(next % 7) * 5000, 'x');
        const Durability durability = next % 5 == 0 ? Durability::kPower : Durability::kProcess;
        o = (*store)->Update(*o, durability);
        if (!o.ok() || ::write(confirmed_pipe[1], &next, sizeof next) != sizeof next) return 1;
      }
    });
    ::close(confirmed_pipe[1]);
    long confirmed = 0;
    const auto until = 1 + random() % 40;
    for (auto i = 0UL; i < until; ++i) {
      ASSERT_EQ(::read(confirmed_pipe[0], &confirmed, sizeof confirmed),
                static_cast<ssize_t>(sizeof confirmed));
    }
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    EXPECT_EQ(ExitCodeOf(child), -1);
    while (::read(confirmed_pipe[0], &confirmed, sizeof confirmed) == sizeof confirmed) {
    }
    ::close(confirmed_pipe[0]);
    const auto o = Open(file_)->Get(kRef);
    ASSERT_TRUE(o.ok()) << o.error().message;
    const long stored = std::stol(o->content);
    EXPECT_GE(stored, confirmed);
    EXPECT_LE(stored, confirmed + 1) << "at most the write whose answer the kill has swallowed";
    EXPECT_EQ(o->annotations.at("padding").size(), static_cast<std::size_t>(stored % 7) * 5000);
    total = stored;
  }
  EXPECT_GT(total, 25);
}

TEST_F(SqliteProcessTest, KillingOneOfTwoWritersDoesNotStopTheOther) {
  ASSERT_TRUE(Open(file_)->Create(Wanted("0"), Durability::kProcess).ok());
  const pid_t victim = Fork([&] { return Increment(file_, 1'000'000'000); });
  const pid_t survivor = Fork([&] { return Increment(file_, 200); });
  auto store = Open(file_);
  std::uint64_t seen = 0;
  for (int changes = 0; changes < 20; ++changes) {
    seen = *store->WaitForChange(seen, std::chrono::steady_clock::now() + 20s, {});
  }
  ASSERT_EQ(::kill(victim, SIGKILL), 0);
  EXPECT_EQ(ExitCodeOf(victim), -1);
  EXPECT_EQ(ExitCodeOf(survivor), 0);
  EXPECT_GE(std::stoi(store->Get(kRef)->content), 200);
}

// A file system of a few megabytes of its own.
class SmallDisk {
 public:
  SmallDisk() : mounted_(::mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, "size=4m") == 0) {}
  ~SmallDisk() {
    if (mounted_) ::umount2(dir_.path().c_str(), MNT_DETACH);
  }
  [[nodiscard]] bool mounted() const { return mounted_; }
  [[nodiscard]] const std::filesystem::path& path() const { return dir_.path(); }

  // Until nothing more fits.
  void Fill() {
    std::ofstream filler(path() / "filler", std::ios::binary | std::ios::app);
    const std::string block(512, 'x');
    while (filler.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  void MakeRoom() { std::filesystem::remove(path() / "filler"); }

 private:
  TempDir dir_;
  const bool mounted_;
};

TEST_F(SqliteProcessTest, AFullDiskSaysSoKeepsWhatIsThereAndGoesOnWhenThereIsRoom) {
  SmallDisk disk;
  if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount a tmpfs";
  const std::filesystem::path file = disk.path() / "backfill.db";
  Gate full_now;
  const pid_t child =
      Fork([&] {  // starts on the full disk: it works or says why, and harms nothing
        if (!full_now.Await()) return 1;
        auto other = SqliteStore::Open(file);
        if (!other.ok()) return other.error().code == ErrorCode::kUnavailable ? 0 : 1;
        return (*other)->Get(kRef).ok() ? 0 : 1;
      });
  auto store = Open(file);
  auto o = store->Create(Wanted("0"), Durability::kPower);
  ASSERT_TRUE(o.ok());

  disk.Fill();
  std::optional<Error> full;
  for (int i = 1; i < 200 && !full; ++i) {
    Object next = *o;
    next.content = std::to_string(i) + std::string(50'000, 'x');
    auto result = store->Update(next, i % 2 == 0 ? Durability::kPower : Durability::kProcess);
    if (result.ok()) {
      o = std::move(result);
    } else {
      full = result.error();
    }
  }
  ASSERT_TRUE(full);
  EXPECT_EQ(full->code, ErrorCode::kUnavailable);
  EXPECT_THAT(full->message, AllOf(HasSubstr(file.string()), HasSubstr("space")));
  EXPECT_EQ(store->Get(kRef)->content, o->content);

  full_now.Open();
  EXPECT_EQ(ExitCodeOf(child), 0);

  disk.MakeRoom();
  Object next = *o;
  next.content = "after";
  const auto after = store->Update(next, Durability::kPower);
  ASSERT_TRUE(after.ok()) << after.error().message;
  store.reset();
  EXPECT_EQ(Open(file)->Get(kRef)->content, "after");
}

TEST_F(SqliteProcessTest, AFullDiskAtTheVeryStartIsAnErrorAndNotACrash) {
  SmallDisk disk;
  if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount a tmpfs";
  const std::filesystem::path file = disk.path() / "backfill.db";
  disk.Fill();
  const pid_t child = Fork([&] {
    const auto store = SqliteStore::Open(file);
    return !store.ok() && store.error().code == ErrorCode::kUnavailable ? 0 : 1;
  });
  EXPECT_EQ(ExitCodeOf(child), 0);
  disk.MakeRoom();
  EXPECT_TRUE(Open(file)->Create(Wanted("0"), Durability::kPower).ok());
}

TEST_F(SqliteProcessTest, AReadOnlyFileSystemSaysWhatToDo) {
  SmallDisk disk;
  if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount a tmpfs";
  const std::filesystem::path file = disk.path() / "backfill.db";
  ASSERT_TRUE(Open(file)->Create(Wanted("0"), Durability::kPower).ok());
  ASSERT_EQ(::mount("tmpfs", disk.path().c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "size=4m"), 0);
  const auto store = SqliteStore::Open(file);
  const auto result =
      store.ok() ? (*store)->Create(Wanted("1"), Durability::kPower) : store.error();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(result.error().message, AllOf(HasSubstr(file.string()), HasSubstr("writable")));
}

}  // namespace
}  // namespace backfill::kube
