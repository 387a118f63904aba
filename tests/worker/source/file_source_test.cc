#include "worker/source/file_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "rows/file_plan.h"
#include "rows/open_source.h"

namespace backfill::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const rows::FileFormat kCsv{.format = rows::Format::kCsv, .key = "id"};

// A planned file, and a source that reads it on its own thread.
class FileSourceTest : public ::testing::Test {
 protected:
  FileSourceTest()
      : path_(::testing::TempDir() + "file_source_" + std::to_string(getpid()) + ".csv") {}
  ~FileSourceTest() override {
    source_.reset();
    std::filesystem::remove(path_);
  }

  void FileBecomes(const std::string& text) { std::ofstream(path_) << text; }
  // One byte, in place.
  void Overwrite(std::size_t at, char c) {
    std::fstream file(path_, std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(c);
  }
  void Planned(const std::string& text, std::uint64_t per_shard,
               const rows::FileFormat& format = kCsv) {
    FileBecomes(text);
    const auto file = *rows::OpenSource(path_, {}, {});
    auto plan = rows::PlanFile(*file, format, {.records_per_shard = per_shard}, {});
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    plan_ = *std::move(plan);
    source_ =
        std::make_unique<FileSource>([this](const std::stop_token& stop) { return Open(stop); },
                                     FileSourceOptions{.format = format,
                                                       .shape = plan_.shape,
                                                       .name = "ids.csv",
                                                       .wake = [this] { Wake(); },
                                                       .first_backoff = 1ms});
  }
  Result<std::unique_ptr<rows::ByteSource>> Open(const std::stop_token& stop) {
    const std::lock_guard lock(mu_);
    ++opened_;
    if (away_) return Error{ErrorCode::kUnavailable, "no route"};
    return rows::OpenSource(path_, {}, stop);
  }
  void Wake() {
    const std::lock_guard lock(mu_);
    ++woken_;
    changed_.notify_all();
  }
  void FileIsAway(bool away) {
    const std::lock_guard lock(mu_);
    away_ = away;
  }
  void Know(std::size_t shard) { source_->Know(plan_.shards[shard]); }

  // What Read() gives, as soon as it gives anything; nothing if the source is in trouble.
  std::vector<Record> Read(const Range& range) {
    for (;;) {
      std::unique_lock lock(mu_);
      const int seen = woken_;
      lock.unlock();
      auto records = source_->Read(range);
      if (records.ok()) return *std::move(records);
      EXPECT_EQ(records.error().code, ErrorCode::kUnavailable);
      if (source_->trouble()) return {};
      lock.lock();
      if (!changed_.wait_for(lock, 10s, [&] { return woken_ > seen; })) {
        ADD_FAILURE() << "nothing came";
        return {};
      }
    }
  }
  std::vector<Record> ReadAll(Range range) {
    std::vector<Record> all;
    while (!range.empty()) {
      std::vector<Record> records = Read(range);
      if (records.empty()) break;
      range.begin = records.back().position + 1;
      std::move(records.begin(), records.end(), std::back_inserter(all));
    }
    return all;
  }
  static std::vector<std::string> Keys(const std::vector<Record>& records) {
    std::vector<std::string> keys;
    for (const Record& r : records) keys.push_back(r.problem.empty() ? r.key : r.problem);
    return keys;
  }
  static std::string Rows(int n) {
    std::string text = "id,a\n";
    for (int i = 0; i < n; ++i) text += std::to_string(i) + ",x\n";
    return text;
  }

  const std::string path_;
  rows::FilePlan plan_;
  std::mutex mu_;
  std::condition_variable changed_;
  int woken_ = 0;
  int opened_ = 0;
  bool away_ = false;
  std::unique_ptr<FileSource> source_;
};

TEST_F(FileSourceTest, GivesRowsWithTheirFields) {
  Planned("id,a\n7,x\n8,\"y,\"\n", 10);
  Know(0);
  EXPECT_THAT(ReadAll({0, 2}),
              ElementsAre(Record{.position = 0, .key = "7", .fields = {"7", "x"}},
                          Record{.position = 1, .key = "8", .fields = {"8", "y,"}}));
  EXPECT_THAT(source_->field_names(), ElementsAre("id", "a"));
  EXPECT_FALSE(source_->numeric_keys());
  EXPECT_FALSE(source_->raw_records());
}

TEST_F(FileSourceTest, GivesObjectsAsTheyStand) {
  Planned("{\"id\": 7, \"a\": [1, 2]}\n", 10,
          {.format = rows::Format::kNdJson, .key = "id", .fields = {"a"}});
  Know(0);
  EXPECT_THAT(
      ReadAll({0, 1}),
      ElementsAre(Record{
          .position = 0, .key = "7", .fields = {"[1, 2]"}, .raw = "{\"id\": 7, \"a\": [1, 2]}"}));
  EXPECT_TRUE(source_->raw_records());
}

TEST_F(FileSourceTest, ABadRowIsARecordWithItsProblem) {
  Planned("id,a\n7\n8,y\n", 10);
  Know(0);
  EXPECT_THAT(Keys(ReadAll({0, 2})), ElementsAre(StartsWith("line 2: "), "8"));
}

TEST_F(FileSourceTest, GoesThroughAShardInBlocks) {
  Planned(Rows(5000), 5000);
  Know(0);
  const std::vector<Record> all = ReadAll({0, 5000});
  ASSERT_EQ(all.size(), 5000U);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].position, static_cast<Position>(i));
    EXPECT_EQ(all[i].key, std::to_string(i));
  }
}

