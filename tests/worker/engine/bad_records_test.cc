// Records that cannot be sent.
#include <memory>

#include "worker/engine/engine.h"

namespace backfill::worker {
namespace {

using ::testing::ElementsAre;

class BadRecordsTest : public ::testing::Test {
 protected:
  void Make(std::uint32_t batch = 1) {
    engine_ = std::make_unique<Engine>(EngineOptions{.batch_size = batch},
                                       EngineLimits{.concurrency = 4, .attempts = 3});
    Grant(1e9);
    now_ += 1s;
  }
  void Grant(double rate) { engine_->SetGrant({++grants_, rate, rate, now_ + 24h}, now_); }
  LeaseKey Lease(Range range) {
    const LeaseKey key{ShardId{1}, Attempt{1}};
    const auto sequence = engine_->clock().OnSend(now_);
    const Status added =
        engine_->AddLease({.key = key, .range = range, .cursor = range.begin}, sequence, now_);
    EXPECT_TRUE(added.ok());
    return key;
  }
  // Every `n`-th record cannot be sent.
  void ReadWithBad(Position n) {
    while (const auto wants = engine_->WantsRecords()) {
      std::vector<Record> records;
      for (std::uint64_t i = 0; i < wants->max; ++i) {
        const Position p = Advance(wants->from, i);
        records.push_back({.position = p, .key = std::to_string(p)});
        if (p % n == 0) records.back().problem = "line " + std::to_string(p) + ": no key";
      }
      ASSERT_TRUE(engine_->OnRecords(wants->run, std::move(records)).ok());
    }
  }
  std::vector<Position> SendNext() {
    const auto dispatch = engine_->Next(now_);
    if (!dispatch) return {};
    std::vector<Position> positions;
    for (const Record& r : *dispatch->records) positions.push_back(r.position);
    engine_->OnResult(dispatch->slot, {.verdict = {Outcome::kUpdated, {}, {}}, .latency = 1ms},
                      now_);
    return positions;
  }
  LeaseState State() const { return engine_->Leases().at(0); }
  std::vector<FailedRecord> Failures() { return engine_->failures().Take(1).failures; }

  Time now_{1h};
  std::uint64_t grants_ = 0;
  std::unique_ptr<Engine> engine_;
};

TEST_F(BadRecordsTest, FailAtOnceWithoutAnAttemptAndWithoutTokens) {
  Make();
  Grant(0);
  Lease({0, 3});
  ReadWithBad(2);
  EXPECT_THAT(Failures(),
              ElementsAre(FailedRecord{0, "0", FailureClass::kPermanent, 0, "line 0: no key"},
                          FailedRecord{2, "2", FailureClass::kPermanent, 0, "line 2: no key"}));
  EXPECT_EQ(State().counts.failed, 2u);
  EXPECT_EQ(State().cursor, 1);
  EXPECT_EQ(engine_->stats().attempts, 0u);
  EXPECT_THAT(SendNext(), ElementsAre());
  Grant(1e9);
  now_ += 1s;
  EXPECT_THAT(SendNext(), ElementsAre(1));
  EXPECT_TRUE(State().complete);
}

TEST_F(BadRecordsTest, DoNotDisturbTheOthersOfABatch) {
  Make(4);
  Lease({0, 8});
  ReadWithBad(3);
  EXPECT_THAT(SendNext(), ElementsAre(1, 2, 4, 5));
  EXPECT_THAT(SendNext(), ElementsAre(7));
  EXPECT_TRUE(State().complete);
  EXPECT_EQ(State().counts, (OutcomeCounts{.updated = 5, .failed = 3}));
}

TEST_F(BadRecordsTest, AShardOfNothingElseIsCompleteAndNews) {
  Make();
  Lease({0, 300});
  const std::uint64_t news = engine_->news();
  ReadWithBad(1);
  EXPECT_TRUE(State().complete);
  EXPECT_GT(engine_->news(), news);
}

TEST_F(BadRecordsTest, AreReadNoFasterThanTheStoreTakesThem) {
  Make();
  Lease({0, 100'000});
  ReadWithBad(1);
  EXPECT_TRUE(engine_->failures().full());
  EXPECT_LT(engine_->failures().size(), FailureBuffer::kMax + 256);
  while (engine_->failures().unsent() > 0) (void)engine_->failures().Take(1);
  engine_->failures().OnAck(1, 1);
  ReadWithBad(1);
  EXPECT_GT(State().cursor, static_cast<Position>(FailureBuffer::kMax + 256));
}

}  // namespace
}  // namespace backfill::worker
