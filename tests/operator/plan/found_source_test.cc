#include "operator/plan/found_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "rows/format.h"

namespace backfill::plan {
namespace {

using testing::HasSubstr;

// Two shards of 10 and 5 rows behind a header of 3 bytes.
std::vector<rows::Extent> Two() {
  return {{.first = 0, .records = 10, .offset = 3, .bytes = 100, .line = 2, .crc32c = 7},
          {.first = 10, .records = 5, .offset = 103, .bytes = 50, .line = 12, .crc32c = 8}};
}
FileFacts Facts() {
  return {.shape = {.stored_bytes = 153, .columns = {"id"}},
          .bytes = 153,
          .bad_records = 2,
          .bad_by_fault = {{"not UTF-8", 2}},
          .bad_samples = {"line 4: not UTF-8"}};
}

// Why it is refused, as one part; "": it is not.
std::string WhyRefused(const std::vector<rows::Extent>& shards, const FileFacts& facts = Facts(),
                       std::uint64_t announced = 2, std::uint64_t records = 15) {
  FoundSourceIntake intake;
  if (const Status added = intake.Add(0, shards); !added.ok()) {
    EXPECT_EQ(added.error().code, ErrorCode::kInvalid);
    return added.error().message;
  }
  const auto found = intake.End(announced, records, facts);
  return found.ok() ? "" : found.error().message;
}

TEST(FoundSourceTest, PartsBecomeTheWhole) {
  FoundSourceIntake intake;
  ASSERT_TRUE(intake.Add(0, {Two()[0]}).ok());
  ASSERT_TRUE(intake.Add(1, {Two()[1]}).ok());
  const auto found = intake.End(2, 15, Facts());
  ASSERT_TRUE(found.ok()) << found.error().message;
  ASSERT_EQ(found->shards.size(), 2u);
  EXPECT_EQ(found->shards[1].range, (Range{10, 15}));
  EXPECT_EQ(found->shards[1].extent, Two()[1]);
  EXPECT_EQ(found->facts, Facts());
}

TEST(FoundSourceTest, AnEmptyFileHasNoShards) {
  FoundSourceIntake intake;
  EXPECT_TRUE(intake.End(0, 0, {.shape = {.columns = {"id"}}, .bytes = 3}).ok());
}

TEST(FoundSourceTest, TheHashIsThatOfWhoeverLooked) {
  FoundPlanner planner({{{{0, 10}, 10, Two()[0]}, {{10, 15}, 5, Two()[1]}}, Facts()});
  const auto plan = MakePlan(planner, {}, "work", {});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->hash, PlanHash("work", plan->shards, &plan->file->shape));
  EXPECT_EQ(plan->records, 15u);
  EXPECT_EQ(plan->file, Facts());
}

TEST(FoundSourceTest, APartThatIsMissingOrCameTwiceIsRefused) {
  FoundSourceIntake intake;
  ASSERT_TRUE(intake.Add(0, {Two()[0]}).ok());
  EXPECT_FALSE(intake.Add(0, {Two()[0]}).ok());
  EXPECT_FALSE(intake.Add(2, {Two()[1]}).ok());
  EXPECT_FALSE(intake.End(2, 15, Facts()).ok());
}

TEST(FoundSourceTest, ShardsThatDoNotFollowEachOtherAreRefused) {
  struct Case {
    const char* what;
    void (*change)(std::vector<rows::Extent>&);
  };
  using Shards = std::vector<rows::Extent>;
  constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
  for (const Case& c : std::vector<Case>{
           {"does not begin at 0", [](Shards& s) { s[0].first = 1; }},
           {"gap", [](Shards& s) { s[1].first = 11; }},
           {"overlap", [](Shards& s) { s[1].first = 9; }},
           {"no records", [](Shards& s) { s[1].records = 0; }},
           {"no bytes", [](Shards& s) { s[1].bytes = 0; }},
           {"bytes overlap", [](Shards& s) { s[1].offset = 102; }},
           {"lines fall", [](Shards& s) { s[1].line = 1; }},
           {"no line", [](Shards& s) { s[0].line = 0; }},
           {"positions overflow", [](Shards& s) { s[1].records = kMost; }},
           {"offsets overflow", [](Shards& s) { s[1].offset = kMost; }},
           {"bytes overflow", [](Shards& s) { s[1].bytes = kMost; }},
       }) {
    Shards shards = Two();
    c.change(shards);
    EXPECT_NE(WhyRefused(shards), "") << c.what;
  }
  EXPECT_EQ(WhyRefused(Two()), "");
}

TEST(FoundSourceTest, WhatDoesNotAddUpIsRefused) {
  EXPECT_NE(WhyRefused(Two(), Facts(), 3), "");
  EXPECT_NE(WhyRefused(Two(), Facts(), 2, 16), "");
  FileFacts facts = Facts();
  facts.bytes = 152;
  EXPECT_THAT(WhyRefused(Two(), facts), HasSubstr("behind the file"));
  facts = Facts();
  facts.bad_records = 3;
  EXPECT_THAT(WhyRefused(Two(), facts), HasSubstr("bad rows"));
  facts = Facts();
  facts.bad_by_fault = {{"a", std::numeric_limits<std::uint64_t>::max()}, {"b", 3}};
  EXPECT_THAT(WhyRefused(Two(), facts), HasSubstr("bad rows"));
  facts = Facts();
  facts.bad_records = 16;
  facts.bad_by_fault = {{"a", 16}};
  EXPECT_THAT(WhyRefused(Two(), facts), HasSubstr("bad rows"));
}

TEST(FoundSourceTest, MoreThanAPlanMayHoldIsRefused) {
  FileFacts facts = Facts();
  facts.shape.columns = {std::string(kMaxHeaderBytes + 1, 'a')};
  EXPECT_THAT(WhyRefused(Two(), facts), HasSubstr("header"));
  facts.shape.columns.assign(rows::kMaxColumns + 1, "");
  EXPECT_THAT(WhyRefused(Two(), facts), HasSubstr("columns"));
  facts = Facts();
  facts.bad_samples.assign(11, "line 1");
  EXPECT_NE(WhyRefused(Two(), facts), "");

  FoundSourceIntake intake;
  std::vector<rows::Extent> part;
  for (Position i = 0; i < kMaxShards; ++i) {
    part.push_back({.first = i, .records = 1, .offset = static_cast<std::uint64_t>(i), .bytes = 1});
  }
  ASSERT_TRUE(intake.Add(0, part).ok());
  EXPECT_THAT(intake
                  .Add(static_cast<std::uint64_t>(kMaxShards),
                       {{.first = kMaxShards, .records = 1, .offset = kMaxShards, .bytes = 1}})
                  .error()
                  .message,
              HasSubstr("more than 100000"));
}

}  // namespace
}  // namespace backfill::plan
