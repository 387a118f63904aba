// What workers hold back by what they see of the target, and what they are told of its budgets.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/operator/coordinator/stage_bench.h"

namespace backfill::coordinator {
namespace {

using v1::CoordinatorMessage;

class StagePressureTest : public StageTest {
 protected:
  void Report(SessionId session, const v1::HeldBack& held) {
    v1::WorkerMessage report;
    report.mutable_progress()->set_wanted_records_per_second(1e6);
    *report.mutable_progress()->mutable_held_back() = held;
    bench_->Say(session, report);
  }
  static v1::HeldBack Slow(double part, double latency, double usual) {
    v1::HeldBack held;
    held.set_by_latency(part);
    held.set_latency_seconds(latency);
    held.set_usual_latency_seconds(usual);
    return held;
  }
  static v1::HeldBack Refused(double part) {
    v1::HeldBack held;
    held.set_by_refusals(part);
    return held;
  }
  reconcile::StageSnapshot Seen() { return bench_->run().Snapshot(); }
};

TEST_F(StagePressureTest, WorkersThatHoldBackAreCountedWithTheReason) {
  StageBench& bench = Open();
  const SessionId one = bench.Hello("run-0"), two = bench.Hello("run-1");
  bench.Lease(one);
  bench.Lease(two);
  EXPECT_FALSE(Seen().target_holds_back);
  Report(one, Slow(0.9, 0.4, 0.05));
  Report(two, Slow(0.5, 0.1, 0.05));
  EXPECT_EQ(Seen().held_by_workers.slow, 2);
  EXPECT_DOUBLE_EQ(Seen().held_by_workers.slowdown, 8);
  EXPECT_TRUE(Seen().target_holds_back);
  Report(one, Refused(0.3));
  EXPECT_EQ(Seen().held_by_workers.slow, 1);
  EXPECT_EQ(Seen().held_by_workers.refused, 1);
  Report(one, {});
  Report(two, {});
  EXPECT_FALSE(Seen().target_holds_back) << "as from older workers";
}

TEST_F(StagePressureTest, ALittleIsNothing) {
  StageBench& bench = Open();
  const SessionId worker = bench.Hello("run-0");
  bench.Lease(worker);
  Report(worker, Slow(0.04, 0.052, 0.05));
  EXPECT_FALSE(Seen().target_holds_back);
}

TEST_F(StagePressureTest, NonsenseIsTakenWithBounds) {
  StageBench& bench = Open();
  const SessionId worker = bench.Hello("run-0");
  bench.Lease(worker);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double part : {nan, -1.0, std::numeric_limits<double>::infinity(), 1e300}) {
    Report(worker, Slow(part, part, part));
    EXPECT_LE(Seen().held_by_workers.slowdown, 1) << part;
  }
  Report(worker, Slow(1, 1e300, 1e-300));
  EXPECT_TRUE(std::isfinite(Seen().held_by_workers.slowdown));
}

TEST_F(StagePressureTest, EveryGrantSaysWhetherABudgetIsExceeded) {
  StageBench& bench = Open();
  reconcile::LiveSettings settings = Running();
  settings.pressure = 1.3;
  bench.run().Configure(settings);
  const SessionId worker = bench.Hello("run-0");
  bench.Pass(100ms);
  EXPECT_EQ(bench.Last(worker, CoordinatorMessage::kGrant)->grant().pressure(), 1.3);
}

TEST_F(StagePressureTest, WorkersAreToldHowSlowTheTargetMayGet) {
  StageBench& bench = Open();
  const SessionId worker = bench.Hello("run-0");
  EXPECT_EQ(bench.Last(worker, CoordinatorMessage::kWelcome)->welcome().limits().latency_headroom(),
            1.25);
  reconcile::LiveSettings settings = Running();
  settings.latency_headroom = 0;
  bench.run().Configure(settings);
  EXPECT_TRUE(bench.Last(worker, CoordinatorMessage::kLimits)->limits().has_latency_headroom());
  EXPECT_EQ(bench.Last(worker, CoordinatorMessage::kLimits)->limits().latency_headroom(), 0);
}

TEST_F(StagePressureTest, WorkersAreToldHowMuchTheyMayRepeatWhileTheyRun) {
  StageBench& bench = Open();
  const SessionId worker = bench.Hello("run-0");
  reconcile::LiveSettings settings = Running();
  settings.retry_budget_percent = 0;
  bench.run().Configure(settings);
  ASSERT_TRUE(bench.Last(worker, CoordinatorMessage::kLimits).has_value());
  EXPECT_EQ(bench.Last(worker, CoordinatorMessage::kLimits)->limits().retry_budget_percent(), 0u);
}

TEST_F(StagePressureTest, GrantsLastAsLongAsTheFileSaysNow) {
  StageBench& bench = Open();
  const SessionId worker = bench.Hello("run-0");
  bench.Pass(100ms);
  EXPECT_EQ(bench.Last(worker, CoordinatorMessage::kGrant)->grant().valid_for_ms(), 30'000u);
  reconcile::LiveSettings settings = Running();
  settings.grants = {.ttl = 20s, .refresh = 2s};
  bench.run().Configure(settings);
  bench.Pass(100ms);
  EXPECT_EQ(bench.Last(worker, CoordinatorMessage::kGrant)->grant().valid_for_ms(), 20'000u);
}

TEST_F(StagePressureTest, TheRetryBudgetOfTheFileSaysWhenItIsSpent) {
  StageBench& bench = Open();
  reconcile::LiveSettings settings = Running();
  settings.retry_budget_percent = 50;
  bench.run().Configure(settings);
  const SessionId worker = bench.Hello("run-0");
  for (std::uint64_t i = 0; i < 20; ++i) {  // a tenth is sent again
    bench.Progress(worker, 0, {}, i * 110, i * 10);
    bench.Pass(250ms);
  }
  EXPECT_FALSE(Seen().retries_spent);
  settings.retry_budget_percent = 10;
  bench.run().Configure(settings);
  EXPECT_TRUE(Seen().retries_spent);
}

}  // namespace
}  // namespace backfill::coordinator
