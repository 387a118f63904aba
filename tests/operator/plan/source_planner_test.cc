#include "operator/plan/source_planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <limits>

namespace backfill::plan {
namespace {

constexpr Position kLowest = std::numeric_limits<Position>::min();
constexpr Position kHighest = std::numeric_limits<Position>::max();

std::vector<PlannedShard> Cut(Range range, const Cutting& cutting) {
  return RangePlanner(range).Cut(cutting, {}).value();
}

std::string WhyNot(Range range, const Cutting& cutting) {
  const auto cut = RangePlanner(range).Cut(cutting, {});
  return cut.ok() ? "it was cut" : cut.error().message;
}

TEST(RangePlannerTest, CutsEvenlyWithTheRestInTheLastShard) {
  EXPECT_THAT(Cut({0, 25}, {.records_per_shard = 10}),
              testing::ElementsAre(PlannedShard{{0, 10}, 10}, PlannedShard{{10, 20}, 10},
                                   PlannedShard{{20, 25}, 5}));
}

TEST(RangePlannerTest, MakesNoShardOfAnEmptyRange) {
  EXPECT_TRUE(Cut({7, 7}, {}).empty());
  EXPECT_TRUE(Cut({kHighest, kHighest}, {}).empty());
}

TEST(RangePlannerTest, CutsTheWholeKeySpaceWithoutOverflow) {
  const auto shards = Cut({kLowest, kHighest}, {.workers = 3000});
  EXPECT_EQ(shards.size(), 10'000U);
  EXPECT_EQ(shards.front().range.begin, kLowest);
  EXPECT_EQ(shards.back().range.end, kHighest);
}

TEST(RangePlannerTest, SaysWhichSizeWouldDoWhenThereAreTooManyShards) {
  EXPECT_EQ(WhyNot({0, 1'000'001}, {.records_per_shard = 10}),
            "1000001 records in shards of 10 make 100001 shards; at most 100000 are allowed: set "
            "recordsPerShard to 11 or more");
  EXPECT_EQ(Cut({0, 1'000'001}, {.records_per_shard = 11}).size(), 90'910U);
}

TEST(RangePlannerTest, RefusesARangeThatEndsBeforeItBegins) {
  EXPECT_EQ(WhyNot({5, 4}, {}), "the range ends before it begins");
}

TEST(RangePlannerTest, StopsWhenAsked) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(RangePlanner({0, 10}).Cut({}, stop.get_token()).error().code, ErrorCode::kAborted);
}

TEST(KeysPlannerTest, CutsIndexes) {
  EXPECT_THAT(KeysPlanner(3).Cut({.records_per_shard = 2}, {}).value(),
              testing::ElementsAre(PlannedShard{{0, 2}, 2}, PlannedShard{{2, 3}, 1}));
}

TEST(ChooseRecordsPerShardTest, TakesWhatIsAskedFor) {
  EXPECT_EQ(ChooseRecordsPerShard({.records_per_shard = 7, .workers = 50}, 1'000'000'000), 7U);
}

TEST(ChooseRecordsPerShardTest, GivesEachWorkerFourShardsOfAThousandRecordsOrMore) {
  EXPECT_EQ(ChooseRecordsPerShard({.workers = 8}, 100), 1'000U);
  EXPECT_EQ(ChooseRecordsPerShard({.workers = 8}, 64'000), 2'000U);
  EXPECT_EQ(ChooseRecordsPerShard({.workers = 8}, 10'000'000), 10'000U);
  EXPECT_EQ(ChooseRecordsPerShard({.workers = 1}, 1'000'000'000), 100'000U);  // 10,000 shards
  EXPECT_EQ(ChooseRecordsPerShard({.workers = 0}, 0), 1'000U);
}

RC_GTEST_PROP(RangePlannerProperty, CoversTheRangeExactly, (Position a, Position b)) {
  const Range range{std::min(a, b), std::max(a, b)};
  const Cutting cutting{.records_per_shard = *rc::gen::inRange<std::int64_t>(0, 2'000),
                        .workers = *rc::gen::inRange(-1, 5'000)};
  const auto cut = RangePlanner(range).Cut(cutting, {});
  if (!cut.ok()) {
    RC_ASSERT(range.size() / static_cast<std::uint64_t>(cutting.records_per_shard) >=
              static_cast<std::uint64_t>(kMaxShards));
    return;
  }
  RC_ASSERT(std::cmp_less_equal(cut->size(), kMaxShards));
  Position at = range.begin;
  for (const PlannedShard& s : *cut) {
    RC_ASSERT(s.range.begin == at && !s.range.empty() && s.records == s.range.size());
    at = s.range.end;
  }
  RC_ASSERT(at == range.end);
}

// A planner that does not keep its promises.
class BrokenPlanner final : public SourcePlanner {
 public:
  explicit BrokenPlanner(std::vector<PlannedShard> shards) : shards_(std::move(shards)) {}
  Result<std::vector<PlannedShard>> Cut(const Cutting&, std::stop_token) override {
    return shards_;
  }

 private:
  std::vector<PlannedShard> shards_;
};

TEST(MakePlanTest, CountsAndHashes) {
  RangePlanner source({0, 25});
  const Plan plan = MakePlan(source, {.records_per_shard = 10}, "work", {}).value();
  EXPECT_EQ(plan.records, 25U);
  EXPECT_EQ(plan.shards.size(), 3U);
  EXPECT_EQ(plan.hash, PlanHash("work", plan.shards));
}

TEST(MakePlanTest, RefusesGapsOverlapsEmptyShardsAndTooManyRecords) {
  const std::vector<std::vector<PlannedShard>> broken{
      {{{0, 10}, 10}, {{11, 12}, 1}},
      {{{0, 10}, 10}, {{9, 12}, 3}},
      {{{0, 0}, 0}},
      {{{0, 1}, ~0ULL}, {{1, 2}, 1}},
  };
  for (const auto& shards : broken) {
    BrokenPlanner source(shards);
    EXPECT_EQ(MakePlan(source, {}, "work", {}).error().code, ErrorCode::kInternal);
  }
}

}  // namespace
}  // namespace backfill::plan
