#include "cli/state_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/cli/temp_dir.h"

namespace backfill::cli {
namespace {

using testing::HasSubstr;

TEST(StateDirTest, IsMadeForItsOwnerAlone) {
  const TempDir dir;
  ASSERT_TRUE(StateDir::Create(dir / "a/b/state").ok());
  struct stat info{};
  ASSERT_EQ(stat((dir / "a/b/state").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
  EXPECT_TRUE(StateDir::Create(dir / "a/b/state").ok());  // again
}

TEST(StateDirTest, RefusesAFileInItsPlace) {
  const TempDir dir;
  std::ofstream(dir / "state") << "x";
  const auto made = StateDir::Create(dir / "state");
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message, HasSubstr("is not a directory"));
  EXPECT_THAT(made.error().message, HasSubstr("--state-dir"));
}

TEST(StateDirTest, RefusesADirectoryThatCannotBeWritten) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  const TempDir dir;
  ASSERT_TRUE(StateDir::Create(dir / "state").ok());
  chmod((dir / "state").c_str(), 0500);
  const auto made = StateDir::Create(dir / "state");
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message, HasSubstr("make it writable"));
}

TEST(StateDirTest, RefusesADirectoryThatOthersMayWriteTo) {
  const TempDir dir;
  ASSERT_TRUE(StateDir::Create(dir / "state").ok());
  std::ofstream(dir / "state/backfill.db") << "x";
  for (const mode_t mode : {mode_t{0770}, mode_t{0707}}) {
    ASSERT_EQ(chmod((dir / "state").c_str(), mode), 0);
    for (const auto& refused : {StateDir::Create(dir / "state"), StateDir::Find(dir / "state")}) {
      ASSERT_FALSE(refused.ok());
      EXPECT_EQ(refused.error().code, ErrorCode::kPermission);
      EXPECT_THAT(refused.error().message, HasSubstr("chmod go-w " + (dir / "state").string()));
    }
  }
  ASSERT_EQ(chmod((dir / "state").c_str(), 0755), 0);
  EXPECT_TRUE(StateDir::Create(dir / "state").ok()) << "others may look";
}

TEST(StateDirTest, RefusesADirectoryOfSomeoneElse) {
  const TempDir dir;
  ASSERT_TRUE(StateDir::Create(dir / "state").ok());
  std::ofstream(dir / "state/backfill.db") << "x";
  constexpr uid_t kOther = 4711;
  if (chown((dir / "state").c_str(), kOther, static_cast<gid_t>(-1)) != 0)
    GTEST_SKIP() << "only root can give a directory away";
  for (const auto& refused : {StateDir::Create(dir / "state"), StateDir::Find(dir / "state")}) {
    ASSERT_FALSE(refused.ok());
    EXPECT_THAT(refused.error().message, HasSubstr("belongs to another user (uid 4711)"));
    EXPECT_THAT(refused.error().message, HasSubstr("--state-dir"));
  }
}

TEST(StateDirTest, SaysWhenThereIsNoState) {
  const TempDir dir;
  const auto found = StateDir::Find(dir / "state");
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(found.error().message, HasSubstr("no backfill has been run here"));
  EXPECT_FALSE(std::filesystem::exists(dir / "state"));  // looking makes nothing
}

TEST(StateDirTest, KeepsBackfillsOfDifferentNamespacesApart) {
  const TempDir dir;
  const auto state = StateDir::Create(dir / "state");
  EXPECT_NE(state->RunnerLock("a", "b"), state->RunnerLock("b", "a"));
  EXPECT_NE(state->RunnerLock("a", "b"), state->WorkersLock("a", "b"));
}

TEST(IsNameTest, RefusesWhatCouldLeaveTheDirectory) {
  EXPECT_TRUE(IsName("reprice-2"));
  for (const char* bad : {"", ".", "..", "../x", "a/b", "a.b", "A", "-a", "a-", "a b", "a\x1b"}) {
    EXPECT_FALSE(IsName(bad)) << bad;
  }
  EXPECT_FALSE(IsName(std::string(64, 'a')));
}

}  // namespace
}  // namespace backfill::cli
