#include "rows/shard_reader.h"

#include <string>
#include <vector>

#include "memory_source.h"
#include "reference.h"
#include "rows/file_plan.h"

namespace backfill::rows {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ShardReaderTest : public ::testing::Test {
 protected:
  void Planned(const std::string& file, std::uint64_t records_per_shard,
               const FileFormat& format = kCsvById) {
    format_ = format;
    source_.Become(file);
    auto plan = PlanFile(source_, format_, {.records_per_shard = records_per_shard}, {});
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    plan_ = *std::move(plan);
  }
  Result<std::unique_ptr<ShardReader>> Open() {
    return ShardReader::Open(source_, format_, plan_.shape, {});
  }
  static std::vector<std::string> Keys(Result<LoadedShard> shard) {
    if (!shard) return {shard.error().message};
    std::vector<std::string> keys;
    for (;;) {
      const auto record = shard->Next();
      if (!record) {
        keys.push_back(record.error().message);
        break;
      }
      if (*record == nullptr) break;
      keys.emplace_back((*record)->fault == Fault::kNone ? std::string((*record)->key)
                                                         : (*record)->problem);
    }
    return keys;
  }

  MemorySource source_{""};
  FileFormat format_;
  FilePlan plan_;
};

TEST_F(ShardReaderTest, ReadsShardsInAnyOrder) {
  Planned("id,a\n1,x\n2,y\n3,z\n", 2);
  const auto reader = *Open();
  EXPECT_THAT(reader->field_names(), ElementsAre("id", "a"));
  EXPECT_THAT(Keys(reader->Load(plan_.shards[1], {})), ElementsAre("3"));
  EXPECT_THAT(Keys(reader->Load(plan_.shards[0], {})), ElementsAre("1", "2"));
}

TEST_F(ShardReaderTest, CanBeginInTheMiddleOfAShard) {
  Planned("id\n1\n2\n3\n4\n", 4);
  const auto reader = *Open();
  LoadedShard shard = *reader->Load(plan_.shards[0], {});
  ASSERT_TRUE(shard.SkipTo(2).ok());
  const Record* const record = *shard.Next();
  EXPECT_EQ(record->key, "3");
  EXPECT_EQ(record->position, 2);
  EXPECT_EQ(record->line, 4U);
  EXPECT_EQ(shard.position(), 3);
  EXPECT_EQ(shard.SkipTo(9).error().code, ErrorCode::kConflict);
}

TEST_F(ShardReaderTest, GivesNothingOfAShardWhoseBytesAreOthers) {
  Planned("id,a\n1,x\n2,y\n3,z\n", 2);
  const auto reader = *Open();
  source_.Become("id,a\n1,x\n2,Y\n3,z\n");
  const auto shard = reader->Load(plan_.shards[0], {});
  ASSERT_FALSE(shard.ok());
  EXPECT_EQ(shard.error().code, ErrorCode::kConflict);
  EXPECT_THAT(shard.error().message,
              HasSubstr("the file changed since it was planned: the 8 bytes from 5 on have the "
                        "checksum crc32c "));
  EXPECT_THAT(Keys(reader->Load(plan_.shards[1], {})), ElementsAre("3"));
}

TEST_F(ShardReaderTest, NoticesAnotherSizeBeforeReading) {
  Planned("id\n1\n", 2);
  source_.Become("id\n1\n2\n");
  EXPECT_EQ(Open().error().message,
            "the file changed since it was planned: it has 7 bytes and had 5");
}

TEST_F(ShardReaderTest, NoticesAShorterFileAlsoWhereSizesAreUnknown) {
  source_.HideSize();
  Planned("id\n1\n2\n3\n", 2);
  const auto reader = *Open();
  source_.Become("id\n1\n");
  const auto shard = reader->Load(plan_.shards[0], {});
  EXPECT_EQ(shard.error().code, ErrorCode::kConflict);
  EXPECT_THAT(shard.error().message, HasSubstr("the 4 bytes from 3 on are 2 now"));
}

TEST_F(ShardReaderTest, NoticesAnotherHeader) {
  Planned("id,a\n1,x\n", 2);
  source_.Become("id,b\n1,x\n");
  EXPECT_EQ(Open().error().code, ErrorCode::kConflict);
  EXPECT_EQ(Open().error().message,
            "the file changed since it was planned: its header is id, b and was id, a");
}

TEST_F(ShardReaderTest, SaysThatASourceThatFailsMayBeTriedAgain) {
  Planned("id\n1\n", 2);
  const auto reader = *Open();
  source_.FailNextRead({ErrorCode::kUnavailable, "the network is down"});
  EXPECT_EQ(reader->Load(plan_.shards[0], {}).error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(Keys(reader->Load(plan_.shards[0], {})), ElementsAre("1"));
}

TEST_F(ShardReaderTest, GivesARowThatIsTooLongAsABadOneWithoutHoldingIt) {
  Planned("a\n" + std::string(6 << 20, 'x') + "\nb\n", 10, {});
  ASSERT_EQ(plan_.shards.size(), 3U);
  const auto reader = *Open();
  EXPECT_THAT(Keys(reader->Load(plan_.shards[1], {})),
              ElementsAre("line 2: the row that begins here is longer than 1 MiB"));
  EXPECT_THAT(Keys(reader->Load(plan_.shards[2], {})), ElementsAre("b"));
}

TEST_F(ShardReaderTest, GivesARowThatIsTooLongAndFitsAShardAsABadOne) {
  Planned(std::string(2 << 20, 'x') + "\nb\n", 10, {});
  const auto reader = *Open();
  EXPECT_THAT(Keys(reader->Load(plan_.shards[0], {})),
              ElementsAre("line 1: the row that begins here is longer than 1 MiB"));
}

TEST_F(ShardReaderTest, SeesThatAShardWasPlannedAsAnotherFormat) {
  Planned("id\n\"1\n2\"\n3\n", 10);
  const auto reader = *Open();
  Extent extent = plan_.shards[0];
  extent.records = 3;
  EXPECT_THAT(Keys(reader->Load(extent, {})).back(), HasSubstr("3 records that were planned"));
  extent.records = 1;
  EXPECT_THAT(Keys(reader->Load(extent, {})).back(), HasSubstr("1 records that were planned"));
}

class ForwardOnlyTest : public ShardReaderTest {
 protected:
  void SetUp() override {
    source_.ReadForwardOnly();
    std::string file;
    for (int i = 0; i < 100; ++i) file += "key-" + std::to_string(i) + "\n";
    Planned(file, 10, {});
    reader_ = *Open();
    opened_ = source_.opened();
  }
  void Load(std::size_t shard) {
    EXPECT_EQ(Keys(reader_->Load(plan_.shards[shard], {})).front(),
              "key-" + std::to_string(10 * shard));
  }
  int Opened() const { return source_.opened() - opened_; }

  std::unique_ptr<ShardReader> reader_;
  int opened_ = 0;
};

TEST_F(ForwardOnlyTest, TwoLeasesReadInTurnNeverStartOver) {
  for (const std::size_t shard : {5U, 1U, 6U, 2U, 7U, 3U, 8U}) Load(shard);
  EXPECT_EQ(Opened(), 2);
}

TEST_F(ForwardOnlyTest, KeepsThreeStreamsAndGivesUpTheOneThatWasUsedLeast) {
  for (const std::size_t shard : {8U, 6U, 4U, 2U}) Load(shard);
  EXPECT_EQ(Opened(), 4);
  for (const std::size_t shard : {3U, 5U, 7U}) Load(shard);  // those behind 2, 4 and 6
  EXPECT_EQ(Opened(), 4);
}

TEST_F(ForwardOnlyTest, GivesUpAStreamThatFailed) {
  Load(1);
  source_.FailNextRead({ErrorCode::kUnavailable, "the network is down"});
  EXPECT_EQ(reader_->Load(plan_.shards[2], {}).error().code, ErrorCode::kUnavailable);
  Load(2);
  EXPECT_EQ(Opened(), 2);
}

}  // namespace
}  // namespace backfill::rows
