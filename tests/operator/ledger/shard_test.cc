#include "operator/ledger/shard.h"

#include <gtest/gtest.h>

#include <limits>

namespace backfill::ledger {
namespace {

// 100 records from 1000 on, 10 before the cursor, two beyond it, in flight.
Shard Sound() {
  Shard s;
  s.id = {3};
  s.range = {1000, 1100};
  s.planned = 100;
  s.state = ShardState::kInFlight;
  s.attempt = {1};
  s.holder = "run-0/abc";
  s.epoch = {1};
  s.cursor = 1010;
  s.done_above = "\x06";
  s.counts = {.updated = 9, .unchanged = 1, .skipped = 1, .failed = 1};
  return s;
}

TEST(ShardTest, CountsBits) {
  EXPECT_EQ(CountBits(""), 0U);
  EXPECT_EQ(CountBits(std::string("\xFF\x00\x81", 3)), 10U);
}

TEST(ShardTest, CoversWhatLiesBeforeTheCursorOrInTheBitmap) {
  const Shard s = Sound();
  EXPECT_TRUE(IsCovered(1009, s.cursor, s.done_above));
  EXPECT_FALSE(IsCovered(1010, s.cursor, s.done_above));
  EXPECT_TRUE(IsCovered(1011, s.cursor, s.done_above));
  EXPECT_TRUE(IsCovered(1012, s.cursor, s.done_above));
  EXPECT_FALSE(IsCovered(1013, s.cursor, s.done_above));
  EXPECT_FALSE(IsCovered(1099, s.cursor, s.done_above));
}

TEST(ShardTest, TrimsZerosAtTheEndOnly) {
  std::string bitmap("\0\x01\0\0", 4);
  TrimBitmap(bitmap);
  EXPECT_EQ(bitmap, std::string("\0\x01", 2));
  bitmap.assign(3, '\0');
  TrimBitmap(bitmap);
  EXPECT_EQ(bitmap, "");
}

TEST(ShardTest, FindsNothingWrongWithASoundShard) { EXPECT_EQ(Inconsistency(Sound()), ""); }

struct Broken {
  const char* problem;
  void (*change)(Shard&);
};

class BrokenShardTest : public testing::TestWithParam<Broken> {};

TEST_P(BrokenShardTest, IsFound) {
  Shard s = Sound();
  GetParam().change(s);
  EXPECT_EQ(Inconsistency(s), GetParam().problem);
}

constexpr auto kMax = std::numeric_limits<std::uint64_t>::max();
const Broken kBroken[] = {
    {"a negative id", [](Shard& s) { s.id = {-1}; }},
    {"an empty range", [](Shard& s) { s.range.end = s.range.begin; }},
    {"a planned count that is not the size of the range", [](Shard& s) { s.planned = 99; }},
    {"an attempt out of bounds", [](Shard& s) { s.attempt = {kMaxAttempt + 1}; }},
    {"a cursor outside the range", [](Shard& s) { s.cursor = 999; }},
    {"a cursor outside the range", [](Shard& s) { s.cursor = 1101; }},
    {"a bitmap that is too long", [](Shard& s) { s.done_above.assign(kMaxBitmapBytes + 1, 'x'); }},
    {"zeros at the end of a bitmap", [](Shard& s) { s.done_above.push_back('\0'); }},
    {"a bitmap that reaches beyond the range",
     [](Shard& s) { s.done_above = std::string(11, '\0') + '\x04'; }},
    {"counts that overflow", [](Shard& s) { s.counts = {.updated = kMax, .failed = 13}; }},
    {"counts that differ from cursor and bitmap", [](Shard& s) { ++s.counts.failed; }},
    {"counts that differ from cursor and bitmap", [](Shard& s) { s.done_above = "\x0E"; }},
    {"a holder that is too long or not plain text", [](Shard& s) { s.holder.assign(257, 'a'); }},
    {"a holder that is too long or not plain text", [](Shard& s) { s.holder = "run-0/\xFF"; }},
    {"in flight without an attempt", [](Shard& s) { s.attempt = {0}; }},
    {"done with records left", [](Shard& s) { s.state = ShardState::kDone; }},
    {"a holder without a lease", [](Shard& s) { s.state = ShardState::kPending; }},
};
INSTANTIATE_TEST_SUITE_P(All, BrokenShardTest, testing::ValuesIn(kBroken));

TEST(ShardTest, MaySpanTheWholeKeySpace) {
  Shard s;
  s.id = {0};
  s.range = {std::numeric_limits<Position>::min(), std::numeric_limits<Position>::max()};
  s.planned = s.range.size();
  s.cursor = s.range.end;
  s.state = ShardState::kDone;
  s.counts.updated = s.range.size();
  EXPECT_EQ(Inconsistency(s), "");
}

}  // namespace
}  // namespace backfill::ledger
