#include "operator/coordinator/grants.h"

#include <cmath>
#include <limits>

namespace backfill::coordinator {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;

class GrantsTest : public ::testing::Test {
 protected:
  // Ticks and remembers the latest grant of each session.
  void Tick() {
    for (const throttle::GrantAction& action : grants_.Tick(now_)) {
      EXPECT_GT(action.sequence, latest_[action.session].sequence);
      latest_[action.session] = action;
    }
  }
  void Pass(Duration d) {
    for (Duration step{}; step < d; step += 50ms) {
      now_ += 50ms;
      // Workers obey at once and would take more.
      for (const auto& [session, action] : latest_) {
        grants_.OnDemand(session, 1e6, action.sequence, now_);
      }
      Tick();
    }
  }
  double RateOf(std::uint64_t session) { return latest_[{session}].records_per_second; }

  Time now_{1h};
  std::map<SessionId, throttle::GrantAction> latest_;
  Grants grants_{throttle::RateShareOptions{}, 1};
};

TEST_F(GrantsTest, NobodyMaySendBeforeARateIsSet) {
  grants_.Join({1}, "a", std::nullopt, now_);
  Pass(1s);
  EXPECT_EQ(RateOf(1), 0);
}

TEST_F(GrantsTest, ALimitIsSharedAndStopTakesItBack) {
  grants_.Limit(100, now_);
  grants_.Join({1}, "a", std::nullopt, now_);
  grants_.Join({2}, "b", std::nullopt, now_);
  Pass(10s);
  EXPECT_NEAR(RateOf(1) + RateOf(2), 100, 1);
  EXPECT_NEAR(grants_.InForce(now_), 100, 1);
  grants_.Stop(now_);
  Tick();
  EXPECT_EQ(RateOf(1), 0);
  EXPECT_EQ(RateOf(2), 0);
}

TEST_F(GrantsTest, WhereNothingIsSentAllRunFree) {
  grants_.Free(now_);
  grants_.Join({1}, "a", std::nullopt, now_);
  grants_.Join({2}, "b", std::nullopt, now_);
  Tick();
  EXPECT_EQ(RateOf(1), 1e9);
  EXPECT_EQ(RateOf(2), 1e9);
  grants_.Stop(now_);
  Tick();
  EXPECT_EQ(RateOf(1), 0);
  grants_.Free(now_);
  Tick();
  EXPECT_EQ(RateOf(1), 1e9);
}

TEST_F(GrantsTest, FreeGrantsAreRenewedBeforeTheyExpire) {
  grants_.Free(now_);
  grants_.Join({1}, "a", std::nullopt, now_);
  Tick();
  const std::uint64_t first = latest_[{1}].sequence;
  EXPECT_THAT(grants_.Tick(now_ + 1s), IsEmpty());
  now_ += latest_[{1}].valid_for / 2;
  Tick();
  EXPECT_GT(latest_[{1}].sequence, first);
}

TEST_F(GrantsTest, SequenceNumbersRiseThroughAChangeOfMode) {
  grants_.Join({1}, "a", std::nullopt, now_);
  Pass(1s);
  grants_.Free(now_);
  Pass(20s);
  grants_.Limit(50, now_);
  Pass(40s);  // Tick() checks the numbers
  EXPECT_NEAR(RateOf(1), 50, 1);
}

TEST_F(GrantsTest, AProcessThatReconnectsKeepsItsShareAndNoMore) {
  grants_.Limit(100, now_);
  grants_.Join({1}, "a", std::nullopt, now_);
  Pass(10s);
  EXPECT_NEAR(RateOf(1), 100, 1);
  grants_.Leave({1}, now_);
  latest_.clear();
  grants_.Join({2}, "a", Grants::Held{.records_per_second = 100, .valid_for = 20s}, now_);
  EXPECT_NEAR(grants_.InForce(now_), 100, 1);
  Pass(2s);
  EXPECT_NEAR(RateOf(2), 100, 1);
}

TEST_F(GrantsTest, AnotherProcessWaitsForWhatALostOneStillHas) {
  grants_.Limit(100, now_);
  grants_.Join({1}, "a", std::nullopt, now_);
  Pass(10s);
  grants_.Leave({1}, now_);
  latest_.clear();
  grants_.Join({2}, "b", std::nullopt, now_);
  Pass(2s);
  EXPECT_LT(RateOf(2), 1);
  grants_.ProcessGone("a");
  Pass(2s);
  EXPECT_NEAR(RateOf(2), 100, 1);
}

TEST_F(GrantsTest, UnderANewLeaderWhatProcessesSayThatTheyHoldIsReported) {
  throttle::RateShareOptions options;
  options.learning = 30s;
  Grants grants(options, 1);
  EXPECT_EQ(grants.Reported(now_), 0);
  grants.Limit(100, now_);
  grants.Join({1}, "a", Grants::Held{.records_per_second = 30, .valid_for = 20s}, now_);
  grants.Join({2}, "b", Grants::Held{.records_per_second = NAN, .valid_for = 20s}, now_);
  grants.Join({3}, "c", Grants::Held{.records_per_second = 40, .valid_for = -1s}, now_);
  EXPECT_EQ(grants.Reported(now_), 30);
  EXPECT_EQ(grants.Reported(now_ + 31s), std::nullopt);
  EXPECT_EQ(grants_.Reported(now_), std::nullopt) << "there was no other leader";
}

TEST_F(GrantsTest, NoNumberIsGivenTwiceWhereWhatRanFreeIsLimited) {
  grants_.Join({1}, "a", std::nullopt, now_);
  grants_.Free(now_);
  Tick();
  Pass(1s);
  grants_.Limit(10, now_);
  Pass(1s);  // Tick() compares
  EXPECT_NEAR(RateOf(1), 10, 0.1);
}

TEST_F(GrantsTest, WhoRunsFreeIsToldOfOtherTimesToo) {
  grants_.Free(now_);
  grants_.Join({1}, "a", std::nullopt, now_);
  Tick();
  EXPECT_EQ(latest_[{1}].valid_for, 30s);
  grants_.SetTimes({.ttl = 45s, .refresh = 10s}, now_);
  Tick();
  EXPECT_EQ(latest_[{1}].valid_for, 45s);
}

TEST_F(GrantsTest, NumbersOfWorkersAreTakenWithBounds) {
  grants_.Limit(100, now_);
  const double infinity = std::numeric_limits<double>::infinity();
  grants_.Join({1}, "a", Grants::Held{.records_per_second = infinity, .valid_for = Duration::max()},
               now_);
  grants_.Join({2}, "b", Grants::Held{.records_per_second = -5, .valid_for = -1s}, now_);
  for (const double wanted : {std::nan(""), infinity, -1.0, 1e300}) {
    grants_.OnDemand({1}, wanted, std::numeric_limits<std::uint64_t>::max(), now_);
    Tick();
  }
  grants_.OnDemand({77}, 1, 1, now_);  // never joined
  Pass(60s);
  EXPECT_TRUE(std::isfinite(grants_.InForce(now_)));
  EXPECT_LE(grants_.InForce(now_), 101);
  EXPECT_NEAR(RateOf(1) + RateOf(2), 100, 2);
}

}  // namespace
}  // namespace backfill::coordinator
