// How a session ends when it is asked to.
#include "tests/worker/link/session_fixture.h"

namespace backfill::worker {
namespace {

using SessionDrainTest = SessionTest;

using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(SessionDrainTest, DrainingWaitsForWhatIsInFlightAndGivesLeasesBack) {
  Begin();
  TellAll(Lease(2, 100, 200));
  Work(5);
  const auto in_flight = session_.engine().Next(now_);
  ASSERT_TRUE(in_flight.has_value());
  Sent();
  session_.Drain(now_);
  EXPECT_THAT(host_.sent, IsEmpty());
  EXPECT_EQ(Work(1), 0);
  session_.engine().OnResult(in_flight->slot, {}, now_);
  Wait(20ms);
  ASSERT_THAT(host_.sent, SizeIs(1));
  ASSERT_EQ(host_.sent[0].draining().leases_size(), 2);
  EXPECT_EQ(host_.sent[0].draining().leases(0).cursor(), 6);
  EXPECT_FALSE(session_.ended().has_value());
  TellAll(Ack({}));
  EXPECT_EQ(session_.ended(), SessionEnd::kDrained);
}

TEST_F(SessionDrainTest, WhatIsStillInFlightAtTheEndOfTheGraceIsNotGivenBack) {
  Begin();
  TellAll(Lease(2, 100, 200));
  Work(5);
  ASSERT_TRUE(session_.engine().Next(now_).has_value());
  Sent();
  session_.Drain(now_);
  for (int i = 0; i < 95; ++i) Wait(100ms);
  bool drained = false;
  for (const auto& m : host_.sent) {
    if (!m.has_draining()) continue;
    drained = true;
    ASSERT_EQ(m.draining().leases_size(), 1);
    EXPECT_EQ(m.draining().leases(0).lease().shard(), 2);
  }
  EXPECT_TRUE(drained);
  Wait(1s);
  EXPECT_EQ(session_.ended(), SessionEnd::kDrained);
}

TEST_F(SessionDrainTest, DrainingWithoutAStreamEndsAtOnceWhenNothingIsHeld) {
  Connect();
  Tell(Welcome(), 1);
  session_.OnDisconnected(host_.current, {ErrorCode::kUnavailable, "gone"}, now_);
  session_.Drain(now_);
  EXPECT_EQ(session_.ended(), SessionEnd::kDrained);
}

TEST_F(SessionDrainTest, DrainingWithoutAStreamAsksForOneAndWaitsTwoSecondsForIt) {
  Begin();
  session_.OnDisconnected(host_.current, {ErrorCode::kUnavailable, "gone"}, now_);
  Wait(20s);
  session_.Drain(now_);
  EXPECT_EQ(host_.reconnects, 1);
  Wait(1900ms);
  EXPECT_FALSE(session_.ended().has_value());
  Wait(200ms);
  EXPECT_EQ(session_.ended(), SessionEnd::kDrained);
}

TEST_F(SessionDrainTest, AStreamThatIsLostWhileDrainingIsMissedForTwoSeconds) {
  Begin();
  TellAll(Lease(2, 100, 200));
  Work(5);
  ASSERT_TRUE(session_.engine().Next(now_).has_value());
  session_.Drain(now_);
  EXPECT_EQ(host_.reconnects, 0);
  Wait(3s);
  session_.OnDisconnected(host_.current, {ErrorCode::kUnavailable, "gone"}, now_);
  EXPECT_EQ(host_.reconnects, 1);
  Wait(1900ms);
  EXPECT_FALSE(session_.ended().has_value());
  Wait(200ms);
  EXPECT_EQ(session_.ended(), SessionEnd::kDrained);
}

TEST_F(SessionDrainTest, DrainingBeforeTheFirstWelcomeEndsAtOnce) {
  Connect();
  session_.Drain(now_);
  EXPECT_EQ(session_.ended(), SessionEnd::kDrained);
}

TEST_F(SessionDrainTest, DrainingSurvivesALossOfTheStream) {
  Begin();
  session_.Drain(now_);
  Reconnect();
  Sent();
  Tell(Welcome({1}), 1);
  ASSERT_THAT(host_.sent, SizeIs(1));
  EXPECT_TRUE(host_.sent[0].has_draining());
}

TEST_F(SessionDrainTest, ABrokenStreamIsNoReasonToCrash) {
  Begin();
  Work(3, Outcome::kFailed);
  host_.broken = true;
  Wait(10s);
  session_.Drain(now_);
  Wait(1s);
  EXPECT_FALSE(session_.ended().has_value());
  Wait(1s);
  EXPECT_EQ(session_.ended(), SessionEnd::kDrained);
}

}  // namespace
}  // namespace backfill::worker
