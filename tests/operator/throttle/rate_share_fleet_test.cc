// RateShare against simulated fleets: the sum of the grants is kept under any history, and what is
// granted is used.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <string>

#include "tests/operator/throttle/fleet.h"

namespace backfill::throttle {
namespace {

struct Steady {
  std::string name;
  double rate;
  int workers;
  int batch_size;
  double capacity;  // of a worker
};

class SteadyFleetTest : public ::testing::TestWithParam<Steady> {};

TEST_P(SteadyFleetTest, SendsWhatTheRateAllowsAndNoMore) {
  const Steady& c = GetParam();
  Fleet fleet({.batch_size = c.batch_size}, 7);
  fleet.SetRate(c.rate);
  for (int i = 0; i < c.workers; ++i) fleet.Join(c.capacity);
  fleet.Run(30s);
  const double before = fleet.sent();
  // Long enough for the batches of the smallest rates.
  const double seconds = std::max(100.0, 200.0 * c.batch_size / c.rate);
  fleet.Run(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds)));
  const double sent = fleet.sent() - before;
  EXPECT_LE(sent, c.rate * seconds * (1 + 1e-6) + fleet.DeepestBursts());
  EXPECT_GE(sent, 0.95 * c.rate * seconds);
  EXPECT_EQ(fleet.broken(), "");
}

