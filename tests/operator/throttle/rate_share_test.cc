#include "operator/throttle/rate_share.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace backfill::throttle {
namespace {

using ::testing::DoubleNear;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr SessionId kA{1}, kB{2}, kC{3};

class RateShareTest : public ::testing::Test {
 protected:
  void Use(const RateShareOptions& options, int batch_size) { share_.emplace(options, batch_size); }
  void Join(SessionId session) { share_->Join(session, now_); }
  void Wants(SessionId session, double wanted) {
    share_->OnDemand(session, {wanted, acknowledged_[session]}, now_);
  }

  // Sends what is due and remembers it as the workers' last grants.
  std::vector<GrantAction> Tick(Duration d = 50ms) {
    now_ += d;
    auto actions = share_->Tick(now_);
    for (const GrantAction& a : actions) last_[a.session] = a;
    return actions;
  }
  // The worker says that it obeys its last grant.
  void Acknowledge(SessionId session) {
    acknowledged_[session] = last_.at(session).sequence;
    share_->OnDemand(session,
                     {wanted_.contains(session) ? wanted_[session] : 1e9, acknowledged_[session]},
                     now_);
  }
  // Everybody reports and obeys, until nothing changes any more.
  void Settle() {
    for (int i = 0; i < 20; ++i) {
      Tick();
      for (const auto& [session, action] : last_) Acknowledge(session);
    }
  }
  // Reporting and obeying all the time.
  std::set<SessionId> ThoseWithAGrantWithin(Duration time) {
    std::set<SessionId> with;
    for (Duration passed{}; passed < time; passed += 1s) {
      Tick(1s);
      for (const auto& [session, action] : last_) {
        Acknowledge(session);
        if (Rate(session) > 0) with.insert(session);
      }
    }
    return with;
  }
  double Rate(SessionId session) { return last_.at(session).records_per_second; }
  double Outstanding() { return share_->Outstanding(now_); }

