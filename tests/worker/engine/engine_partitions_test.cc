// Records of a hot partition wait, and the others go on.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "worker/engine/engine.h"

namespace backfill::worker {
namespace {

// Every fourth record is of the partition "hot", the others of "cold".
std::string HotOrCold(const Record& record) { return record.position % 4 == 0 ? "hot" : "cold"; }
// As a file sorted by partition.
std::string HotFirst(const Record& record) { return record.position < 10'000 ? "hot" : "cold"; }

class EnginePartitionsTest : public ::testing::Test {
 protected:
  void Make(std::uint32_t batch = 1, PartitionOf of = HotOrCold) {
    engine_ = std::make_unique<Engine>(
        EngineOptions{.batch_size = batch},
        EngineLimits{.concurrency = 64, .attempts = 3, .retry_budget_percent = 100});
    engine_->PartitionBy(std::move(of));
    engine_->SetGrant({1, 1e6, 1e6, now_ + 24h}, now_);
    now_ += 1s;
  }
  void Cap(double hot, double cold, double others = 0) {
    engine_->SetPartitionCaps(
        {.named = {{"hot", hot}, {"cold", cold}}, .others = others, .expires = now_ + 24h}, now_);
  }
  LeaseKey Lease(Range range, std::int32_t shard = 1) {
    const LeaseKey key{ShardId{shard}, Attempt{1}};
    const auto sequence = engine_->clock().OnSend(now_);
    EXPECT_TRUE(
        engine_->AddLease({.key = key, .range = range, .cursor = range.begin}, sequence, now_)
            .ok());
    leases_.push_back(key);
    return key;
  }
  void Read() {
    while (const auto wants = engine_->WantsRecords()) {
      std::vector<Record> records;
      for (std::uint64_t i = 0; i < wants->max; ++i) {
        const Position p = Advance(wants->from, i);
        records.push_back({.position = p, .key = std::to_string(p)});
        read_to_ = std::max(read_to_, p + 1);
      }
      ASSERT_TRUE(engine_->OnRecords(wants->run, std::move(records)).ok());
    }
  }
  std::optional<Dispatch> Next() {
    Read();
    return engine_->Next(now_);
  }
  void Finish(const Dispatch& d, const BatchResult& result = {}) {
    engine_->OnResult(d.slot, result, now_);
  }
  // Sends what may go and answers it at once, for so long; returns the positions in their order.
  std::vector<Position> Run(Duration lasts, Duration step = 5ms) {
    std::vector<Position> sent;
    for (const Time until = now_ + lasts; now_ < until; now_ += step) {
      for (const LeaseKey& key : leases_)
        engine_->clock().Extend(key, engine_->clock().OnSend(now_), now_);
      while (const auto d = Next()) {
        for (const Record& r : *d->records) sent.push_back(r.position);
        Finish(*d);
      }
    }
    return sent;
  }
  LeaseState State(const LeaseKey& key) const {
    for (const LeaseState& s : engine_->Leases()) {
      if (s.key == key) return s;
    }
    ADD_FAILURE() << "the lease is gone";
    return {};
  }
  static auto Hot(const std::vector<Position>& sent) {
    return std::count_if(sent.begin(), sent.end(), [](Position p) { return p % 4 == 0; });
  }

  Time now_{1h};
  Position read_to_ = 0;
  std::vector<LeaseKey> leases_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EnginePartitionsTest, SendsNothingBeforeThereAreCaps) {
  Make();
  Lease({0, 100});
  EXPECT_TRUE(Run(5s).empty());
  Cap(1000, 1000);
  EXPECT_EQ(Run(5s).size(), 100U);
}

TEST_F(EnginePartitionsTest, AHotPartitionKeepsToItsCapAndTheOthersToTheirs) {
  Make();
  Lease({0, 1'000'000});
  Cap(5, 90);
  const auto sent = Run(20s);
  EXPECT_NEAR(static_cast<double>(Hot(sent)), 100, 2);
  EXPECT_NEAR(static_cast<double>(std::ssize(sent) - Hot(sent)), 1800, 20);
}

// What is read and not done lies within 4,096 records of one lease, so others run ahead of what
// waits so far and no further; then they go at its pace.
TEST_F(EnginePartitionsTest, TheWindowBoundsHowFarOthersRunAhead) {
  Make();
  const LeaseKey key = Lease({0, 1'000'000});
  Cap(0, 1e5);
  EXPECT_EQ(Run(10s).size(), 3U * 1024);
  EXPECT_EQ(read_to_, 4096);
  EXPECT_EQ(State(key).cursor, 0);
  EXPECT_EQ(State(key).counts.total(), 3U * 1024);
  EXPECT_FALSE(engine_->WantsRecords().has_value());
  Cap(10, 1e5);
  const auto sent = Run(10s);
  EXPECT_NEAR(static_cast<double>(Hot(sent)), 100, 2);
  EXPECT_NEAR(static_cast<double>(sent.size()), 400, 8);
}

TEST_F(EnginePartitionsTest, WithinAPartitionTheOrderStays) {
  Make();
  Lease({0, 2000});
  Cap(50, 300);
  std::map<bool, Position> last;
  for (const Position p : Run(20s)) {
    const bool hot = p % 4 == 0;
    if (last.contains(hot)) {
      EXPECT_LT(last[hot], p);
    }
    last[hot] = p;
  }
  EXPECT_EQ(engine_->HasWork(), false);
}

TEST_F(EnginePartitionsTest, ABatchIsOfOnePartition) {
  Make(10);
  Lease({0, 1000});
  Cap(1000, 1000);
  std::set<Position> sent;
  for (int i = 0; i < 2000; ++i, now_ += 5ms) {
    while (const auto d = Next()) {
      std::set<std::string> partitions;
      for (const Record& r : *d->records) {
        partitions.insert(HotOrCold(r));
        EXPECT_TRUE(sent.insert(r.position).second);
      }
      EXPECT_EQ(partitions.size(), 1U);
      Finish(*d);
    }
  }
  EXPECT_EQ(sent.size(), 1000U);
}

// Of a batch there may never be enough within the window.
TEST_F(EnginePartitionsTest, LessThanABatchGoesWhenNoMoreCanCome) {
  Make(4000);
  const LeaseKey key = Lease({0, 20'000});
  Cap(1e5, 1e5);
  Run(60s);
  EXPECT_TRUE(State(key).complete);
}

TEST_F(EnginePartitionsTest, WhatWaitsIsNotDoneWhenTheLeaseIsGivenBack) {
  Make();
  const LeaseKey key = Lease({0, 100});
  Cap(0, 1e5);
  const auto sent = Run(1s);
  engine_->Drain();
  const LeaseState state = State(key);
  EXPECT_EQ(state.cursor, 0);
  EXPECT_EQ(state.in_flight, 0U);
  EXPECT_EQ(state.counts.updated, 75U);
  // Whoever gets it does the rest, and nothing again.
  Make();
  leases_.clear();
  const auto sequence = engine_->clock().OnSend(now_);
  ASSERT_TRUE(engine_
                  ->AddLease({.key = key,
                              .range = {0, 100},
                              .cursor = state.cursor,
                              .done_above = state.done_above,
                              .counts = state.counts},
                             sequence, now_)
                  .ok());
  Cap(1e5, 1e5);
  const auto rest = Run(1s);
  EXPECT_EQ(rest.size(), 25U);
  EXPECT_EQ(Hot(rest), 25);
}

TEST_F(EnginePartitionsTest, ALostLeaseTakesWhatWaitsWithIt) {
  Make();
  const LeaseKey lost = Lease({0, 100}, 1);
  Cap(0, 0);
  Run(1s);
  engine_->DropLease(lost);
  leases_.clear();
  const LeaseKey next = Lease({100, 200}, 2);
  Cap(1e5, 1e5);
  const auto sent = Run(1s);
  EXPECT_EQ(sent.size(), 100U);
  EXPECT_TRUE(State(next).complete);
}

TEST_F(EnginePartitionsTest, ASmallerEndTakesWhatWaitsBeyondIt) {
  Make();
  const LeaseKey key = Lease({0, 4000});
  Cap(0, 0);
  Run(100ms);
  engine_->ShrinkLease(key, 40);
  Cap(1e5, 1e5);
  EXPECT_EQ(Run(1s).size(), 40U);
  EXPECT_TRUE(State(key).complete);
}

TEST_F(EnginePartitionsTest, ARetryWaitsForItsPartitionAndHoldsUpNoOther) {
  Make();
  const LeaseKey key = Lease({0, 8});
  Cap(1000, 1e5);
  now_ += 5ms;
  const auto first = Next();
  ASSERT_TRUE(first.has_value());
  ASSERT_EQ(first->records->front().position, 0);
  Finish(*first, {.verdict = {Outcome::kFailed, FailureClass::kTransient, "busy"}});
  Cap(0, 1e5);
  EXPECT_EQ(Run(5s).size(), 6U);
  Cap(10, 1e5);
  const auto sent = Run(1s);
  EXPECT_EQ(sent, (std::vector<Position>{0, 4}));
  EXPECT_TRUE(State(key).complete);
}

TEST_F(EnginePartitionsTest, WhatWasWithdrawnGoesAgainFirst) {
  Make();
  const LeaseKey key = Lease({0, 8});
  Cap(1e5, 1e5);
  now_ += 5ms;
  std::deque<Dispatch> sent;
  while (const auto d = Next()) sent.push_back(*d);
  ASSERT_EQ(sent.size(), 8U);
  for (const Dispatch& d : sent) Finish(d, {.delivery = Delivery::kNotSent, .withdrawn = true});
  EXPECT_EQ(Run(1s).size(), 8U);
  EXPECT_TRUE(State(key).complete);
  EXPECT_EQ(engine_->stats().retries, 0U);  // nothing of them had left
}

TEST_F(EnginePartitionsTest, AWorkerThatIsHeldUpTakesFurtherLeases) {
  Make(1, HotFirst);
  engine_->Configure(1, 2, 50s);
  Lease({0, 5000}, 1);
  Lease({5000, 10'000}, 2);
  Cap(2, 1000);
  EXPECT_EQ(engine_->LeasesWanted(), 0U);
  Run(3s);
  EXPECT_EQ(engine_->LeasesWanted(), 2U);
  Lease({10'000, 15'000}, 3);
  EXPECT_EQ(engine_->LeasesWanted(), 1U);
  const auto sent = Run(2s);
  EXPECT_GT(std::count_if(sent.begin(), sent.end(), [](Position p) { return p >= 10'000; }), 1900);
}

TEST_F(EnginePartitionsTest, AWorkerThatWaitsForItsGrantIsNotHeldUp) {
  Make();
  engine_->Configure(1, 2, 50s);
  Lease({0, 5000}, 1);
  Lease({5000, 10'000}, 2);
  engine_->SetGrant({2, 5, 5, now_ + 24h}, now_);
  Cap(1000, 1000);
  Run(10s);
  EXPECT_EQ(engine_->LeasesWanted(), 0U);
}

TEST_F(EnginePartitionsTest, WantsNoMoreThanItsPartitionsMayGet) {
  Make(1, HotFirst);
  Lease({0, 5000});
  Cap(10, 1e5);
  Read();
  EXPECT_DOUBLE_EQ(engine_->RecordsPerSecondWanted(), 12);
}

TEST_F(EnginePartitionsTest, SaysWhichPartitionIsHeldBackByItsCap) {
  Make();
  Lease({0, 10'000});
  Cap(1, 1e5);
  Run(1s);
  std::map<std::string, PartitionReport> said;
  for (const PartitionReport& report : engine_->ReportPartitions()) said[report.name] = report;
  EXPECT_TRUE(said["hot"].limited);
  EXPECT_GT(said["hot"].waiting, 900U);
  EXPECT_FALSE(said["cold"].limited);
  EXPECT_EQ(said["cold"].attempts, 3U * 1024);
}

}  // namespace
}  // namespace backfill::worker
