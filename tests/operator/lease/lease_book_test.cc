#include "operator/lease/lease_book.h"

#include <ctime>

#include "book_fixture.h"

namespace backfill::lease {
namespace {

using ledger::ShardState;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

using LeaseBookTest = BookTest;

// ---- granting

TEST_F(LeaseBookTest, GivesAShardOnlyAfterItIsDurablyInFlight) {
  Start(3);
  Join(kA);
  EXPECT_THAT(Of<SendLease>(Say(kA, {}, 1)), IsEmpty());
  EXPECT_THAT(Of<SendLease>(Tick()), IsEmpty());
  EXPECT_EQ(Get({0}).state, ShardState::kInFlight);
  EXPECT_EQ(Get({0}).attempt, Attempt{1});
  EXPECT_EQ(Get({0}).holder, "");
  EXPECT_EQ(book_->UrgencyOf(0), Urgency::kWaited);
  const ledger::ChunkImage image = ledger_->Encode(0, kEpoch);
  EXPECT_THAT(Of<SendLease>(Tick()), IsEmpty());  // written, not confirmed
  book_->OnWritten(0, image.sequence);
  const auto leases = Of<SendLease>(Tick());
  ASSERT_THAT(leases, SizeIs(1));
  EXPECT_EQ(leases[0].session, kA);
  EXPECT_EQ(leases[0].shard.id, ShardId{0});
  EXPECT_EQ(leases[0].shard.epoch, kEpoch);
  EXPECT_EQ(Get({0}).holder, "run-0/a");
  EXPECT_EQ(book_->UrgencyOf(0), Urgency::kWaited);  // the reserve was filled up again
  WriteAll();
  EXPECT_EQ(book_->UrgencyOf(0), Urgency::kClean);
}

TEST_F(LeaseBookTest, AnOlderWriteConfirmsNothingNewer) {
  Start(3);
  const ledger::ChunkImage before = ledger_->Encode(0, kEpoch);
  Join(kA);
  Say(kA, {}, 1);
  Tick();
  book_->OnWritten(0, before.sequence);
  EXPECT_THAT(Of<SendLease>(Tick()), IsEmpty());
}

TEST_F(LeaseBookTest, ServesTheNextRequestFromTheReserve) {
  Start(5);
  Join(kA);
  Lease(kA, 1);
  Say(kA, {Done({0}, 10)}, 1);
  EXPECT_THAT(Of<SendLease>(Tick()), SizeIs(1));  // without any write in between
}

TEST_F(LeaseBookTest, ReservesAheadWhatWasTakenInTheLastTwoSeconds) {
  Start(100, {.max_leases = 8, .max_reserved = 20});
  Join(kA);
  Lease(kA, 8);
  Tick();
  EXPECT_EQ(ledger_->totals().shards_in_flight, 8 + 8 + 1);
  WriteAll();
  Tick(3s);  // what is reserved stays
  EXPECT_EQ(ledger_->totals().shards_in_flight, 8 + 8 + 1);
}

TEST_F(LeaseBookTest, ReservesLessWhereAWriteTakesLessTime) {
  const auto reserved_at_eight_a_second = [this](Duration ahead) {
    Start(100, {.max_leases = 64, .reserve_ahead = ahead});
    Join(kA);
    for (int i = 0; i < 16; ++i) {
      Say(kA, {}, 1);
      Tick(125ms);
      WriteAll();
      Tick();
    }
    return ledger_->totals().shards_in_flight - book_->leases_held();
  };
  EXPECT_GE(reserved_at_eight_a_second(2s), 16);
  EXPECT_LE(reserved_at_eight_a_second(200ms), 4);
}

TEST_F(LeaseBookTest, ReservesNoMoreThanIsAllowed) {
  Start(100, {.max_leases = 64, .max_reserved = 5});
  Join(kA);
  Say(kA, {}, 64);
  Tick();
  EXPECT_EQ(ledger_->totals().shards_in_flight, 5);
}

TEST_F(LeaseBookTest, GivesEachWorkerOneBeforeAnyGetsASecond) {
  Start(2);
  Join(kA);
  Join(kB);
  Say(kA, {}, 2);
  Say(kB, {}, 2);
  Tick();
  WriteAll();
  const auto leases = Of<SendLease>(Tick());
  ASSERT_THAT(leases, SizeIs(2));
  EXPECT_NE(leases[0].session, leases[1].session);
}

TEST_F(LeaseBookTest, GivesNoMoreThanMaxLeases) {
  Start(9, {.max_leases = 2});
  Join(kA);
  Lease(kA, 2);
  Say(kA, {Done({0}, 1), Done({1}, 1)}, 5);
  EXPECT_THAT(Of<SendLease>(Tick()), IsEmpty());
}

TEST_F(LeaseBookTest, GivesNothingToAWorkerThatHasGoneSilent) {
  Start(3);
  Join(kA);
  Say(kA, {}, 1);
  Tick();
  WriteAll();
  EXPECT_THAT(Of<SendLease>(Tick(26s)), IsEmpty());  // half a fence
  Say(kA, {}, 1);
  EXPECT_THAT(Of<SendLease>(Tick()), SizeIs(1));
}

// ---- extending and expiring

TEST_F(LeaseBookTest, AnswersEachMessageWithTheLeasesItExtends) {
  Start(3);
  Join(kA);
  Lease(kA, 2);
  const auto acks = Of<SendAck>(Say(kA, {Done({0}, 5), Untouched({1})}));
  ASSERT_THAT(acks, SizeIs(1));
  EXPECT_EQ(acks[0].answers, sequence_[kA]);
  EXPECT_THAT(acks[0].held, ElementsAre(LeaseName{{0}, {1}, kEpoch}, LeaseName{{1}, {1}, kEpoch}));
  EXPECT_THAT(acks[0].done, IsEmpty());
}

TEST_F(LeaseBookTest, GivesAShardAwayAtTheTtlAfterTheLastMessage) {
  Start(1);
  Join(kA);
  Lease(kA, 1);
  now_ += 59s;
  SayOther(kA);
  EXPECT_THAT(Of<LeaseExpired>(Tick(60s - 1ns)), IsEmpty());
  const auto expired = Of<LeaseExpired>(Tick(1ns));
  ASSERT_THAT(expired, SizeIs(1));
  EXPECT_EQ(expired[0].holder, "run-0/a");
  EXPECT_EQ(ledger_->totals().redone_at_most, 100U);
}

TEST_F(LeaseBookTest, SupersedesTheEarlierAttemptFromWhereItStood) {
  Start(1);
  Join(kA);
  Lease(kA, 1);
  LeaseReport report = Done({0}, 30);
  report.done_above = "\x02";
  ++report.counts.failed;
  Say(kA, {report});
  now_ += 60s;
  Join(kB);
  Say(kB, {}, 1);
  const auto cuts = Of<Supersede>(Tick());
  ASSERT_THAT(cuts, SizeIs(1));
  EXPECT_EQ(cuts[0].next_attempt, Attempt{2});
  EXPECT_EQ(cuts[0].from, 30);
  EXPECT_EQ(cuts[0].done_above, "\x02");
  EXPECT_EQ(ledger_->totals().redone_at_most, 69U);
  WriteAll();
  const auto leases = Of<SendLease>(Tick());
  ASSERT_THAT(leases, SizeIs(1));
  EXPECT_EQ(leases[0].session, kB);
  EXPECT_EQ(leases[0].shard.cursor, 30);
  EXPECT_EQ(leases[0].shard.attempt, Attempt{2});
}

TEST_F(LeaseBookTest, ExpiresEverythingAfterAJumpOfTheClock) {
  Start(4);
  Join(kA);
  Lease(kA, 2);
  EXPECT_THAT(Of<LeaseExpired>(Tick(std::chrono::hours(8))), SizeIs(2));
}

TEST_F(LeaseBookTest, StopsExtendingWhatTheWorkerNoLongerNames) {
  Start(2);
  Join(kA);
  Lease(kA, 2);
  Say(kA, {Untouched({0}), Untouched({1})});
  const auto acks = Of<SendAck>(Say(kA, {Untouched({0})}));
  EXPECT_THAT(acks[0].held, ElementsAre(LeaseName{{0}, {1}, kEpoch}));
  now_ += 50s;
  SayOther(kA);
  Say(kA, {Untouched({0})});
  const auto expired = Of<LeaseExpired>(Tick(10s));
  ASSERT_THAT(expired, SizeIs(1));
  EXPECT_EQ(expired[0].shard, ShardId{1});
}

// The grant and the report may cross.
TEST_F(LeaseBookTest, ListsAFreshLeaseThatTheWorkerDoesNotNameYet) {
  Start(1);
  Join(kA);
  Lease(kA, 1);
  EXPECT_THAT(Of<SendAck>(Say(kA, {}))[0].held, SizeIs(1));
}

TEST_F(LeaseBookTest, GivesUpALeaseThatTheWorkerNeverNames) {
  Start(1);
  Join(kA);
  Lease(kA, 1);
  for (int i = 0; i < 12; ++i) {
    now_ += 10s;
    Say(kA, {});
  }
  EXPECT_THAT(Of<LeaseExpired>(Tick()), SizeIs(1));
}

TEST_F(LeaseBookTest, DropsMessagesOfUnknownSessionsAndRepeatedOnes) {
  Start(1);
  EXPECT_THAT(Say(kA, {}, 1), IsEmpty());
  Join(kA);
  Lease(kA, 1);
  EXPECT_THAT(book_->OnProgress(kA, sequence_[kA], {Done({0}, 5)}, 0, now_), IsEmpty());
  EXPECT_EQ(Get({0}).cursor, 0);
}

// ---- reports

TEST_F(LeaseBookTest, TakesProgressAndIgnoresWhatIsOlder) {
  Start(1);
  Join(kA);
  Lease(kA, 1);
  Say(kA, {Done({0}, 20)});
  EXPECT_EQ(Get({0}).cursor, 20);
  EXPECT_THAT(Of<CloseSession>(Say(kA, {Done({0}, 10)})), IsEmpty());
  EXPECT_EQ(Get({0}).cursor, 20);
}

TEST_F(LeaseBookTest, WritesNothingWhileNothingHappens) {
  Start(1);
  Join(kA);
  Lease(kA, 1);
  Say(kA, {Done({0}, 20)});
  EXPECT_EQ(book_->UrgencyOf(0), Urgency::kCursorsOnly);
  WriteAll();
  LeaseReport same = Done({0}, 20);
  same.in_flight = 9;
  Say(kA, {same});
  Tick(1s);
  EXPECT_EQ(book_->UrgencyOf(0), Urgency::kClean);
}

TEST_F(LeaseBookTest, RevokesWhatNamesAnotherAttemptOrEpoch) {
  Start(1);
  Join(kA);
  Lease(kA, 1);
  LeaseReport old_attempt = Done({0}, 20);
  old_attempt.attempt = {9};
  LeaseReport old_epoch = Done({0}, 20);
  old_epoch.epoch = {kEpoch.value - 1};
  for (const LeaseReport& stale : {old_attempt, old_epoch}) {
    const auto revoked = Of<SendRevoke>(Say(kA, {stale}));
    ASSERT_THAT(revoked, SizeIs(1));
    EXPECT_EQ(revoked[0].lease, (LeaseName{{0}, stale.attempt, stale.epoch}));
  }
  EXPECT_EQ(Get({0}).cursor, 0);
}

TEST_F(LeaseBookTest, RevokesWhatAnotherWorkerHolds) {
  Start(1);
  Join(kA);
  Join(kB);
  Lease(kA, 1);
  EXPECT_THAT(Of<SendRevoke>(Say(kB, {Done({0}, 20)})), SizeIs(1));
  EXPECT_EQ(Get({0}).cursor, 0);
  EXPECT_THAT(book_->Kept(kB), IsEmpty());
}

TEST_F(LeaseBookTest, ClosesASessionThatBreaksTheProtocolAndTakesNothing) {
  Start(3, {.max_leases = 3});
  Join(kA);
  Lease(kA, 2);
  LeaseReport broken = Done({1}, 20);
  broken.cursor = 999;
  EXPECT_EQ(ReasonOfClose(Say(kA, {Done({0}, 20), broken})), "a cursor outside the range");
  EXPECT_EQ(Get({0}).cursor, 0);
  EXPECT_THAT(Say(kA, {}), IsEmpty());
  Join(kA);
  EXPECT_EQ(ReasonOfClose(Say(kA, {Done({2}, 0), Done({2}, 0)})), "a shard is named twice");
  Join(kA);
  LeaseReport nowhere = Done({0}, 0);
  nowhere.shard = {77};
  EXPECT_EQ(ReasonOfClose(Say(kA, {nowhere})), "a shard is named that does not exist");
  Join(kA);
  EXPECT_EQ(ReasonOfClose(Say(kA, std::vector<LeaseReport>(kMaxReports + 1, Done({0}, 0)))),
            "too many leases in one message");
}

// ---- done

TEST_F(LeaseBookTest, ConfirmsAShardAsDoneOnlyWhenThatIsDurable) {
  Start(2);
  Join(kA);
  Lease(kA, 1);
  const auto first = Of<SendAck>(SayDone(kA, Done({0}, 100)));
  EXPECT_THAT(first[0].done, IsEmpty());
  EXPECT_THAT(first[0].held, SizeIs(1));
  EXPECT_EQ(Get({0}).state, ShardState::kDone);
  EXPECT_EQ(book_->UrgencyOf(0), Urgency::kWaited);
  EXPECT_EQ(book_->leases_held(), 0);
  EXPECT_THAT(Of<SendAck>(SayDone(kA, Done({0}, 100)))[0].done, IsEmpty());  // repeated too early
  const auto acks = Of<SendAck>(WriteAll());
  ASSERT_THAT(acks, SizeIs(1));
  EXPECT_EQ(acks[0].answers, sequence_[kA]);
  EXPECT_THAT(acks[0].done, ElementsAre(LeaseName{{0}, {1}, kEpoch}));
  EXPECT_THAT(Of<SendAck>(SayDone(kA, Done({0}, 100)))[0].done,
              ElementsAre(LeaseName{{0}, {1}, kEpoch}));  // repeated: the answer was lost
}

TEST_F(LeaseBookTest, RefusesDoneWithRecordsLeft) {
  Start(1);
  Join(kA);
  Lease(kA, 1);
  EXPECT_EQ(ReasonOfClose(SayDone(kA, Done({0}, 99))),
            "a shard is reported as done with records left");
  EXPECT_EQ(Get({0}).state, ShardState::kInFlight);
}

TEST_F(LeaseBookTest, TellsThatThereIsNoMoreWorkOnceAllIsDurablyDone) {
  Start(1);
  Join(kA);
  Join(kB);
  Lease(kA, 1);
  SayDone(kA, Done({0}, 100));
  EXPECT_THAT(Of<SendNoMoreWork>(Tick()), IsEmpty());
  WriteAll();
  EXPECT_THAT(Of<SendNoMoreWork>(Tick()), SizeIs(2));
  EXPECT_THAT(Of<SendNoMoreWork>(Tick()), IsEmpty());
  LeadAnew({kEpoch.value + 1});
  Join(kA);
  EXPECT_THAT(Of<SendNoMoreWork>(Tick()), SizeIs(1));
}

TEST_F(LeaseBookTest, HasNoWorkInAnEmptyPlan) {
  Start(0);
  Join(kA);
  EXPECT_THAT(Of<SendNoMoreWork>(Tick()), SizeIs(1));
}

// ---- giving back

TEST_F(LeaseBookTest, GivesDrainedShardsAwayAtOnceFromWhereTheyStand) {
  Start(2);
  Join(kA);
  Join(kB);
  Lease(kA, 2);
  Say(kB, {}, 2);
  const auto acks = Of<SendAck>(SayDraining(kA, {Done({0}, 40), Done({1}, 100)}));
  EXPECT_THAT(acks[0].held, ElementsAre(LeaseName{{1}, {1}, kEpoch}));  // done, not durable yet
  Tick();
  WriteAll();
  const auto leases = Of<SendLease>(Tick());
  ASSERT_THAT(leases, SizeIs(1));
  EXPECT_EQ(leases[0].session, kB);
  EXPECT_EQ(leases[0].shard.cursor, 40);
  EXPECT_EQ(ledger_->totals().redone_at_most, 0U);
  EXPECT_THAT(Of<SendLease>(Say(kA, {}, 2)), IsEmpty());
}

TEST_F(LeaseBookTest, WaitsForTheWireWhenAWorkerIsKnownToBeDead) {
  Start(1);
  Join(kA);
  Lease(kA, 1);
  book_->OnWorkerGone("run-0", "a", now_);
  EXPECT_EQ(book_->frozen().shards, 1);
  EXPECT_EQ(book_->frozen().until, now_ + 10s);
  Say(kA, {Done({0}, 25)});  // what its stream still delivers counts, and extends nothing
  EXPECT_EQ(Get({0}).cursor, 25);
  EXPECT_THAT(Of<LeaseExpired>(Tick(10s - 1ns)), IsEmpty());
  EXPECT_THAT(Of<LeaseExpired>(Tick(1ns)), SizeIs(1));
  EXPECT_EQ(ledger_->totals().redone_at_most, 75U);
}

TEST_F(LeaseBookTest, DoesNotBelieveTheHelloOfADeadProcess) {
  Start(1);
  book_->OnWorkerGone("run-0", "a", now_);
  EXPECT_EQ(ReasonOfClose(Join(kA)), "this process has ended");
}

TEST_F(LeaseBookTest, KeepsTheLeasesOfALostStreamUntilTheyExpire) {
  Start(1);
  Join(kA);
  Lease(kA, 1);
  book_->OnDisconnect(kA);
  EXPECT_EQ(book_->frozen().shards, 1);
  EXPECT_THAT(Of<LeaseExpired>(Tick(59s)), IsEmpty());
  EXPECT_THAT(Of<LeaseExpired>(Tick(1s)), SizeIs(1));
}

// ---- streams and processes

TEST_F(LeaseBookTest, MovesLeasesToANewStreamOfTheSameProcess) {
  Start(2);
  Join(kA);
  Lease(kA, 2);
  const SessionId again{9};
  const Effects effects = book_->OnHello(again, "run-0", "a", {Done({0}, 10)}, now_);
  EXPECT_EQ(ReasonOfClose(effects), "replaced by a newer stream of this process");
  EXPECT_THAT(book_->Kept(again), ElementsAre(LeaseName{{0}, {1}, kEpoch}));
  // The other one was not named: its grant may be on its way on the old stream. It runs out.
  now_ += 59s;
  Say(again, {Done({0}, 10)});
  const auto expired = Of<LeaseExpired>(Tick(1s));
  ASSERT_THAT(expired, SizeIs(1));
  EXPECT_EQ(expired[0].shard, ShardId{1});
}

TEST_F(LeaseBookTest, PrefersTheNewerProcessOfAWorkerAndWaitsForTheOlder) {
  Start(2);
  Join(kA);
  Lease(kA, 1);
  const SessionId newer{9};
  const Effects effects = book_->OnHello(newer, "run-0", "a2", {Done({0}, 0)}, now_);
  EXPECT_EQ(ReasonOfClose(effects), "replaced by a newer process of this worker");
  EXPECT_THAT(book_->Kept(newer), IsEmpty());
  EXPECT_EQ(Get({0}).holder, "run-0/a");
  EXPECT_THAT(Of<LeaseExpired>(Tick(60s - 1ns)), IsEmpty());
  EXPECT_THAT(Of<LeaseExpired>(Tick(1ns)), SizeIs(1));
}

TEST_F(LeaseBookTest, RefusesNamesThatCannotBeAHolder) {
  Start(1);
  for (const char* name : {"", "a/b", "a b", "\x01", "\xC3\xA9"}) {
    EXPECT_THAT(Of<CloseSession>(book_->OnHello(kA, name, "a", {}, now_)), SizeIs(1));
    EXPECT_THAT(Of<CloseSession>(book_->OnHello(kA, "run-0", name, {}, now_)), SizeIs(1));
  }
  EXPECT_THAT(Of<CloseSession>(book_->OnHello(kA, std::string(121, 'x'), "a", {}, now_)),
              SizeIs(1));
  Join(kA);
  EXPECT_EQ(ReasonOfClose(Join(kA)), "a second Hello on one stream");
}

// ---- pausing

TEST_F(LeaseBookTest, GivesNothingWhilePausedAndLeavesNothingReserved) {
  Start(5);
  Join(kA);
  Lease(kA, 1);
  EXPECT_GT(ledger_->totals().shards_in_flight, 1);
  book_->SetPaused(true);
  EXPECT_EQ(ledger_->totals().shards_in_flight, 1);
  EXPECT_THAT(Of<SendAck>(Say(kA, {Done({0}, 5)}, 1)), SizeIs(1));
  EXPECT_THAT(Of<SendLease>(Tick()), IsEmpty());
  WriteAll();
  EXPECT_THAT(Of<SendLease>(Tick()), IsEmpty());
  book_->SetPaused(false);
  Tick();
  WriteAll();
  const auto leases = Of<SendLease>(Tick());
  ASSERT_THAT(leases, SizeIs(1));
  EXPECT_EQ(leases[0].shard.attempt, Attempt{2});  // the first one was never given to anyone
}

TEST_F(LeaseBookTest, ForgetsAReservationThatWasTakenBackBeforeItsWrite) {
  Start(1);
  Join(kA);
  Say(kA, {}, 1);
  Tick();
  const ledger::ChunkImage first = ledger_->Encode(0, kEpoch);
  book_->SetPaused(true);
  book_->SetPaused(false);
  Tick();  // reserves it again, as attempt 2
  book_->OnWritten(0, first.sequence);
  EXPECT_THAT(Of<SendLease>(Tick()), IsEmpty());
  WriteAll();
  EXPECT_EQ(Of<SendLease>(Tick())[0].shard.attempt, Attempt{2});
}

// ---- size

TEST_F(LeaseBookTest, HandsOutAHundredThousandShardsQuickly) {
  Start(100'000, {.max_leases = 64});
  const std::clock_t begin = std::clock();  // of the processor, as others may keep it busy
  Join(kA);
  int leased = 0;
  for (int i = 0; i < 200; ++i) {
    std::vector<LeaseReport> reports;
    Say(kA, {}, 64);
    for (const SendLease& e : Of<SendLease>(Tick())) {
      ++leased;
      SayDone(kA, Done(e.shard.id, 100));
    }
    WriteAll();
  }
  EXPECT_GT(leased, 10'000);
  EXPECT_LT((std::clock() - begin) / CLOCKS_PER_SEC, 20);  // 2 in a debug build
}

// ---- options

TEST(LeaseOptionsTest, AreValidatedForWhatFencingNeeds) {
  EXPECT_EQ(LeaseOptions{}.Validate(), "");
  EXPECT_EQ((LeaseOptions{.ttl = 59s}).Validate(), "ttl must be at least fence + wire_time");
  EXPECT_EQ((LeaseOptions{.wire_time = 11s}).Validate(), "ttl must be at least fence + wire_time");
  EXPECT_EQ((LeaseOptions{.recovery_freeze = 59s}).Validate(),
            "recovery_freeze must be at least ttl");
  EXPECT_EQ((LeaseOptions{.fence = 0s}).Validate(), "fence must be positive");
  EXPECT_EQ((LeaseOptions{.wire_time = -1s}).Validate(), "wire_time must not be negative");
  EXPECT_NE((LeaseOptions{.max_leases = 0}).Validate(), "");
  EXPECT_NE((LeaseOptions{.max_reserved = 0}).Validate(), "");
  EXPECT_NE((LeaseOptions{.reserve_ahead = -1s}).Validate(), "");
  EXPECT_NE((LeaseOptions{.min_split = 0}).Validate(), "");
}

}  // namespace
}  // namespace backfill::lease
