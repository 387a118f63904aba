// What the engine makes of a target that is slow or refuses: less than it may, and by itself more
// again.
#include <gtest/gtest.h>

#include <deque>
#include <functional>

#include "worker/engine/engine.h"

namespace backfill::worker {
namespace {

class EnginePressureTest : public testing::Test {
 protected:
  void Begin(double rate, double headroom = 1.25) {
    engine_ = std::make_unique<Engine>(EngineOptions{}, EngineLimits{.concurrency = 1024,
                                                                     .attempts = 1,
                                                                     .retry_budget_percent = 10,
                                                                     .latency_headroom = headroom});
    engine_->SetGrant({1, rate, rate / 4, now_ + 24h}, now_);
    const LeaseKey key{ShardId{1}, Attempt{1}};
    ASSERT_TRUE(
        engine_
            ->AddLease({.key = key, .range = {0, 10'000'000}}, engine_->clock().OnSend(now_), now_)
            .ok());
  }
  // Each request is answered so much later. Returns requests per second.
  double Run(
      Duration lasts, Duration latency,
      const std::function<bool()>& refuses = [] { return false; }) {
    const LeaseKey key{ShardId{1}, Attempt{1}};
    std::uint64_t sent = 0;
    for (const Time until = now_ + lasts; now_ < until; now_ += 5ms) {
      engine_->clock().Extend(key, engine_->clock().OnSend(now_), now_);
      for (; !under_way_.empty() && under_way_.front().first <= now_; under_way_.pop_front()) {
        BatchResult result{.latency = latency};
        if (refuses()) {
          result.verdict = {Outcome::kFailed, FailureClass::kPermanent, "busy"};
          result.overloaded = true;
        }
        engine_->OnResult(under_way_.front().second, std::move(result), now_);
      }
      Read();
      engine_->failures().Take(1);
      engine_->failures().OnAck(1, 1);
      while (const auto d = engine_->Next(now_)) {
        ++sent;
        under_way_.emplace_back(now_ + latency, d->slot);
      }
    }
    return static_cast<double>(sent) / std::chrono::duration<double>(lasts).count();
  }
  void Read() {
    while (const auto wants = engine_->WantsRecords()) {
      std::vector<Record> records;
      for (std::uint64_t i = 0; i < wants->max; ++i)
        records.push_back({.position = Advance(wants->from, i), .key = "k"});
      ASSERT_TRUE(engine_->OnRecords(wants->run, std::move(records)).ok());
    }
  }

  Time now_{1h};
  std::unique_ptr<Engine> engine_;
  std::deque<std::pair<Time, std::uint32_t>> under_way_;
};

TEST_F(EnginePressureTest, ATargetTenTimesAsSlowGetsAFractionAndAllOfItOnceItIsWell) {
  Begin(200);
  EXPECT_NEAR(Run(35s, 50ms), 200, 5);
  const double wanted = engine_->RecordsPerSecondWanted();
  Run(5s, 500ms);
  EXPECT_LT(Run(5s, 500ms), 20);
  EXPECT_GT(engine_->inner_loop().held_by_latency(), 0.9);
  EXPECT_LT(engine_->RecordsPerSecondWanted(), wanted / 10) << "its share is for others";
  Run(10s, 50ms);
  EXPECT_NEAR(Run(5s, 50ms), 200, 5);
  EXPECT_EQ(engine_->inner_loop().share(), 1);
}

TEST_F(EnginePressureTest, ItNeverSendsMoreThanItsGrant) {
  Begin(200);
  Run(35s, 100ms);
  EXPECT_LE(Run(10s, 1ms), 201);
}

TEST_F(EnginePressureTest, WithoutHeadroomItsLatencyChangesNothing) {
  Begin(200, 0);
  Run(35s, 50ms);
  EXPECT_NEAR(Run(10s, 500ms), 200, 5);
}

TEST_F(EnginePressureTest, ATargetThatRefusesMostGetsLess) {
  Begin(200);
  int n = 0;
  const auto most = [&n] { return ++n % 10 != 0; };
  Run(3s, 1ms, most);
  EXPECT_LT(Run(2s, 1ms, most), 50);
  Run(30s, 1ms);
  EXPECT_NEAR(Run(5s, 1ms), 200, 5);
}

TEST_F(EnginePressureTest, OneInFiveSecondsShowsWhenItIsOverHoweverSmallTheGrant) {
  Begin(2);
  Run(60s, 100ms);
  Run(60s, 20s);
  ASSERT_GT(engine_->inner_loop().held_by_latency(), 0.9);
  EXPECT_GE(Run(60s, 20s), 0.15);
  Run(60s, 100ms);
  EXPECT_NEAR(Run(30s, 100ms), 2, 0.1);
}

}  // namespace
}  // namespace backfill::worker