TEST_F(FileSourceTest, BeginsInTheMiddleAndReadsPartsOfAShardSideBySide) {
  Planned(Rows(4000), 2000);
  Know(0);
  Know(1);
  Position a = 500, b = 1500, c = 2000;
  while (a < 1500 || b < 2000 || c < 4000) {
    for (auto [at, end] :
         {std::pair{&a, Position{1500}}, {&b, Position{2000}}, {&c, Position{4000}}}) {
      if (*at >= end) continue;
      const auto records = Read({*at, std::min(*at + 100, end)});
      ASSERT_FALSE(records.empty());
      EXPECT_EQ(records.front().key, std::to_string(*at));
      *at = records.back().position + 1;
    }
  }
}

TEST_F(FileSourceTest, ReadsAgainWhatALostLeaseHadRead) {
  Planned(Rows(3000), 3000);
  Know(0);
  EXPECT_EQ(ReadAll({0, 2000}).size(), 2000U);
  EXPECT_EQ(ReadAll({0, 3000}).size(), 3000U);
}

TEST_F(FileSourceTest, NothingIsGivenOfAShardWhoseBytesChanged) {
  Planned(Rows(100), 50);
  Know(0);
  Know(1);
  EXPECT_EQ(ReadAll({0, 10}).size(), 10U);
  Overwrite(plan_.shards[1].offset + 3, 'y');
  EXPECT_THAT(ReadAll({50, 100}), IsEmpty());
  ASSERT_TRUE(source_->trouble().has_value());
  EXPECT_EQ(source_->trouble()->code, ErrorCode::kConflict);
  EXPECT_THAT(source_->trouble()->message,
              HasSubstr("ids.csv: the file changed since it was planned: the "));
}

TEST_F(FileSourceTest, AFileOfAnotherSizeIsAnotherFile) {
  Planned(Rows(100), 50);
  Know(0);
  FileBecomes(Rows(101));
  EXPECT_THAT(ReadAll({0, 50}), IsEmpty());
  EXPECT_EQ(source_->trouble()->code, ErrorCode::kConflict);
}

TEST_F(FileSourceTest, AFileThatIsAwayIsTriedUntilItIsBack) {
  Planned(Rows(10), 10);
  Know(0);
  FileIsAway(true);
  EXPECT_THAT(ReadAll({0, 10}), IsEmpty());
  EXPECT_EQ(source_->trouble()->code, ErrorCode::kUnavailable);
  EXPECT_THAT(source_->trouble()->message, HasSubstr("no route"));
  FileIsAway(false);
  {
    std::unique_lock lock(mu_);
    ASSERT_TRUE(changed_.wait_for(lock, 10s, [&] {
      lock.unlock();
      const bool over = !source_->trouble().has_value();
      lock.lock();
      return over;
    }));
  }
  EXPECT_EQ(ReadAll({0, 10}).size(), 10U);
}

TEST_F(FileSourceTest, DoesNotGuessWhereAPositionLies) {
  Planned(Rows(10), 10);
  EXPECT_EQ(source_->Read({3, 4}).error().code, ErrorCode::kInvalid);
}

}  // namespace
}  // namespace backfill::worker
