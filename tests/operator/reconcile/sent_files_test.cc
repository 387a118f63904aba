#include "operator/reconcile/sent_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/digest.h"

namespace backfill::reconcile {
namespace {

class SentFilesTest : public testing::Test {
 protected:
  ~SentFilesTest() override { std::filesystem::remove_all(dir_); }
  // A process that has noted so much of a shard, and has ended.
  void Ended(const std::string& worker, const std::string& instance, std::int32_t shard,
             std::uint64_t records) {
    const int fd = CreateSentFile(dir_, worker, instance).value();
    EXPECT_TRUE(SentFile(fd).Raise({shard}, {1}, records));
    close(fd);
  }
  const std::filesystem::path dir_ =
      std::filesystem::temp_directory_path() / ("sent-" + RandomHex(8));
};

TEST_F(SentFilesTest, AreFoundByHolder) {
  Ended("run-0", "aa", 3, 64);
  EXPECT_EQ(ReadSentFileOf(dir_, "run-0/aa"), (SentBounds{{{{3}, {1}}, 64}}));
  for (const char* other : {"run-0/bb", "run-0", "", "../x/y", "run-0/../aa"}) {
    EXPECT_EQ(ReadSentFileOf(dir_, other), std::nullopt) << other;
  }
}

TEST_F(SentFilesTest, OfAStageAreTakenTogether) {
  EXPECT_EQ(ReadSentFilesOf(dir_, Stage::kRun), std::nullopt) << "no directory";
  Ended("run-0", "aa", 3, 64);
  Ended("run-0", "bb", 4, 7);
  Ended("dry-run-0", "cc", 3, 1000);
  EXPECT_EQ(ReadSentFilesOf(dir_, Stage::kRun), (SentBounds{{{{3}, {1}}, 64}, {{{4}, {1}}, 7}}));
  EXPECT_EQ(ReadSentFilesOf(dir_, Stage::kDryRun), (SentBounds{{{{3}, {1}}, 1000}}));
}

TEST_F(SentFilesTest, OneThatCannotBeReadSpoilsWhatIsSaidOfAll) {
  Ended("run-0", "aa", 3, 64);
  std::ofstream(dir_ / "run-1.bb") << "?";
  EXPECT_EQ(ReadSentFilesOf(dir_, Stage::kRun), std::nullopt);
  EXPECT_EQ(ReadSentFileOf(dir_, "run-1/bb"), std::nullopt);
  EXPECT_NE(ReadSentFileOf(dir_, "run-0/aa"), std::nullopt);
}

TEST_F(SentFilesTest, AreOurOwnAndBoundedInNumber) {
  for (int i = 0; i < 1200; ++i) Ended("run-0", std::to_string(i), 3, 64);
  const auto files = std::distance(std::filesystem::directory_iterator(dir_), {});
  EXPECT_LE(files, 1024);
  EXPECT_GE(files, 500);
  EXPECT_NE(ReadSentFileOf(dir_, "run-0/1199"), std::nullopt);
  EXPECT_EQ(std::filesystem::status(dir_).permissions(), std::filesystem::perms::owner_all);
}

}  // namespace
}  // namespace backfill::reconcile
