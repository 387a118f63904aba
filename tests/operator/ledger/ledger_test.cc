#include "operator/ledger/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <random>

namespace backfill::ledger {
namespace {

constexpr Epoch kEpoch{3};

plan::Plan PlanOf(int shards, int records_each = 10) {
  plan::Plan plan{.hash = "sha256:cafe"};
  for (int i = 0; i < shards; ++i) {
    const Range range{i * records_each, (i + 1) * records_each};
    plan.shards.push_back({range, range.size()});
    plan.records += range.size();
  }
  return plan;
}

std::vector<std::string> Chunks(Ledger& ledger) {
  std::vector<std::string> chunks;
  for (int i = 0; i < ledger.chunks(); ++i) chunks.push_back(ledger.Encode(i, kEpoch).data);
  return chunks;
}

std::vector<Shard> Shards(const Ledger& ledger) {
  std::vector<Shard> shards;
  ledger.ForEach([&](const Shard& s) { shards.push_back(s); });
  return shards;
}

std::string ErrorOf(const std::vector<std::string>& chunks) {
  const auto ledger = Ledger::FromChunks(chunks);
  if (ledger.ok()) return "it loads";
  EXPECT_EQ(ledger.error().code, ErrorCode::kInvalid);
  return ledger.error().message;
}

Totals CountedAnew(const Ledger& ledger) {
  Totals t{.redone_at_most = ledger.totals().redone_at_most};
  ledger.ForEach([&](const Shard& s) {
    t.planned += s.planned;
    t.counts.updated += s.counts.updated;
    t.counts.unchanged += s.counts.unchanged;
    t.counts.skipped += s.counts.skipped;
    t.counts.failed += s.counts.failed;
    ++t.shards;
    t.shards_pending += s.state == ShardState::kPending ? 1 : 0;
    t.shards_in_flight += s.state == ShardState::kInFlight ? 1 : 0;
    t.shards_done += s.state == ShardState::kDone ? 1 : 0;
  });
  return t;
}

Shard Leased(Shard s, std::uint32_t attempt = 1) {
  s.state = ShardState::kInFlight;
  s.attempt = {attempt};
  s.holder = "run-0/x";
  s.epoch = kEpoch;
  return s;
}

Shard Finished(Shard s) {
  s.state = ShardState::kDone;
  s.counts.updated += Range{s.cursor, s.range.end}.size() - CountBits(s.done_above);
  s.cursor = s.range.end;
  s.done_above.clear();
  s.holder.clear();
  s.epoch = {};
  s.in_flight = 0;
  return s;
}

TEST(LedgerTest, BeginsWithEveryShardPending) {
  const Ledger ledger = Ledger::FromPlan(PlanOf(501));
  EXPECT_EQ(ledger.chunks(), 2);
  EXPECT_EQ(ledger.totals(), (Totals{.planned = 5010, .shards = 501, .shards_pending = 501}));
  EXPECT_NE(ledger.Find({499}), nullptr);
  EXPECT_EQ(ledger.Find({500}), nullptr);
  EXPECT_EQ(ledger.Find({1000})->range, (Range{5000, 5010}));
  EXPECT_EQ(ledger.Find({1001}), nullptr);
  EXPECT_EQ(ledger.Find({2000}), nullptr);
  EXPECT_EQ(ledger.Find({-1}), nullptr);
  EXPECT_TRUE(ledger.IsDirty(0) && ledger.IsDirty(1));
}

TEST(LedgerTest, LoadsWhatItEncoded) {
  Ledger ledger = Ledger::FromPlan(PlanOf(1200));
  ledger.Update(Leased(*ledger.Find({1007})));
  ledger.Update(Finished(Leased(*ledger.Find({2199}))));
  const ShardId child = ledger.Split({1007}, 5074).value();
  ledger.AddRedone({1007}, 55);
  const Ledger back = Ledger::FromChunks(Chunks(ledger)).value();
  EXPECT_EQ(child, ShardId{1500});
  EXPECT_EQ(Shards(back), Shards(ledger));
  EXPECT_EQ(back.totals(), ledger.totals());
  EXPECT_EQ(back.totals(), CountedAnew(back));
  EXPECT_EQ(back.plan_hash(), "sha256:cafe");
  EXPECT_EQ(back.highest_epoch(), kEpoch);
  EXPECT_FALSE(back.IsDirty(0));
}

TEST(LedgerTest, KeepsTheHashOfAnEmptyPlan) {
  Ledger ledger = Ledger::FromPlan(PlanOf(0));
  EXPECT_TRUE(ledger.AllDone());
  const Ledger back = Ledger::FromChunks(Chunks(ledger)).value();
  EXPECT_EQ(back.plan_hash(), "sha256:cafe");
  EXPECT_TRUE(back.AllDone());
}

TEST(LedgerTest, NumbersTheImagesOfAChunk) {
  Ledger ledger = Ledger::FromPlan(PlanOf(600));
  EXPECT_EQ(ledger.Encode(0, kEpoch).sequence, 1U);
  EXPECT_EQ(ledger.Encode(0, kEpoch).sequence, 2U);
  EXPECT_EQ(ledger.Encode(1, kEpoch).sequence, 1U);
  EXPECT_EQ(ledger.SequenceOf(0), 2U);
  EXPECT_FALSE(ledger.IsDirty(0));
  ledger.Touch(0);
  EXPECT_TRUE(ledger.IsDirty(0));
  Ledger back = Ledger::FromChunks(Chunks(ledger)).value();
  EXPECT_EQ(back.Encode(0, kEpoch).sequence, 4U);
}

TEST(LedgerTest, RefusesChunksThatDoNotBelongTogether) {
  Ledger ledger = Ledger::FromPlan(PlanOf(1000));
  Ledger longer = Ledger::FromPlan(PlanOf(1001));
  plan::Plan other_plan = PlanOf(1000);
  other_plan.hash = "sha256:beef";
  Ledger other = Ledger::FromPlan(other_plan);
  Ledger shifted = Ledger::FromPlan(PlanOf(1000, 11));
  const auto a = Chunks(ledger);
  EXPECT_EQ(ErrorOf({}), "the ledger has no chunk");
  EXPECT_EQ(ErrorOf({a[0]}), "ledger chunk 0: belongs to a ledger of 2 chunks, not 1");
  EXPECT_EQ(ErrorOf({a[1], a[0]}), "ledger chunk 0: holds another chunk");
  EXPECT_EQ(ErrorOf({a[0], a[0]}), "ledger chunk 1: holds another chunk");
  EXPECT_EQ(ErrorOf({a[0], Chunks(other)[1]}), "ledger chunk 1: belongs to another plan");
  EXPECT_EQ(ErrorOf({a[0], Chunks(shifted)[1]}), "ledger chunk 1: a range is missing or overlaps");
  EXPECT_EQ(ErrorOf({a[0], Chunks(longer)[1]}),
            "ledger chunk 1: belongs to a ledger of 3 chunks, not 2");
  EXPECT_EQ(ErrorOf({a[0], a[1].substr(0, 100)}), "ledger chunk 1: the checksum is wrong");
}

TEST(LedgerTest, SplitsTheRestOffIntoTheSameChunk) {
  Ledger ledger = Ledger::FromPlan(PlanOf(2, 100));
  Shard s = Leased(*ledger.Find({1}));
  s.cursor = 120;
  s.counts.updated = 20;
  ledger.Update(s);
  ledger.Encode(0, kEpoch);
  const ShardId child = ledger.Split({1}, 150).value();
  EXPECT_TRUE(ledger.IsDirty(0));
  EXPECT_EQ(ledger.Find({1})->range, (Range{100, 150}));
  EXPECT_EQ(ledger.Find({1})->planned, 50U);
  EXPECT_EQ(ledger.Find(child)->range, (Range{150, 200}));
  EXPECT_EQ(ledger.Find(child)->state, ShardState::kPending);
  EXPECT_EQ(ledger.totals(), CountedAnew(ledger));
  EXPECT_EQ(ledger.totals().planned, 200U);
}

TEST(LedgerTest, RefusesToSplitWhenNoSlotIsLeft) {
  Ledger ledger = Ledger::FromPlan(PlanOf(1, 1000));
  for (int i = 0; i < 500; ++i) {
    EXPECT_TRUE(ledger.HasRoomToSplit({0}));
    ASSERT_TRUE(ledger.Split({0}, 999 - i).ok());
  }
  EXPECT_FALSE(ledger.HasRoomToSplit({0}));
  EXPECT_EQ(ledger.Split({0}, 10).error().code, ErrorCode::kConflict);
  EXPECT_EQ(Shards(Ledger::FromChunks(Chunks(ledger)).value()), Shards(ledger));
}

class LedgerDeathTest : public testing::Test {
 protected:
  LedgerDeathTest() {
    Shard s = Leased(*ledger_.Find({1}), 2);
    s.cursor = 120;
    s.done_above = "\x04";
    s.counts.updated = 21;
    ledger_.Update(s);
    ledger_.Update(Finished(Leased(*ledger_.Find({0}))));
  }
  template <typename Change>
  void DiesOf(Change change) {
    Shard s = *ledger_.Find({1});
    change(s);
    EXPECT_DEATH(ledger_.Update(s), "");
  }
  Ledger ledger_ = Ledger::FromPlan(PlanOf(2, 100));
};

TEST_F(LedgerDeathTest, EndsTheProcessRatherThanLoseARecord) {
  DiesOf([](Shard& s) { s.id = {2}; });
  DiesOf([](Shard& s) { s.range.end = 199, s.planned = 99; });
  DiesOf([](Shard& s) { s.attempt = {1}; });
  DiesOf([](Shard& s) { s.cursor = 119, s.done_above = "\x09"; });
  DiesOf([](Shard& s) { s.done_above = "", s.counts.updated = 20; });
  DiesOf([](Shard& s) { s.counts.failed = 1; });
  EXPECT_DEATH(ledger_.Update(Leased(Ledger::FromPlan(PlanOf(2, 100)).Find({0})[0], 9)), "");
  EXPECT_DEATH((void)ledger_.Split({1}, 122), "");  // the record 122 has an outcome
  EXPECT_DEATH((void)ledger_.Split({1}, 100), "");
  EXPECT_DEATH((void)ledger_.Split({1}, 200), "");
  EXPECT_DEATH((void)ledger_.Split({0}, 50), "");
  ledger_.Encode(0, kEpoch);
  EXPECT_DEATH((void)ledger_.Encode(0, Epoch{kEpoch.value - 1}), "");
}

TEST(LedgerTest, CountsRedoneRecordsWithoutWrappingAround) {
  Ledger ledger = Ledger::FromPlan(PlanOf(1));
  ledger.AddRedone({0}, ~0ULL - 1);
  ledger.AddRedone({0}, 5);
  EXPECT_EQ(ledger.totals().redone_at_most, ~0ULL);
}

// Any history of leases, progress, splits, completions: totals stay right, and nothing is lost on
// the way through bytes.
RC_GTEST_PROP(LedgerProperty, CoversThePlanAfterAnyHistory, ()) {
  const int shards = *rc::gen::inRange(1, 1100);
  const plan::Plan plan = PlanOf(shards, 64);
  Ledger ledger = Ledger::FromPlan(plan);
  std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
  std::vector<ShardId> ids;
  ledger.ForEach([&](const Shard& s) { ids.push_back(s.id); });
  for (int step = 0; step < 300; ++step) {
    Shard s = *ledger.Find(ids[random() % ids.size()]);
    switch (random() % 5) {
      case 0:
        if (s.state == ShardState::kPending) ledger.Update(Leased(s, s.attempt.value + 1));
        break;
      case 1:
        if (s.state == ShardState::kInFlight && s.done_above.empty() &&
            s.cursor < s.range.end - 2) {
          s.cursor += 1;
          s.done_above = "\x02";
          s.counts.failed += 2;
          ledger.Update(s);
        }
        break;
      case 2:
        if (s.state != ShardState::kDone && s.cursor < s.range.end - 9) {
          const auto child = ledger.Split(s.id, s.range.end - 4);
          if (child.ok()) ids.push_back(*child);
        }
        break;
      case 3:
        if (s.state == ShardState::kInFlight) ledger.Update(Finished(s));
        break;
      default:
        if (s.state == ShardState::kInFlight) {
          s.state = ShardState::kPending;
          s.holder.clear();
          s.epoch = {};
          ledger.Update(s);
        }
    }
  }
  const Ledger back = Ledger::FromChunks(Chunks(ledger)).value();
  RC_ASSERT(Shards(back) == Shards(ledger));
  RC_ASSERT(ledger.totals() == CountedAnew(ledger));
  RC_ASSERT(back.totals() == ledger.totals());
  RC_ASSERT(ledger.totals().planned == plan.records);
}

TEST(LedgerTest, LoadsAndEncodesAHundredThousandShards) {
  Ledger ledger = Ledger::FromPlan(PlanOf(100'000));
  for (int chunk = 0; chunk < ledger.chunks(); ++chunk) {
    for (int slot = 0; slot < kShardsPerChunk; ++slot) {
      ledger.Update(Leased(*ledger.Find({chunk * kSlotsPerChunk + slot})));
    }
  }
  const auto begin = std::chrono::steady_clock::now();
  const auto chunks = Chunks(ledger);
  const auto encoded = std::chrono::steady_clock::now();
  const Ledger back = Ledger::FromChunks(chunks).value();
  const auto loaded = std::chrono::steady_clock::now();
  EXPECT_EQ(back.totals(), ledger.totals());
  using Milliseconds = std::chrono::milliseconds;
  RecordProperty("encode_ms", static_cast<int>((encoded - begin) / Milliseconds(1)));
  RecordProperty("load_ms", static_cast<int>((loaded - encoded) / Milliseconds(1)));
  EXPECT_LT(loaded - begin,
            std::chrono::seconds(10));  // debug build under sanitizers; 0.2 s in a release build
}

plan::Plan FilePlanOf(int shards, int records_each = 10) {
  plan::Plan plan = PlanOf(shards, records_each);
  plan.file = plan::FileFacts{.shape = {.stored_bytes = 99, .columns = {"id"}}};
  for (plan::PlannedShard& s : plan.shards) {
    const auto first = static_cast<std::uint64_t>(s.range.begin);
    s.extent = rows::Extent{.first = s.range.begin,
                            .records = s.records,
                            .offset = 3 + 7 * first,
                            .bytes = 7 * s.records,
                            .line = first + 2,
                            .crc32c = static_cast<std::uint32_t>(first * 31)};
  }
  return plan;
}

TEST(LedgerTest, KnowsWhereTheRecordsOfAFileLieAlsoAfterASplitAndARestart) {
  const plan::Plan plan = FilePlanOf(501, 100);
  Ledger ledger = Ledger::FromPlan(plan);
  ledger.Update(Leased(*ledger.Find({7})));
  const ShardId part = ledger.Split({7}, 750).value();
  const ShardId part_of_part = ledger.Split(part, 770).value();
  const std::vector<std::string> chunks = Chunks(ledger);
  const Ledger loaded = Ledger::FromChunks(chunks).value();
  for (const Ledger* l : {static_cast<const Ledger*>(&ledger), &loaded}) {
    for (const ShardId id : {ShardId{7}, part, part_of_part}) {
      ASSERT_NE(l->ExtentOf(id), nullptr);
      EXPECT_EQ(*l->ExtentOf(id), *plan.shards[7].extent);
    }
    EXPECT_EQ(*l->ExtentOf({499}), *plan.shards[499].extent);
    EXPECT_EQ(*l->ExtentOf({1000}), *plan.shards[500].extent);
    EXPECT_EQ(l->file_shape(), plan.file->shape);
  }
  EXPECT_EQ(Ledger::FromPlan(PlanOf(2)).ExtentOf({0}), nullptr);
}

TEST(LedgerTest, RefusesAFileOfWhichAChunkHasNoExtents) {
  const std::vector<std::string> with = [] {
    Ledger ledger = Ledger::FromPlan(FilePlanOf(501));
    return Chunks(ledger);
  }();
  const std::vector<std::string> without = [] {
    Ledger ledger = Ledger::FromPlan(PlanOf(501));
    return Chunks(ledger);
  }();
  EXPECT_EQ(ErrorOf({with[0], without[1]}),
            "ledger chunk 1: extents of a file are missing or have none");
}

}  // namespace
}  // namespace backfill::ledger
