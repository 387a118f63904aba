#include "operator/decision_log/log_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <vector>

namespace backfill::decision_log {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class LogFileTest : public testing::Test {
 protected:
  LogFileTest() {
    std::string path = (std::filesystem::temp_directory_path() / "backfill-log-XXXXXX").string();
    dir_ = mkdtemp(path.data());
    options_.path = dir_ / "decisions.log";
    options_.max_bytes = 4096;
    options_.files = 4;
    options_.max_queued = 1 << 20;
  }
  ~LogFileTest() override { std::filesystem::remove_all(dir_); }

  void Open() {
    log_ = std::make_unique<LogFile>(options_);
    const Status started = log_->Start();
    ASSERT_TRUE(started.ok()) << started.error().message;
  }
  void Close() { log_.reset(); }
  [[nodiscard]] std::string Read(const std::string& name = "decisions.log") const {
    std::ifstream in(dir_ / name);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  [[nodiscard]] std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(dir_))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
  static std::string Line(int i) { return std::to_string(i) + " " + std::string(100, 'x'); }

  std::filesystem::path dir_;
  LogFileOptions options_;
  std::unique_ptr<LogFile> log_;
};

TEST_F(LogFileTest, ALineIsALineAndOnlyItsOwnerReadsIt) {
  Open();
  log_->Write("one");
  log_->Write("two");
  Close();
  EXPECT_EQ(Read(), "one\ntwo\n");
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(options_.path).permissions(),
            perms::owner_read | perms::owner_write);
}

TEST_F(LogFileTest, GoesOnAtTheEndOfWhatIsThere) {
  std::ofstream(options_.path) << "one\ntorn by a kill";
  Open();
  log_->Write("two");
  Close();
  Open();
  log_->Write("three");
  Close();
  EXPECT_EQ(Read(), "one\ntorn by a kill\ntwo\nthree\n");
}

TEST_F(LogFileTest, AllFilesTogetherStayWithinTheSizeAndTheLatestLinesAreKept) {
  Open();
  for (int i = 0; i < 200; ++i) log_->Write(Line(i));
  Close();
  EXPECT_THAT(Files(), ElementsAre("decisions.log", "decisions.log.1", "decisions.log.2",
                                   "decisions.log.3"));
  std::string all;
  for (const std::string& name : {"decisions.log.3", "decisions.log.2", "decisions.log.1"})
    all += Read(name);
  all += Read();
  EXPECT_LE(all.size(), 4096u);
  EXPECT_GE(all.size(), 2900u) << "three full files, less what did not fit at their ends";
  EXPECT_THAT(all, HasSubstr("\n199 "));
  int expected = std::atoi(all.c_str());
  std::stringstream lines(all);
  for (std::string line; std::getline(lines, line); ++expected)
    EXPECT_THAT(line, StartsWith(std::to_string(expected) + " ")) << "none is missing between";
  EXPECT_EQ(expected, 200);
}

TEST_F(LogFileTest, AllOfItIsReadFromTheOldestLineOn) {
  Open();
  EXPECT_EQ(log_->ReadAll(), "");
  for (int i = 0; i < 20; ++i) log_->Write(Line(i));
  log_->Stop();
  const std::string all = log_->ReadAll();
  EXPECT_THAT(all, StartsWith("0 "));
  EXPECT_THAT(all, HasSubstr("\n19 "));
}

TEST_F(LogFileTest, WhatIsThereAlreadyCountsForTheSize) {
  std::ofstream(options_.path) << std::string(1000, 'x') << '\n';
  Open();
  log_->Write(Line(0));
  Close();
  EXPECT_THAT(Files(), ElementsAre("decisions.log", "decisions.log.1"));
  EXPECT_EQ(Read(), Line(0) + "\n");
}

TEST_F(LogFileTest, WithEachFileGovernorsSayAnewWhereTheyStand) {
  Open();
  const std::uint64_t before = log_->Volume();
  for (int i = 0; i < 9; ++i) log_->Write(Line(i));
  EXPECT_EQ(log_->Volume(), before);
  log_->Write(Line(9));
  EXPECT_GT(log_->Volume(), before);
}

TEST_F(LogFileTest, ALineThatIsLargerThanAFileIsAFile) {
  Open();
  log_->Write("small");
  log_->Write(std::string(3000, 'x'));
  log_->Write("small");
  Close();
  EXPECT_EQ(Read(), "small\n");
  EXPECT_EQ(Read("decisions.log.1").size(), 3001u);
}

TEST_F(LogFileTest, NobodyWaitsForADiskThatDoesNotKeepUp) {
  options_.max_queued = 1000;
  LogFile log(options_);  // no thread takes anything yet
  const std::uint64_t before = log.Volume();
  for (int i = 0; i < 100; ++i) log.Write(Line(i));
  EXPECT_GT(log.dropped(), 80u);
  EXPECT_GT(log.Volume(), before) << "what comes next cannot be replayed from before";
}

TEST_F(LogFileTest, ADiskThatTakesNothingIsNotTheEnd) {
  std::filesystem::create_symlink("/dev/full", options_.path);
  Open();
  const std::uint64_t before = log_->Volume();
  log_->Write("lost");
  log_->Stop();
  EXPECT_EQ(log_->dropped(), 1u);
  EXPECT_GT(log_->Volume(), before);
}

TEST_F(LogFileTest, SaysWhyItCannotBeOpened) {
  options_.path = dir_ / "missing" / "decisions.log";
  LogFile log(options_);
  const Status started = log.Start();
  ASSERT_FALSE(started.ok());
  EXPECT_THAT(started.error().message, HasSubstr("missing/decisions.log: No such file"));
}

TEST_F(LogFileTest, ManyMayWriteAtOnce) {
  options_.max_bytes = 1 << 20;
  Open();
  {
    std::vector<std::jthread> writers;
    for (int w = 0; w < 4; ++w)
      writers.emplace_back([this] {
        for (int i = 0; i < 200; ++i) log_->Write(Line(i));
      });
  }
  Close();
  std::stringstream lines(Read());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count)
    EXPECT_EQ(line, Line(std::atoi(line.c_str())));
  EXPECT_EQ(count, 800);
}

}  // namespace
}  // namespace backfill::decision_log