INSTANTIATE_TEST_SUITE_P(
    Rates, SteadyFleetTest,
    ::testing::Values(Steady{"OnePerSecond", 1, 1, 1, 100},
                      Steady{"OnePerSecondByEight", 1, 8, 1, 100},
                      Steady{"OnePerSecondInLargeBatches", 1, 3, 100, 100},
                      Steady{"FiftyPerSecond", 50, 8, 1, 1000},
                      Steady{"FiveThousandPerSecondInBatches", 5000, 8, 100, 5000},
                      Steady{"TwoHundredThousandPerSecond", 200'000, 8, 1, 100'000},
                      Steady{"TwoHundredThousandPerSecondByMany", 200'000, 300, 100, 5000}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(FleetTest, UnequalWorkersUseWhatTheyCanTogether) {
  Fleet fleet({}, 3);
  fleet.SetRate(1000);
  for (const double capacity : {5.0, 20.0, 20.0, 100.0, 900.0, 900.0}) fleet.Join(capacity);
  fleet.Run(30s);
  const double before = fleet.sent();
  fleet.Run(100s);
  EXPECT_GE(fleet.sent() - before, 0.95 * 1000 * 100);
  EXPECT_EQ(fleet.broken(), "");
}

TEST(FleetTest, WorkersThatRunOutOfWorkHandTheirShareToTheOthers) {
  Fleet fleet({}, 4);
  fleet.SetRate(1000);
  const int quick = fleet.Join(5000);
  const int idle = fleet.Join(5000);
  fleet.Run(20s);
  fleet.SetCapacity(idle, 0);
  fleet.Run(2s);
  const double before = fleet.SentBy(quick);
  fleet.Run(60s);
  EXPECT_GE(fleet.SentBy(quick) - before, 0.95 * 1000 * 60);
  fleet.SetCapacity(idle, 5000);
  fleet.Run(5s);
  EXPECT_NEAR(fleet.GrantOf(idle), 500, 50);
}

TEST(FleetTest, ACutReachesEveryWorkerWithinASecond) {
  Fleet fleet({}, 5);
  fleet.SetRate(10'000);
  for (int i = 0; i < 50; ++i) fleet.Join(1000);
  fleet.Run(20s);
  fleet.SetRate(100);
  fleet.Run(1s);
  EXPECT_LE(fleet.Outstanding(), 100 * (1 + 1e-6));
  EXPECT_LE(fleet.Believed(), 100 * (1 + 1e-6));
  EXPECT_EQ(fleet.broken(), "");
}

TEST(FleetTest, APauseStopsEveryWorkerWithinASecond) {
  Fleet fleet({}, 6);
  fleet.SetRate(10'000);
  for (int i = 0; i < 50; ++i) fleet.Join(1000);
  fleet.Run(20s);
  fleet.SetRate(0);
  fleet.Run(1s);
  const double before = fleet.sent();
  fleet.Run(60s);
  EXPECT_EQ(fleet.sent(), before);
}

TEST(FleetTest, AWorkerThatIsCutOffStopsByItself) {
  Fleet fleet({}, 8);
  fleet.SetRate(100);
  const int lost = fleet.Join(1000);
  fleet.Run(20s);
  fleet.Partition(lost);
  fleet.Run(31s);
  const double before = fleet.sent();
  fleet.Run(60s);
  EXPECT_EQ(fleet.sent(), before);
  EXPECT_EQ(fleet.Outstanding(), 0);
}

TEST(FleetTest, EveryWorkerGetsItsTurnAtASmallRate) {
  Fleet fleet({.batch_size = 10}, 9);
  fleet.SetRate(2);  // enough for one
  for (int i = 0; i < 4; ++i) fleet.Join(1000);
  fleet.Run(std::chrono::minutes(20));
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(fleet.SentBy(i), 600, 150) << i;
  EXPECT_EQ(fleet.broken(), "");
}

TEST(FleetTest, ManyWorkersWithChurnAndLossesUseTheRate) {
  Fleet fleet({.batch_size = 10, .report_period = 1s}, 10);
  constexpr double kRate = 100'000;
  constexpr int kWorkers = 1000;
  fleet.SetRate(kRate);
  for (int i = 0; i < kWorkers; ++i) fleet.Join(500);
  std::mt19937 random(1);
  // 10 % churn a minute, 1 % cut off, half of the lost ones without a word.
  int next = 0;
  const auto churn = [&](int seconds) {
    double owed = 0;
    for (int s = 0; s < seconds; ++s) {
      for (owed += kWorkers * 0.10 / 60; owed >= 1; --owed) {
        fleet.Leave(next++);
        fleet.Join(500);
      }
      fleet.Run(1s);
    }
  };
  churn(40);
  for (int i = 0; i < kWorkers / 100; ++i) fleet.Partition(500 + i);
  churn(20);
  const double before = fleet.sent();
  churn(40);
  EXPECT_GE(fleet.sent() - before, 0.95 * kRate * 40);
  EXPECT_EQ(fleet.broken(), "");
}

// Whatever happens, in whatever order: workers never believe to have more than is counted, and
// never more is counted than the rate, or than a cut has left.
TEST(FleetTest, GrantsStayWithinTheRateUnderAnyHistory) {
  EXPECT_TRUE(rc::check([] {
    const int batch_size = *rc::gen::element(1, 10, 1000);
    Fleet::Options options{.batch_size = batch_size};
    options.max_delay = std::chrono::milliseconds(*rc::gen::element(0, 150, 3000));
    options.report_period = std::chrono::milliseconds(*rc::gen::element(250, 1000, 9000));
    Fleet fleet(options, *rc::gen::arbitrary<unsigned>());
    fleet.SetRate(100);
    const int steps = *rc::gen::inRange(1, 60);
    for (int i = 0; i < steps; ++i) {
      const int some =
          fleet.workers() == 0 ? -1 : *rc::gen::inRange(0, static_cast<int>(fleet.workers()));
      switch (*rc::gen::inRange(0, 8)) {
        case 0:
          fleet.SetRate(*rc::gen::element(0.0, 0.3, 1.0, 17.0, 100.0, 5000.0, 200'000.0));
          break;
        case 1:
        case 2:
          fleet.Join(*rc::gen::element(0.0, 1.0, 50.0, 10'000.0));
          break;
        case 3:
          if (some >= 0) fleet.Leave(some);
          break;
        case 4:
          if (some >= 0 && fleet.IsAlive(some)) fleet.Reconnect(some);
          break;
        case 5:
          if (some >= 0 && fleet.IsConnected(some)) fleet.Kill(some);
          break;
        case 6:
          if (some >= 0) fleet.Partition(some);
          break;
        default:
          if (some >= 0) fleet.SetCapacity(some, *rc::gen::element(0.0, 5.0, 10'000.0));
          break;
      }
      fleet.Run(std::chrono::milliseconds(*rc::gen::element(50, 500, 4000, 20'000)));
      RC_ASSERT(fleet.broken() == "");
    }
    // All that a cut has left is gone after one ttl.
    fleet.SetRate(1);
    fleet.Run(31s);
    RC_ASSERT(fleet.Outstanding() <= 1 + 1e-6);
    RC_ASSERT(fleet.Believed() <= 1 + 1e-6);
  }));
}

}  // namespace
}  // namespace backfill::throttle
