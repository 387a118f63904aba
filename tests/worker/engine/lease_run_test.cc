#include "worker/engine/lease_run.h"

namespace backfill::worker {
namespace {

class LeaseRunTest : public ::testing::Test {
 protected:
  static LeaseRun Run(Range range, Position cursor = 0, const std::string& done_above = "",
                      std::uint64_t done = 0) {
    return {1,
            {ShardId{1}, Attempt{1}},
            std::move(*Window::Restore(range, cursor, done_above, {.updated = done}))};
  }
  static void Read(LeaseRun& run, std::uint32_t batch) {
    const auto wants = run.Wants(batch);
    if (!wants) return;
    std::vector<Record> records;
    for (std::uint64_t i = 0; i < wants->max; ++i) {
      records.push_back({.position = Advance(wants->from, i), .key = "k"});
    }
    run.OnRecords(std::move(records));
  }
  static std::vector<Position> Take(LeaseRun& run, std::uint32_t batch) {
    std::vector<Record> records;
    run.TakeBatch(run.NextBatch(batch), records);
    std::vector<Position> positions;
    for (const Record& r : records) positions.push_back(r.position);
    return positions;
  }
};

TEST_F(LeaseRunTest, ReadsABlockAheadAndNoMore) {
  LeaseRun run = Run({0, 100'000});
  std::uint64_t read = 0;
  while (const auto wants = run.Wants(1)) {
    read += wants->max;
    Read(run, 1);
  }
  EXPECT_EQ(read, 256u);
}

TEST_F(LeaseRunTest, SendsFullBatchesAndTheRestAtTheEnd) {
  LeaseRun run = Run({0, 25});
  Read(run, 10);
  EXPECT_EQ(Take(run, 10).size(), 10u);
  EXPECT_EQ(Take(run, 10).size(), 10u);
  EXPECT_EQ(Take(run, 10), (std::vector<Position>{20, 21, 22, 23, 24}));
  EXPECT_EQ(run.NextBatch(10), 0u);
}

TEST_F(LeaseRunTest, SkipsWhatEarlierAttemptsHaveDone) {
  LeaseRun run = Run({0, 6}, 1, std::string("\x0a"), 3);  // 0, 2 and 4 are done
  Read(run, 10);
  EXPECT_EQ(Take(run, 10), (std::vector<Position>{1, 3, 5}));
}

TEST_F(LeaseRunTest, NeverGoesBeyondTheReachOfTheWindow) {
  LeaseRun run = Run({0, 100'000});
  std::uint64_t sent = 0;
  for (int i = 0; i < 10'000; ++i) {
    Read(run, 1);
    if (run.NextBatch(1) == 0) break;
    sent += Take(run, 1).size();
  }
  EXPECT_EQ(sent, Window::kAhead);
  run.Settle(0, Outcome::kUpdated);
  Read(run, 1);
  EXPECT_EQ(Take(run, 1), (std::vector<Position>{4096}));
}

TEST_F(LeaseRunTest, APartBatchGoesWhenNothingElseCanMakeRoom) {
  // Everything within reach is done but every 1000th record: no full batch can ever come together.
  std::string bits(512, '\xff');
  std::uint64_t done = 4096;
  for (std::size_t p = 0; p < 4096; p += 1000) {
    bits[p / 8] = static_cast<char>(static_cast<unsigned char>(bits[p / 8]) & ~(1U << (p % 8)));
    --done;
  }
  LeaseRun run = Run({0, 100'000}, 0, bits, done);
  while (run.Wants(100)) Read(run, 100);
  EXPECT_EQ(Take(run, 100), (std::vector<Position>{0, 1000, 2000, 3000, 4000}));
}

TEST_F(LeaseRunTest, APartBatchWaitsWhileOthersAreUnderWay) {
  LeaseRun run = Run({0, 100'000});
  for (int i = 0; i < 4; ++i) {
    while (run.Wants(1000)) Read(run, 1000);
    EXPECT_EQ(Take(run, 1000).size(), 1000u);
  }
  while (run.Wants(1000)) Read(run, 1000);
  EXPECT_EQ(run.NextBatch(1000), 0u) << "96 are within reach, more when the first batch ends";
}

TEST_F(LeaseRunTest, ShrinkKeepsWhatWasSent) {
  LeaseRun run = Run({0, 100});
  Read(run, 10);
  Take(run, 10);
  run.Shrink(5);
  EXPECT_EQ(run.window().end(), 10);
  EXPECT_EQ(run.NextBatch(10), 0u);
  EXPECT_FALSE(run.Wants(10).has_value());
  for (Position p = 0; p < 10; ++p) run.Settle(p, Outcome::kUpdated);
  EXPECT_TRUE(run.complete());
}

// However much was read at a time and taken since, and wherever the new end lies.
TEST_F(LeaseRunTest, ShrinkKeepsWhatWasReadBelowTheNewEnd) {
  for (Position taken = 0; taken <= 400; taken += 50) {
    for (const Position end : {0, 40, 255, 256, 257, 300, 511, 512}) {
      LeaseRun run = Run({0, 1'000});
      Read(run, 400);
      for (Position p = 0; p < taken; ++p) Take(run, 1);
      Read(run, 400);
      run.Shrink(end);
      const Position now_end = std::max(taken, end);
      EXPECT_EQ(run.window().end(), now_end);
      for (Position p = taken; p < now_end; ++p) {
        Read(run, 1);
        ASSERT_EQ(Take(run, 1), (std::vector<Position>{p})) << taken << " " << end;
      }
      EXPECT_EQ(run.NextBatch(1), 0u);
    }
  }
}

TEST_F(LeaseRunTest, ABatchMayCrossWhatWasReadAtATime) {
  LeaseRun run = Run({0, 1'000});
  Read(run, 256);
  EXPECT_EQ(Take(run, 200).size(), 200u);
  Read(run, 256);
  const std::vector<Position> batch = Take(run, 200);
  ASSERT_EQ(batch.size(), 200u);
  for (std::size_t i = 0; i < batch.size(); ++i)
    EXPECT_EQ(batch[i], 200 + static_cast<Position>(i));
}

TEST_F(LeaseRunTest, AnUnstartedLeaseGoesBackWhole) {
  LeaseRun run = Run({10, 100}, 10);
  Read(run, 10);
  run.Shrink(0);
  EXPECT_EQ(run.window().end(), 10);
  EXPECT_TRUE(run.complete());
}

TEST_F(LeaseRunTest, RecordsThatComeAfterAShrinkAreIgnored) {
  LeaseRun run = Run({0, 100});
  const auto wants = run.Wants(10);
  run.Shrink(5);
  std::vector<Record> records;
  for (Position p = 0; p < 50; ++p) records.push_back({.position = p, .key = "k"});
  ASSERT_TRUE(wants.has_value());
  run.OnRecords(std::move(records));
  EXPECT_EQ(Take(run, 10).size(), 5u);
}

}  // namespace
}  // namespace backfill::worker
