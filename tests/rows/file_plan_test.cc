#include "rows/file_plan.h"

#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "memory_source.h"
#include "reference.h"
#include "rows/shard_reader.h"

namespace backfill::rows {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

PlanOptions Shards(std::uint64_t records) { return {.records_per_shard = records}; }

TEST(FilePlanTest, CutsCountsAndKnowsTheColumns) {
  MemorySource source("id,a\n1,x\n2,y\n3,z\n");
  const auto plan = PlanFile(source, kCsvById, Shards(2), {});
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_EQ(plan->records, 3U);
  EXPECT_EQ(plan->bytes, 17U);
  EXPECT_THAT(plan->shape.columns, ElementsAre("id", "a"));
  EXPECT_EQ(plan->shape.stored_bytes, 17U);
  ASSERT_EQ(plan->shards.size(), 2U);
  EXPECT_EQ(plan->shards[0].offset, 5U);
  EXPECT_EQ(plan->shards[0].bytes, 8U);
  EXPECT_EQ(plan->shards[1].first, 2);
  EXPECT_EQ(plan->shards[1].line, 4U);
}

TEST(FilePlanTest, AnEmptyFileHasNoRecords) {
  for (const Format format : {Format::kLines, Format::kNdJson}) {
    MemorySource source("");
    const auto plan = PlanFile(source, {.format = format, .key = "id"}, Shards(2), {});
    EXPECT_EQ(plan->records, 0U);
    EXPECT_TRUE(plan->shards.empty());
  }
  MemorySource header_only("id,a");
  EXPECT_EQ(PlanFile(header_only, kCsvById, Shards(2), {})->records, 0U);
  MemorySource empty("\n\n");
  EXPECT_EQ(PlanFile(empty, kCsvById, Shards(2), {}).error().message,
            "the file is empty; a Csv file begins with a row of column names");
}

TEST(FilePlanTest, CountsBadRowsAsRecordsAndShowsTheFirst) {
  MemorySource source("id,a\n1,x\n2\n,y\n3,\xFF\n4,\"b\n");
  const auto plan = PlanFile(source, kCsvById, Shards(100), {});
  EXPECT_EQ(plan->records, 5U);
  EXPECT_EQ(plan->bad_records(), 4U);
  EXPECT_EQ(plan->bad[static_cast<std::size_t>(Fault::kColumns)], 1U);
  EXPECT_EQ(plan->bad[static_cast<std::size_t>(Fault::kKey)], 1U);
  EXPECT_EQ(plan->bad[static_cast<std::size_t>(Fault::kUtf8)], 1U);
  EXPECT_EQ(plan->bad[static_cast<std::size_t>(Fault::kQuotes)], 1U);
  EXPECT_THAT(
      plan->bad_samples,
      ElementsAre("line 3: 1 column, the header has 2", "line 4: the column id is empty",
                  "line 5: not UTF-8", "line 6: a quote that is opened here is never closed"));
}

TEST(FilePlanTest, CountsDuplicateKeysOfGoodRows) {
  MemorySource source("a\nb\na\n\xFF\n\xFF\na\n");
  const auto plan = PlanFile(source, {}, Shards(100), {});
  EXPECT_EQ(plan->duplicates.keys, 2U);
  EXPECT_TRUE(plan->duplicates.exact);
}

// Rows of one batch each, so that the order ends behind rows that were not remembered.
std::string Rows(int count) {
  std::string rows;
  for (int i = 0; i < count; ++i) rows += std::to_string(100'000 + i) + "\n";
  return rows;
}

TEST(FilePlanTest, ReadsAFileThatIsSortedByItsKeysOnceAndCountsNeighbours) {
  MemorySource source(Rows(1000) + "900000\n900000\n900000\n");
  const auto plan = PlanFile(source, {}, Shards(100), {});
  EXPECT_EQ(plan->duplicates.keys, 2U);
  EXPECT_TRUE(plan->duplicates.exact);
  EXPECT_EQ(source.opened(), 1);
}

TEST(FilePlanTest, ReadsAgainWhatItDidNotRememberWhenTheOrderEnds) {
  for (const std::string header : {"", "id\n"}) {
    MemorySource source(header + Rows(1000) + "100007\n" + "100001\n");
    const FileFormat format = header.empty() ? FileFormat{} : kCsvById;
    const auto plan = PlanFile(source, format, Shards(100), {});
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_EQ(plan->duplicates.keys, 2U);
    EXPECT_EQ(plan->records, 1002U);
    EXPECT_EQ(source.opened(), 2);
  }
}

TEST(FilePlanTest, ReadsOnceWhateverTheOrderWhereReadingIsExpensive) {
  MemorySource source(Rows(1000) + "100007\n");
  source.BeExpensiveToReread();
  EXPECT_EQ(PlanFile(source, {}, Shards(100), {})->duplicates.keys, 1U);
  EXPECT_EQ(source.opened(), 1);
}

TEST(FilePlanTest, NoticesThatTheFileBecameShorterWhenItReadsAgain) {
  MemorySource source(Rows(1000) + "100007\n");
  source.BecomeWhenReopened(Rows(10));
  const auto plan = PlanFile(source, {}, Shards(100), {});
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code, ErrorCode::kConflict);
  EXPECT_THAT(plan.error().message, HasSubstr("became shorter"));
}

RC_GTEST_PROP(FilePlanTest, CountsRepeatedKeysWhateverTheirOrder, ()) {
  // Long sorted stretches with an exception now and then, in either order of ids, and bad rows.
  const int rows = *rc::gen::inRange(0, 600);
  const int exceptions = *rc::gen::inRange(0, 4);
  std::vector<std::string> keys;
  for (int i = 0; i < rows; ++i) keys.push_back(std::to_string(i / *rc::gen::element(1, 1, 1, 2)));
  if (*rc::gen::arbitrary<bool>()) std::sort(keys.begin(), keys.end());
  for (int i = 0; i < exceptions && rows > 0; ++i) {
    keys.insert(keys.begin() + *rc::gen::inRange(0, rows),
                *rc::gen::element<std::string>("7", "123", "x", "\xFF", "zz-some-longer-key", "1"));
  }
  std::string text;
  std::set<std::string> seen;
  std::uint64_t repeated = 0;
  for (const std::string& key : keys) {
    text += key + "\n";
    if (key != "\xFF" && !seen.insert(key).second) ++repeated;
  }
  MemorySource source(text);
  if (*rc::gen::arbitrary<bool>()) source.BeExpensiveToReread();
  const auto plan = PlanFile(source, {}, Shards(50), {});
  RC_ASSERT(plan.ok());
  RC_ASSERT(plan->duplicates.keys == repeated);
  RC_ASSERT(plan->records == keys.size());
}

TEST(FilePlanTest, SaysWhichShardSizeWouldDo) {
  MemorySource source("1\n2\n3\n4\n5\n6\n7\n");
  PlanOptions options = Shards(1);
  options.max_shards = 3;
  const auto plan = PlanFile(source, {}, options, {});
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(
      plan.error().message,
      "7 records in shards of 1 make 7 shards; at most 3 are allowed: set recordsPerShard to 3 "
      "or more");
}

TEST(FilePlanTest, AsksHowLargeShardsAreToBeOnceItKnowsTheRecords) {
  std::string file;
  for (int i = 0; i < 5'000; ++i) file += std::to_string(i) + "\n";
  MemorySource source(file);
  std::uint64_t asked = 0;
  const auto plan = PlanFile(source, {},
                             {.choose =
                                  [&](std::uint64_t records) {
                                    asked = records;
                                    return std::uint64_t{2'500};
                                  }},
                             {});
  EXPECT_EQ(asked, 5'000U);
  ASSERT_EQ(plan->shards.size(), 3U);  // pieces of 1,000 are joined, not cut
  EXPECT_EQ(plan->shards[0].records, 2'000U);
}

TEST(FilePlanTest, StopsWhenAsked) {
  MemorySource source("a\n");
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(PlanFile(source, {}, Shards(1), stop.get_token()).error().code, ErrorCode::kAborted);
}

TEST(FilePlanTest, TellsItsProgress) {
  MemorySource source(std::string(20 << 20, ' ') + "\na\n");
  std::vector<PlanProgress> told;
  PlanOptions options = Shards(1);
  options.progress = [&](const PlanProgress& p) { told.push_back(p); };
  ASSERT_TRUE(PlanFile(source, {}, options, {}).ok());
  ASSERT_GE(told.size(), 3U);
  EXPECT_LT(told[0].bytes_read, 10U << 20);
  EXPECT_EQ(told.back().bytes_read, (20U << 20) + 3);
  EXPECT_EQ(told.back().bytes_total, (20U << 20) + 3);
  EXPECT_EQ(told.back().records, 2U);
}

// Whatever the bytes: the shards give the rows of the reference, good or bad, once each.
RC_GTEST_PROP(FilePlanTest, WhatIsPlannedIsWhatIsRead, ()) {
  const Format format = *rc::gen::element(Format::kLines, Format::kCsv, Format::kNdJson);
  std::string file = *rc::gen::scale(
      6.0, rc::gen::container<std::string>(rc::gen::weightedElement<char>({{4, 'a'},
                                                                           {3, '\n'},
                                                                           {2, '"'},
                                                                           {3, ','},
                                                                           {1, '\r'},
                                                                           {1, '\xC3'},
                                                                           {1, '\xA4'},
                                                                           {1, '{'},
                                                                           {1, '}'},
                                                                           {1, ':'},
                                                                           {1, '1'},
                                                                           {1, '\\'}})));
  if (format == Format::kCsv) file.insert(0, "id,a\n");
  if (format == Format::kNdJson) file += "\n{\"id\":1}\n{\"id\":\"\\u0041\"}";
  const FileFormat how{.format = format, .key = "id"};
  MemorySource source(file);
  source.ReadInSteps({*rc::gen::inRange<std::size_t>(1, 50)});
  const auto plan = PlanFile(source, how, Shards(*rc::gen::inRange<std::uint64_t>(1, 6)), {});
  RC_ASSERT(plan.ok());
  auto reference = ReadByReference(file, format, ',');
  if (format == Format::kCsv) reference.erase(reference.begin());
  RC_ASSERT(plan->records == reference.size());

  const auto reader = ShardReader::Open(source, how, plan->shape, {});
  RC_ASSERT(reader.ok());
  std::uint64_t bad = 0;
  std::size_t next = 0;
  for (const Extent& extent : plan->shards) {
    auto shard = (*reader)->Load(extent, {});
    RC_ASSERT(shard.ok());
    while (const Record* const record = *shard->Next()) {
      const ReferenceRow& expected = reference.at(next);
      RC_ASSERT(record->position == static_cast<Position>(next++));
      RC_ASSERT(record->line == expected.line);
      if (record->fault != Fault::kNone) {
        ++bad;
      } else if (format == Format::kLines) {
        RC_ASSERT(record->key == expected.text);
      } else if (format == Format::kCsv) {
        RC_ASSERT(record->key == expected.columns.at(0));
        RC_ASSERT(std::vector<std::string>(record->fields.begin(), record->fields.end()) ==
                  expected.columns);
      }
      if (expected.fault != Fault::kNone) RC_ASSERT(record->fault != Fault::kNone);
    }
  }
  RC_ASSERT(next == reference.size());
  RC_ASSERT(bad == plan->bad_records());
}

}  // namespace
}  // namespace backfill::rows
