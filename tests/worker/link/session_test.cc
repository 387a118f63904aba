// The worker's side of the protocol, message by message, under a clock of the test's own.
#include <cmath>

#include "tests/worker/link/session_fixture.h"
#include "worker/link/translate.h"

namespace backfill::worker {
namespace {

using ::testing::SizeIs;

TEST_F(SessionTest, SaysHelloFirstAndReportsAfterTheWelcome) {
  Connect();
  ASSERT_THAT(host_.sent, SizeIs(1));
  EXPECT_EQ(host_.sent[0].sequence(), 1u);
  EXPECT_EQ(host_.sent[0].hello().worker(), "run-0");
  EXPECT_EQ(host_.sent[0].hello().protocol_version(), 1u);
  Wait(10s);
  EXPECT_THAT(host_.sent, SizeIs(1)) << "nothing before the Welcome";
  Tell(Welcome(), 1);
  ASSERT_THAT(Reports(), SizeIs(1));
  EXPECT_EQ(Reports()[0]->shards_wanted(), 2u);
  EXPECT_EQ(host_.reconnect_window, 700ms);
}

TEST_F(SessionTest, ReportsEveryPeriodAlsoWhenNothingChanged) {
  Begin();
  Sent();
  for (int i = 0; i < 100; ++i) Wait(100ms);
  EXPECT_GE(Reports().size(), 9u);
  EXPECT_LE(Reports().size(), 11u);
}

TEST_F(SessionTest, SendsUnderALeaseAndAGrantOnly) {
  Begin();
  EXPECT_EQ(Work(10), 10);
  Wait(1s);
  ASSERT_FALSE(Reports().empty());
  const v1::LeaseProgress& p = Reports().back()->leases(0);
  EXPECT_EQ(p.cursor(), 10);
  EXPECT_EQ(p.counts().updated(), 10u);
  EXPECT_EQ(p.lease().epoch(), 7u);
  EXPECT_EQ(Reports().back()->grant_sequence(), 1u);
}

TEST_F(SessionTest, StopsAtTheFenceWhenNoAnswerComes) {
  Begin();
  TellAll(Grant(2, 1e6, 3'600'000));
  Wait(49s);
  EXPECT_EQ(Work(1), 1);
  Wait(2s);
  EXPECT_EQ(Work(1), 0);
  EXPECT_FALSE(session_.engine().Holds({ShardId{1}, Attempt{1}}));
  TellAll(Ack({1}));
  EXPECT_EQ(Work(1), 0) << "no answer brings it back";
}

TEST_F(SessionTest, AcksKeepALeaseForAsLongAsTheyName) {
  Begin();
  for (int i = 0; i < 30; ++i) {
    TellAll(Ack({1}));
    TellAll(Grant(static_cast<std::uint64_t>(i) + 2, 1e6));
    Wait(5s);
    EXPECT_EQ(Work(1), 1) << i;
  }
}

TEST_F(SessionTest, ADelayedAckExtendsFromTheReportThatItAnswers) {
  Begin();
  const std::uint64_t first = LastSequence();
  Wait(40s);
  Tell(Ack({1}), first);  // answers what was sent at the beginning
  TellAll(Grant(2, 1e6));
  Wait(11s);
  EXPECT_EQ(Work(1), 0);
}

TEST_F(SessionTest, AReportedLeaseThatAnAckLeavesOutIsLost) {
  Begin();
  Wait(1s);
  TellAll(Ack({}));
  EXPECT_FALSE(session_.engine().Holds({ShardId{1}, Attempt{1}}));
}

TEST_F(SessionTest, AnAckOfAMessageBeforeTheLeaseDoesNotTakeIt) {
  Connect();
  Tell(Welcome(), 1);
  const std::uint64_t before = LastSequence();
  TellAll(Lease(1, 0, 100));
  Tell(Ack({}), before);
  EXPECT_TRUE(session_.engine().Holds({ShardId{1}, Attempt{1}}));
}

TEST_F(SessionTest, RefsOfAnotherEpochMeanNothing) {
  Begin();
  Wait(1s);
  epoch_ = 6;
  TellAll(Lease(2, 0, 5));
  v1::CoordinatorMessage revoke;
  *revoke.mutable_revoke()->mutable_lease() = Ref(1);
  TellAll(revoke);
  EXPECT_TRUE(session_.engine().Holds({ShardId{1}, Attempt{1}}));
  EXPECT_FALSE(session_.engine().Holds({ShardId{2}, Attempt{1}}));
  epoch_ = 7;
  *revoke.mutable_revoke()->mutable_lease() = Ref(1);
  TellAll(revoke);
  EXPECT_FALSE(session_.engine().Holds({ShardId{1}, Attempt{1}}));
}

TEST_F(SessionTest, AGrantLastsFromTheSendingOfWhatItAnswers) {
  Begin();
  const std::uint64_t old = LastSequence();
  Wait(20s);
  Tell(Grant(2, 1e6, 25'000), old);
  Wait(4s);
  EXPECT_EQ(Work(1), 1);
  Wait(2s);
  EXPECT_EQ(Work(1), 0);
}

TEST_F(SessionTest, AnOlderGrantOrOneForAnUnknownMessageGivesNothing) {
  Begin();
  TellAll(Grant(5, 0));
  TellAll(Grant(4, 1e6));
  EXPECT_EQ(Work(1), 0);
  Tell(Grant(6, 1e6), 9999);
  now_ += 1s;
  EXPECT_EQ(Work(1), 0);
  TellAll(Grant(7, 1e6));
  now_ += 1s;
  EXPECT_EQ(Work(1), 1);
}

TEST_F(SessionTest, GrantsAreNumberedFromTheBeginningOnEveryStream) {
  Begin();
  TellAll(Grant(5, 1e6, 30'000));
  Wait(1s);
  Reconnect();
  EXPECT_EQ(host_.sent.back().hello().grant().epoch(), 7u);
  Tell(Welcome({1}), 1);
  TellAll(Lease(1, 0, 100));
  TellAll(Grant(1, 1e6, 60'000));
  Wait(35s);
  EXPECT_EQ(Work(1), 1) << "the old grant has expired, the new one has not";
  Reconnect();
  EXPECT_EQ(host_.sent.back().hello().grant().epoch(), 7u);
}

TEST_F(SessionTest, PauseActsBetweenTwoRecords) {
  Begin();
  EXPECT_EQ(Work(3), 3);
  v1::CoordinatorMessage pause;
  pause.mutable_pause()->set_paused(true);
  TellAll(pause);
  EXPECT_EQ(Work(3), 0);
  pause.mutable_pause()->set_paused(false);
  TellAll(pause);
  EXPECT_EQ(Work(3), 3);
}

TEST_F(SessionTest, FailuresGoBeforeTheProgressThatCountsThem) {
  Begin();
  Work(3, Outcome::kFailed);
  Sent();
  Wait(1s);
  ASSERT_GE(host_.sent.size(), 2u);
  ASSERT_TRUE(host_.sent[0].has_record_failures());
  EXPECT_EQ(host_.sent[0].record_failures().failures_size(), 3);
  EXPECT_EQ(host_.sent[0].record_failures().failures(1).key(), "1");
  EXPECT_EQ(host_.sent[0].record_failures().failures(1).class_(), v1::FAILURE_CLASS_PERMANENT);
  EXPECT_EQ(host_.sent[1].progress().leases(0).counts().failed(), 3u);
}

TEST_F(SessionTest, ManyFailuresDoNotWaitForTheReport) {
  Begin();
  TellAll(Lease(2, 1000, 5000));
  Sent();
  EXPECT_EQ(Work(700, Outcome::kFailed), 700);
  v1::CoordinatorMessage slow;
  slow.mutable_limits()->set_concurrency(4);
  slow.mutable_limits()->set_report_period_ms(30'000);
  TellAll(slow);
  Wait(20ms);
  std::size_t failures = 0;
  for (const auto& m : host_.sent) {
    EXPECT_TRUE(m.has_record_failures() || m.has_shard_done() || m.has_progress());
    failures += static_cast<std::size_t>(m.record_failures().failures_size());
  }
  EXPECT_EQ(failures, 700u);
}

TEST_F(SessionTest, RepeatsFailuresOnANewStreamUntilTheyAreInTheStore) {
  Begin();
  TellAll(Lease(2, 1000, 5000));
  Work(3, Outcome::kFailed);
  Wait(1s);
  const std::uint64_t carried = host_.sent[host_.sent.size() - 2].sequence();
  Work(2, Outcome::kFailed);
  Wait(1s);
  v1::CoordinatorMessage ack = Ack({1, 2});
  ack.mutable_ack()->set_failures_durable(carried);
  TellAll(ack);
  Reconnect();
  Sent();
  Tell(Welcome({1, 2}), 1);
  ASSERT_TRUE(host_.sent.at(0).has_record_failures());
  EXPECT_EQ(host_.sent[0].record_failures().failures_size(), 2);
  ack.mutable_ack()->set_failures_durable(LastSequence());
  TellAll(ack);
  Reconnect();
  Sent();
  Tell(Welcome({1, 2}), 1);
  EXPECT_FALSE(host_.sent.at(0).has_record_failures());
}

TEST_F(SessionTest, RepeatsShardDoneUntilItIsAcknowledged) {
  Begin();
  Sent();
  EXPECT_EQ(Work(200), 100);
  Wait(100ms);
  ASSERT_GE(host_.sent.size(), 2u);
  EXPECT_EQ(host_.sent[0].shard_done().lease().cursor(), 100) << "at once, not at the next period";
  EXPECT_EQ(Reports().back()->shards_wanted(), 2u);
  EXPECT_EQ(Reports().back()->leases_size(), 0);
  TellAll(Ack({}));  // not durable yet
  Sent();
  Wait(1s);
  EXPECT_TRUE(host_.sent[0].has_shard_done());
  TellAll(Ack({}, {1}));
  Sent();
  Wait(1s);
  ASSERT_THAT(host_.sent, SizeIs(1));
  EXPECT_TRUE(host_.sent[0].has_progress());
}

TEST_F(SessionTest, DoesNotWaitLongForALeaseWhenItHasNothingLeftToSend) {
  Begin();
  TellAll(Lease(2, 100, 200));
  Wait(1s);
  Sent();
  EXPECT_EQ(Work(100), 100);
  Wait(60ms);
  EXPECT_THAT(Reports(), SizeIs(0)) << "there is another lease to work on";
  EXPECT_EQ(session_.wake_at(), now_ + 40ms);
  EXPECT_EQ(Work(100), 100);
  EXPECT_EQ(session_.wake_at(), now_ - 10ms);
  Wait(0ms);
  ASSERT_THAT(Reports(), SizeIs(1));
  EXPECT_EQ(Reports()[0]->shards_wanted(), 2u);
  EXPECT_EQ(session_.wake_at(), Time::max()) << "all is said";
}

TEST_F(SessionTest, PassesOnThatTheTargetWantsToBeLeftAlone) {
  Begin();
  Wait(1s);
  EXPECT_EQ(Reports().back()->hold_ms(), 0u);
  Sent();
  ASSERT_EQ(Work(1), 1);  // reads ahead
  const auto d = session_.engine().Next(now_);
  ASSERT_TRUE(d.has_value());
  session_.engine().OnResult(
      d->slot, {.verdict = {Outcome::kFailed, FailureClass::kTransient, "busy"}, .retry_after = 1h},
      now_);
  Wait(150ms);
  ASSERT_THAT(Reports(), SizeIs(1)) << "without waiting for the period";
  EXPECT_EQ(Reports()[0]->hold_ms(), 300'000u - 150u) << "capped";
}

TEST_F(SessionTest, SaysWhatItHoldsBackOfItsGrant) {
  Begin();
  ASSERT_EQ(Work(1), 1);  // reads ahead
  for (int i = 0; i < 8; ++i) {
    const auto d = session_.engine().Next(now_);
    ASSERT_TRUE(d.has_value());
    session_.engine().OnResult(d->slot,
                               {.overloaded = true,
                                .verdict = {Outcome::kFailed, FailureClass::kPermanent, "busy"},
                                .latency = 40ms},
                               now_);
  }
  now_ += 1s;
  session_.engine().Next(now_);
  Wait(0s);
  EXPECT_GT(Reports().back()->held_back().by_refusals(), 0.6);
  EXPECT_EQ(Reports().back()->held_back().by_latency(), 0);
}

TEST_F(SessionTest, WhatIsSeenWhileABudgetIsExceededIsNotUsual) {
  const auto usual_after = [this](double pressure) {
    v1::CoordinatorMessage grant = Grant(++grants_, 1e6);
    grant.mutable_grant()->set_pressure(pressure);
    TellAll(grant);
    for (int i = 0; i < 35; ++i) {
      Wait(1s);
      TellAll(Ack({1}));
      const auto d = session_.engine().Next(now_);
      if (d) session_.engine().OnResult(d->slot, {.latency = 30ms}, now_);
    }
    return session_.engine().inner_loop().usual();
  };
  Begin();
  ASSERT_EQ(Work(1), 1);  // reads ahead
  EXPECT_EQ(usual_after(1.5), 0);
  EXPECT_NEAR(usual_after(0.5), 0.03, 0.001);
}

TEST_F(SessionTest, ACoordinatorMayTellItNotToLookAtLatency) {
  Begin();
  const auto headroom = [](std::optional<double> said) {
    v1::Limits limits;
    if (said) limits.set_latency_headroom(*said);
    return LimitsOf(limits).latency_headroom;
  };
  EXPECT_EQ(headroom(std::nullopt), 1.25) << "an older one says nothing";
  EXPECT_EQ(headroom(0), 0);
  EXPECT_EQ(headroom(2), 2);
  EXPECT_EQ(headroom(0.5), 1) << "what is usual is not too slow";
  EXPECT_EQ(headroom(std::nan("")), 0);
  EXPECT_EQ(headroom(-1), 0);
}

TEST_F(SessionTest, SaysWhyTheTargetCannotBeReached) {
  Begin();
  ASSERT_EQ(Work(1), 1);  // reads ahead
  const auto d = session_.engine().Next(now_);
  ASSERT_TRUE(d.has_value());
  BatchResult refused{.delivery = Delivery::kNotSent, .unreachable = true};
  refused.verdict = {Outcome::kFailed, FailureClass::kTransient, std::string(300, 'x')};
  session_.engine().OnResult(d->slot, refused, now_);
  Wait(1s);
  EXPECT_EQ(Reports().back()->target_trouble(), std::string(256, 'x')) << "cut";
  ASSERT_EQ(Work(1), 1);
  Wait(1s);
  EXPECT_EQ(Reports().back()->target_trouble(), "");
}

TEST_F(SessionTest, AsksForItsShareOfTheRateAsSoonAsItHasWork) {
  Connect();
  Tell(Welcome(), 1);
  EXPECT_EQ(Reports().back()->wanted_records_per_second(), 0);
  TellAll(Lease(1, 0, 100));
  Sent();
  Wait(150ms);
  ASSERT_THAT(Reports(), SizeIs(1));
  EXPECT_GT(Reports()[0]->wanted_records_per_second(), 0);
}

TEST_F(SessionTest, ShrinkShowsInTheNextReport) {
  Begin();
  Work(10);
  v1::CoordinatorMessage shrink;
  *shrink.mutable_shrink()->mutable_lease() = Ref(1);
  shrink.mutable_shrink()->set_end(50);
  TellAll(shrink);
  Wait(1s);
  EXPECT_EQ(Reports().back()->leases(0).end(), 50);
  EXPECT_EQ(Work(100), 40);
}

TEST_F(SessionTest, AfterALossItKeepsWorkingAndTakesItsLeasesAlong) {
  Begin();
  Work(10);
  Wait(1s);
  TellAll(Ack({1}));
  Work(5, Outcome::kFailed);
  session_.OnDisconnected(1, {ErrorCode::kUnavailable, "gone"}, now_);
  EXPECT_EQ(Work(5), 5) << "within fence and grant";
  ++host_.current;
  Sent();
  Connect();
  const v1::Hello& hello = host_.sent.at(0).hello();
  ASSERT_EQ(hello.held_size(), 1);
  EXPECT_EQ(hello.held(0).cursor(), 10) << "what was accepted: the failures beyond come first";
  EXPECT_EQ(hello.held(0).counts().failed(), 0u);
  EXPECT_GT(hello.grant().valid_for_ms(), 20'000u);
  EXPECT_EQ(hello.grant().epoch(), 7u);
  epoch_ = 8;
  Tell(Welcome({1}), 1);
  ASSERT_GE(host_.sent.size(), 3u);
  EXPECT_EQ(host_.sent[1].record_failures().failures_size(), 5);
  EXPECT_EQ(host_.sent[1].record_failures().lease().epoch(), 8u);
  EXPECT_EQ(host_.sent[2].progress().leases(0).cursor(), 20);
}

TEST_F(SessionTest, DropsWhatTheWelcomeDoesNotKeep) {
  Begin();
  Reconnect();
  EXPECT_EQ(host_.sent.back().hello().held_size(), 1);
  Tell(Welcome({}), 1);
  EXPECT_EQ(Work(1), 0);
  EXPECT_FALSE(session_.engine().Holds({ShardId{1}, Attempt{1}}));
}

TEST_F(SessionTest, AKeptLeaseIsNotExtendedByTheWelcomeItself) {
  Begin();
  TellAll(Grant(2, 1e6, 3'600'000));
  Wait(40s);
  Reconnect();
  Tell(Welcome({1}), 1);
  Wait(11s);
  EXPECT_EQ(Work(1), 0);
}

TEST_F(SessionTest, WhatComesOnAnOldStreamIsHistory) {
  Begin();
  Reconnect();
  Tell(Welcome({1}), 1);
  v1::CoordinatorMessage end;
  end.mutable_no_more_work();
  session_.OnMessage(1, end, now_);
  EXPECT_FALSE(session_.ended().has_value());
}

TEST_F(SessionTest, EndsOnNoMoreWork) {
  Begin();
  v1::CoordinatorMessage end;
  end.mutable_no_more_work();
  TellAll(end);
  EXPECT_EQ(session_.ended(), SessionEnd::kNoMoreWork);
}

TEST_F(SessionTest, AWorkloadThatCannotBeDoneIsFinal) {
  host_.refuse = true;
  Connect();
  Tell(Welcome(), 1);
  EXPECT_EQ(session_.ended(), SessionEnd::kBadWorkload);
}

TEST_F(SessionTest, StartsAgainWhenTheWorkloadOrTheProtocolChanges) {
  Begin();
  Reconnect();
  v1::CoordinatorMessage changed = Welcome({1});
  changed.mutable_welcome()->mutable_workload()->set_batch_size(5);
  Tell(changed, 1);
  EXPECT_EQ(session_.ended(), SessionEnd::kOutOfStep);
}

TEST_F(SessionTest, AcceptsAProtocolOneVersionNewerAndNoMore) {
  Connect();
  v1::CoordinatorMessage next = Welcome();
  next.mutable_welcome()->set_protocol_version(2);
  Tell(next, 1);
  EXPECT_FALSE(session_.ended().has_value());
  Reconnect();
  next.mutable_welcome()->set_protocol_version(3);
  Tell(next, 1);
  EXPECT_EQ(session_.ended(), SessionEnd::kOutOfStep);
}

TEST_F(SessionTest, GivesUpAfterFiveMinutesOfRefusal) {
  const Error refused{ErrorCode::kUnauthenticated, "who are you?"};
  session_.OnDisconnected(1, refused, now_);
  now_ += 4min;
  session_.OnDisconnected(2, refused, now_);
  EXPECT_FALSE(session_.ended().has_value());
  host_.current = 3;
  Connect();
  Tell(Welcome(), 1);  // accepted in between
  now_ += 2min;
  session_.OnDisconnected(3, refused, now_);
  EXPECT_FALSE(session_.ended().has_value());
  now_ += 5min;
  session_.OnDisconnected(4, refused, now_);
  EXPECT_EQ(session_.ended(), SessionEnd::kRefused);
}

TEST_F(SessionTest, OtherErrorsAreTriedForEver) {
  for (int i = 0; i < 1000; ++i) {
    now_ += 1min;
    session_.OnDisconnected(1, {ErrorCode::kUnavailable, "no route"}, now_);
  }
  EXPECT_FALSE(session_.ended().has_value());
}

TEST_F(SessionTest, SamplesAreSentOnceUnlessTheStreamWasLost) {
  Begin();
  Sent();
  host_.samples = {{ShardId{1}, "k", "POST http://x"}};
  Wait(1s);
  ASSERT_TRUE(host_.sent[0].has_dry_run_samples());
  Reconnect();
  Sent();
  Tell(Welcome({1}), 1);
  ASSERT_TRUE(host_.sent[0].has_dry_run_samples()) << "nobody had confirmed them";
  TellAll(Ack({1}));
  Sent();
  Wait(1s);
  EXPECT_FALSE(host_.sent[0].has_dry_run_samples());
}

TEST_F(SessionTest, TheSourceLearnsWhereALeaseLies) {
  Begin();
  v1::CoordinatorMessage lease = Lease(2, 100, 200);
  lease.mutable_lease()->mutable_extent()->set_offset(77);
  TellAll(lease);
  ASSERT_EQ(host_.extents.size(), 1U);
  EXPECT_EQ(host_.extents[0].offset(), 77U);
}

TEST_F(SessionTest, TroubleWithTheSourceIsToldAtOnceWithEveryReportAndWhenItIsOver) {
  const auto told = [&] {
    std::vector<v1::SourceTrouble::Kind> kinds;
    for (const auto& m : Sent())
      if (m.has_source_trouble()) kinds.push_back(m.source_trouble().kind());
    return kinds;
  };
  Begin();
  Sent();
  session_.SetSourceTrouble(Error{ErrorCode::kUnavailable, "ids.csv: no route"});
  session_.Tick(now_);
  EXPECT_THAT(told(), ::testing::ElementsAre(v1::SourceTrouble::KIND_UNAVAILABLE));
  Wait(1s);
  EXPECT_THAT(told(), ::testing::ElementsAre(v1::SourceTrouble::KIND_UNAVAILABLE));
  Reconnect();
  Tell(Welcome({1}), LastSequence());
  EXPECT_THAT(told(), ::testing::ElementsAre(v1::SourceTrouble::KIND_UNAVAILABLE));
  session_.SetSourceTrouble(std::nullopt);
  session_.Tick(now_);
  EXPECT_THAT(told(), ::testing::ElementsAre(v1::SourceTrouble::KIND_NONE));
  session_.SetSourceTrouble(Error{ErrorCode::kConflict, "ids.csv: changed"});
  session_.Tick(now_);
  EXPECT_THAT(told(), ::testing::ElementsAre(v1::SourceTrouble::KIND_CHANGED));
}

}  // namespace
}  // namespace backfill::worker