  Time now_{std::chrono::hours(1)};
  std::optional<RateShare> share_{std::in_place, RateShareOptions{}, 1};
  std::map<SessionId, GrantAction> last_;
  std::map<SessionId, double> wanted_;
  std::map<SessionId, std::uint64_t> acknowledged_;
};

TEST_F(RateShareTest, AJoinedWorkerGetsAGrantAtOnce) {
  share_->SetRate(100, now_);
  Join(kA);
  EXPECT_THAT(Tick(), SizeIs(1));
  EXPECT_THAT(Rate(kA), DoubleNear(100, 1e-3));
  EXPECT_EQ(last_.at(kA).valid_for, 30s);
}

TEST_F(RateShareTest, AJoinedWorkerGetsAGrantAtOnceEvenIfItIsOfZero) {
  share_->SetRate(0, now_);
  Join(kA);
  EXPECT_THAT(Tick(), SizeIs(1));
  EXPECT_EQ(Rate(kA), 0);
  EXPECT_EQ(last_.at(kA).burst, 0);
}

TEST_F(RateShareTest, ASecondWorkerGetsItsHalfOnlyAfterTheFirstHasGivenItBack) {
  share_->SetRate(100, now_);
  Join(kA);
  Tick();
  Acknowledge(kA);
  Join(kB);
  Tick();
  EXPECT_THAT(Rate(kA), DoubleNear(50, 1e-3));
  EXPECT_THAT(Rate(kB), DoubleNear(0, 1e-3));
  EXPECT_THAT(Outstanding(), DoubleNear(100, 1e-3));
  Tick();
  EXPECT_THAT(Rate(kB), DoubleNear(0, 1e-3)) << "the first has not said yet that it obeys";
  Acknowledge(kA);
  Tick();
  EXPECT_THAT(Rate(kB), DoubleNear(50, 1e-3));
}

TEST_F(RateShareTest, ACutGoesOutAtOnceToEverybody) {
  share_->SetRate(100, now_);
  Join(kA);
  Join(kB);
  Settle();
  share_->SetRate(10, now_);
  EXPECT_THAT(Tick(), SizeIs(2));
  EXPECT_THAT(Rate(kA), DoubleNear(5, 1e-3));
  EXPECT_THAT(Rate(kB), DoubleNear(5, 1e-3));
  EXPECT_THAT(Outstanding(), DoubleNear(100, 1e-3));
  Acknowledge(kA);
  EXPECT_THAT(Outstanding(), DoubleNear(55, 1e-3));
  Acknowledge(kB);
  EXPECT_THAT(Outstanding(), DoubleNear(10, 1e-3));
}

TEST_F(RateShareTest, AnUnacknowledgedCutCountsInFullUntilTheOldGrantHasExpired) {
  share_->SetRate(100, now_);
  Join(kA);
  Tick();
  Acknowledge(kA);
  share_->SetRate(10, now_);
  Tick();
  now_ += 29s;
  EXPECT_THAT(Outstanding(), DoubleNear(100, 1e-3));
  now_ += 1s;
  EXPECT_LE(Outstanding(), 10);
}

TEST_F(RateShareTest, ARaiseAfterAnUnacknowledgedCutCostsNothing) {
  share_->SetRate(100, now_);
  Join(kA);
  Settle();
  share_->SetRate(10, now_);
  Tick();
  share_->SetRate(100, now_);
  Tick();
  EXPECT_THAT(Rate(kA), DoubleNear(100, 1e-3));
  EXPECT_THAT(Outstanding(), DoubleNear(100, 1e-3));
}

TEST_F(RateShareTest, TheGrantOfALostWorkerIsNotGivenAwayBeforeItHasExpired) {
  share_->SetRate(100, now_);
  Join(kA);
  Settle();
  share_->Leave(kA);
  last_.erase(kA);
  Join(kB);
  Tick(10s);
  EXPECT_THAT(Rate(kB), DoubleNear(0, 1e-3));
  Wants(kB, 1e9);
  Tick(10s);
  Wants(kB, 1e9);
  Tick(10s);
  EXPECT_THAT(Rate(kB), DoubleNear(100, 1e-3));
}

TEST_F(RateShareTest, TheGrantOfADeadWorkerIsFreeAtOnce) {
  share_->SetRate(100, now_);
  Join(kA);
  Settle();
  share_->Leave(kA);
  share_->Forget(kA);
  last_.erase(kA);
  Join(kB);
  Tick();
  EXPECT_THAT(Rate(kB), DoubleNear(100, 1e-3));
}

TEST_F(RateShareTest, GrantsAreRenewedBeforeTheyExpire) {
  share_->SetRate(100, now_);
  Join(kA);
  Settle();
  int renewals = 0;
  for (int i = 0; i < 1200; ++i) {  // a minute
    renewals += static_cast<int>(Tick().size());
    Acknowledge(kA);
    ASSERT_THAT(Outstanding(), DoubleNear(100, 1e-3));
  }
  EXPECT_GE(renewals, 10);
  EXPECT_LE(renewals, 16);
}

TEST_F(RateShareTest, APauseIsSentOnceAndThenQuiet) {
  share_->SetRate(100, now_);
  Join(kA);
  Join(kB);
  Settle();
  share_->SetRate(0, now_);
  EXPECT_THAT(Tick(), SizeIs(2));
  EXPECT_EQ(Rate(kA), 0);
  Acknowledge(kA);
  Acknowledge(kB);
  EXPECT_EQ(Outstanding(), 0);
  for (int i = 0; i < 1200; ++i) {
    EXPECT_THAT(Tick(), IsEmpty());
    Acknowledge(kA);
    Acknowledge(kB);
  }
  share_->SetRate(100, now_);
  EXPECT_THAT(Tick(), SizeIs(2));
}

TEST_F(RateShareTest, SmallWishesAreMetAndTheRestIsSplitEvenly) {
  share_->SetRate(100, now_);
  wanted_ = {{kA, 10}, {kB, 1000}, {kC, 1000}};
  Join(kA);
  Join(kB);
  Join(kC);
  Settle();
  EXPECT_THAT(Rate(kA), DoubleNear(10, 0.6));
  EXPECT_THAT(Rate(kB), DoubleNear(45, 2.5));
  EXPECT_THAT(Rate(kC), DoubleNear(45, 2.5));
}

TEST_F(RateShareTest, WhatNobodyWantsGoesToAll) {
  share_->SetRate(100, now_);
  wanted_ = {{kA, 10}, {kB, 20}};
  Join(kA);
  Join(kB);
  Settle();
  EXPECT_THAT(Rate(kA), DoubleNear(45, 2.5));
  EXPECT_THAT(Rate(kB), DoubleNear(55, 3));
}

TEST_F(RateShareTest, AWorkerThatWantsNothingKeepsAToehold) {
  share_->SetRate(100, now_);
  wanted_ = {{kA, 0}, {kB, 1e6}};
  Join(kA);
  Join(kB);
  Settle();
  EXPECT_GT(Rate(kA), 0.5);
  EXPECT_GT(Rate(kB), 95);
}

TEST_F(RateShareTest, BurstsAreAQuarterOfASecondButAlwaysABatch) {
  Use({}, 1);
  share_->SetRate(1000, now_);
  Join(kA);
  Tick();
  EXPECT_THAT(last_.at(kA).burst, DoubleNear(250, 1e-3));
  Use({}, 100);
  share_->SetRate(40, now_);
  Join(kA);
  Tick();
  EXPECT_EQ(last_.at(kA).burst, 100);
  Use({}, 1);
  share_->SetRate(1, now_);
  Join(kA);
  Tick();
  EXPECT_EQ(last_.at(kA).burst, 1);
}

TEST_F(RateShareTest, ARateTooSmallForAllGoesToFew) {
  Use({}, 10);  // a worker needs 2 records/s for a batch in 5 s
  share_->SetRate(5, now_);
  for (const SessionId s : {kA, kB, kC}) Join(s);
  Settle();
  int with = 0;
  for (const auto& [session, action] : last_) with += action.records_per_second > 0 ? 1 : 0;
  EXPECT_EQ(with, 2);
  EXPECT_THAT(Outstanding(), DoubleNear(5, 1e-3));
}

// What a cut has left in one worker's hands is no room for a new grant: it would outlive it.
TEST_F(RateShareTest, WhatACutHasLeftIsNotGrantedAgain) {
  Use({}, 100);  // at a rate of 1 there is one grant for both
  share_->SetRate(100, now_);
  Join(kA);
  Join(kB);
  Settle();
  share_->SetRate(1, now_);
  for (int i = 0; i < 31;
       ++i) {  // both speak and neither obeys; the one that had the grant wants nothing halfway
    Tick(1s);
    Wants(kA, i < 10 ? 50 : 0);
    Wants(kB, 50);
  }
  EXPECT_LE(Outstanding(), 1);
}

TEST_F(RateShareTest, AWorkerThatWantsNothingDoesNotBlockASmallRate) {
  Use({}, 100);
  share_->SetRate(1, now_);
  wanted_ = {{kA, 0}, {kB, 50}, {kC, 0}};
  for (const SessionId s : {kA, kB, kC}) Join(s);
  Settle();
  EXPECT_EQ(Rate(kA), 0);
  EXPECT_THAT(Rate(kB), DoubleNear(1, 1e-3));
  wanted_ = {{kA, 50}, {kB, 0}, {kC, 0}};
  Settle();
  EXPECT_THAT(Rate(kA), DoubleNear(1, 1e-3));
  EXPECT_EQ(Rate(kB), 0);
}

TEST_F(RateShareTest, AfterAPauseASmallRateGoesRoundAgain) {
  for (const SessionId session : {kA, kB, kC}) Join(session);
  share_->SetRate(0.2, now_);
  Settle();
  share_->SetRate(0, now_);
  Settle();
  EXPECT_THAT(ThoseWithAGrantWithin(2min), IsEmpty());
  share_->SetRate(0.2, now_);
  EXPECT_THAT(ThoseWithAGrantWithin(10min), SizeIs(3));
}

TEST_F(RateShareTest, ARateThatRisesFromAlmostNothingGoesRoundAtItsNewPace) {
  for (const SessionId session : {kA, kB, kC}) Join(session);
  share_->SetRate(1e-5, now_);
  Settle();
  share_->SetRate(0.2, now_);
  EXPECT_THAT(ThoseWithAGrantWithin(10min), SizeIs(3));
}

TEST_F(RateShareTest, AWorkerWithoutWorkLeavesTheRateToTheOneThatHasSome) {
  for (std::uint64_t i = 1; i <= 8; ++i) {
    Join({i});
    wanted_[{i}] = i == 5 ? 1e6 : 0;
  }
  share_->SetRate(1, now_);
  Settle();
  EXPECT_THAT(Rate({5}), DoubleNear(1, 1e-3));
}

TEST_F(RateShareTest, ASilentWorkerGetsNothingMore) {
  share_->SetRate(100, now_);
  Join(kA);
  Join(kB);
  Settle();
  for (int i = 0; i < 1000; ++i) {  // 50 s
    Tick();
    Acknowledge(kB);
  }
  EXPECT_EQ(Rate(kA), 0);
  EXPECT_THAT(Rate(kB), DoubleNear(100, 1e-3));
  EXPECT_THAT(Outstanding(), DoubleNear(100, 1e-3));
}

TEST_F(RateShareTest, AnAdoptedGrantCountsAsOutstanding) {
  share_->SetRate(100, now_);
  Join(kA);
  share_->Adopt(kA, 60, 20s, now_);
  Join(kB);
  Tick();
  EXPECT_THAT(Rate(kB), DoubleNear(40, 1e-3));
  EXPECT_THAT(Rate(kA), DoubleNear(50, 1e-3));
  EXPECT_THAT(Outstanding(), DoubleNear(100, 1e-3));
}

TEST_F(RateShareTest, AnAdoptedGrantLastsNoLongerThanAnyGrant) {
  share_->SetRate(0, now_);
  share_->Adopt(kA, 60, std::chrono::hours(100), now_);
  now_ += 49s;
  EXPECT_EQ(Outstanding(), 60) << "an earlier leader's may have lasted longer than ours";
  now_ += 1s;
  EXPECT_EQ(Outstanding(), 0);
}

TEST_F(RateShareTest, OtherTimesActAtOnceAndWhatWasGrantedLastsAsItWasSaid) {
  share_->SetRate(100, now_);
  Join(kA);
  Settle();
  ASSERT_THAT(Rate(kA), DoubleNear(100, 1e-3));
  share_->SetTimes({.ttl = 20s, .refresh = 2s}, now_);
  const auto renewed = Tick();
  ASSERT_THAT(renewed, SizeIs(1)) << "without waiting for its renewal";
  EXPECT_EQ(renewed[0].valid_for, 20s);
  now_ += 21s;
  EXPECT_THAT(Outstanding(), DoubleNear(100, 1e-3)) << "it has not said that it obeys the new one";
  now_ += 10s;
  EXPECT_EQ(Outstanding(), 0);
}

TEST_F(RateShareTest, ALaterCutIsKeptWithShorterTimesToo) {
  share_->SetRate(100, now_);
  Join(kA);
  Join(kB);
  Settle();
  share_->SetTimes({.ttl = 20s, .refresh = 2s}, now_);
  Settle();
  share_->Leave(kB);
  share_->SetRate(60, now_);
  Tick();
  EXPECT_THAT(Outstanding(), DoubleNear(100, 1e-3)) << "who is here gets no more for now";
  Acknowledge(kA);
  EXPECT_THAT(Outstanding(), DoubleNear(100, 1e-3)) << "the lost one may go on for 20 s";
  now_ += 20s;
  Acknowledge(kA);
  Settle();
  EXPECT_THAT(Outstanding(), DoubleNear(60, 1e-3)) << "what the lost one had is given away";
}

TEST_F(RateShareTest, AWorkerThatMayHaveAPredecessorsGrantGetsNoMoreThanItReportsWhileLearning) {
  Use({.learning = 30s}, 1);
  share_->SetRate(100, now_);
  share_->Adopt(kA, 30, 25s, now_);
  Join(kB);
  Settle();
  EXPECT_THAT(Rate(kA), DoubleNear(30, 1e-3));
  EXPECT_EQ(Rate(kB), 0);
  now_ += 30s;
  Settle();
  EXPECT_THAT(Rate(kA), DoubleNear(50, 1e-3));
  EXPECT_THAT(Rate(kB), DoubleNear(50, 1e-3));
}

TEST_F(RateShareTest, WhileLearningTheSumOfWhatIsReportedIsCutToTheRate) {
  Use({.learning = 30s}, 1);
  share_->SetRate(50, now_);
  share_->Adopt(kA, 60, 25s, now_);
  share_->Adopt(kB, 40, 25s, now_);
  Settle();
  EXPECT_THAT(Rate(kA), DoubleNear(30, 1e-3));
  EXPECT_THAT(Rate(kB), DoubleNear(20, 1e-3));
}

TEST_F(RateShareTest, WhatIsReportedWhileLearningIsWhatTheEarlierLeaderHadGranted) {
  Use({.learning = 30s}, 1);
  EXPECT_EQ(share_->Reported(now_), 0) << "nobody has come back yet";
  share_->SetRate(50, now_);
  share_->Adopt(kA, 60, 25s, now_);
  share_->Adopt(kB, 40, 25s, now_);
  Settle();
  EXPECT_EQ(share_->Reported(now_), 100) << "whatever it has been cut to since";
  now_ += 30s;
  EXPECT_EQ(share_->Reported(now_), std::nullopt);
}

TEST_F(RateShareTest, WithoutAnEarlierLeaderNothingIsReported) {
  EXPECT_EQ(share_->Reported(now_), std::nullopt);
}

TEST_F(RateShareTest, AnAcknowledgementOfWhatWasNeverSentChangesNothing) {
  share_->SetRate(100, now_);
  Join(kA);
  Settle();
  share_->SetRate(10, now_);
  Tick();
  for (const std::uint64_t sequence :
       {std::uint64_t{0}, last_.at(kA).sequence + 1, ~std::uint64_t{0}}) {
    share_->OnDemand(kA, {.wanted = 5, .grant_sequence = sequence}, now_);
    EXPECT_THAT(Outstanding(), DoubleNear(100, 1e-3));
  }
}

TEST_F(RateShareTest, NumbersBeginWhereTheLeaderSays) {
  Use({.first_sequence = 7ULL << 32}, 1);
  Join(kA);
  Tick();
  EXPECT_EQ(last_.at(kA).sequence, 7ULL << 32);
}

TEST_F(RateShareTest, NonsenseFromWorkersAndCallersHarmsNobody) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  share_->SetRate(100, now_);
  Join(kA);
  Join(kB);
  Join(kC);
  wanted_ = {{kA, std::numeric_limits<double>::quiet_NaN()}, {kB, kInf}, {kC, -5}};
  Settle();
  EXPECT_THAT(Outstanding(), DoubleNear(100, 1e-3));
  EXPECT_GT(Rate(kB), 90);
  share_->OnDemand(SessionId{99}, {.wanted = 5, .grant_sequence = 1}, now_);
  share_->Leave(SessionId{99});
  share_->Forget(SessionId{99});
  for (const double nonsense : {-1.0, std::numeric_limits<double>::quiet_NaN()}) {
    share_->SetRate(nonsense, now_);
    Settle();
    EXPECT_EQ(Outstanding(), 0);
    share_->SetRate(100, now_);
    Settle();
  }
}

TEST_F(RateShareTest, WithoutWorkersNothingHappens) {
  share_->SetRate(100, now_);
  EXPECT_THAT(Tick(), IsEmpty());
  EXPECT_EQ(Outstanding(), 0);
}

TEST_F(RateShareTest, AfterTimeHasJumpedEverythingHasExpiredAndIsGrantedAfresh) {
  share_->SetRate(100, now_);
  Join(kA);
  Join(kB);
  Settle();
  now_ += std::chrono::hours(8);  // the lid was closed
  EXPECT_EQ(Outstanding(), 0);
  Acknowledge(kA);
  Acknowledge(kB);
  Settle();
  EXPECT_THAT(Outstanding(), DoubleNear(100, 1e-3));
}

}  // namespace
}  // namespace backfill::throttle
