#include "operator/lease/straggler.h"

#include "book_fixture.h"

// The tail of the work: what one worker still has is shared with those that are idle.
namespace backfill::lease {
namespace {

using ledger::ShardState;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class StragglerTest : public BookTest {
 protected:
  // Worker a has so many shards, and there is nothing else; worker b asks for work.
  void Begin(int shards, LeaseOptions options = {.min_split = 10}) {
    Start(shards, options);
    Join(kA);
    Lease(kA, shards);
    Join(kB);
    Ask();
  }
  void Ask() { Say(kB, {}, 1); }
  LeaseReport Shrunk(ShardId shard, std::uint64_t done, Position end) {
    LeaseReport r = Done(shard, done);
    r.end = end;
    return r;
  }
};

TEST_F(StragglerTest, AsksForHalfOfTheRest) {
  Begin(1);
  EXPECT_THAT(Of<SendShrink>(Tick()), IsEmpty());  // its worker has not spoken of it yet
  Say(kA, {Done({0}, 20)});
  const auto shrinks = Of<SendShrink>(Tick());
  ASSERT_THAT(shrinks, SizeIs(1));
  EXPECT_EQ(shrinks[0].session, kA);
  EXPECT_EQ(shrinks[0].end, 60);
  EXPECT_THAT(Of<SendShrink>(Tick()), IsEmpty());  // one at a time
}

TEST_F(StragglerTest, LeasesTheRestOnceTheSplitIsDurable) {
  Begin(1);
  Say(kA, {Done({0}, 20)});
  Tick();
  Say(kA, {Shrunk({0}, 25, 63)});  // it had sent up to 62
  EXPECT_EQ(Get({0}).range, (Range{0, 63}));
  EXPECT_EQ(Get({500}).range, (Range{63, 100}));
  EXPECT_THAT(Of<SendLease>(Tick()), IsEmpty());
  WriteAll();
  const auto leases = Of<SendLease>(Tick());
  ASSERT_THAT(leases, SizeIs(1));
  EXPECT_EQ(leases[0].session, kB);
  EXPECT_EQ(leases[0].shard.range, (Range{63, 100}));
  SayDone(kA, Done({0}, 63));
  SayDone(kB, Done({500}, 37));
  EXPECT_TRUE(ledger_->AllDone());
}

TEST_F(StragglerTest, TakesAShardThatWaitsBehindAnotherOneWhole) {
  Begin(2);
  Say(kA, {Done({0}, 20), Untouched({1})});
  const auto shrinks = Of<SendShrink>(Tick());
  ASSERT_THAT(shrinks, SizeIs(1));
  EXPECT_EQ(shrinks[0].lease.shard, ShardId{1});
  EXPECT_EQ(shrinks[0].end, 100);  // its begin
  LeaseReport returned = Untouched({1});
  returned.end = 100;
  const auto acks = Of<SendAck>(Say(kA, {Done({0}, 20), returned}));
  EXPECT_THAT(acks[0].held, ElementsAre(LeaseName{{0}, {1}, kEpoch}));
  EXPECT_EQ(Get({1}).state, ShardState::kPending);
  EXPECT_THAT(Of<Supersede>(Tick()), SizeIs(1));
  WriteAll();
  EXPECT_EQ(Of<SendLease>(Tick())[0].shard.attempt, Attempt{2});
  EXPECT_EQ(ledger_->totals().redone_at_most, 0U);
}

TEST_F(StragglerTest, TakesAnUntouchedShardBackAlsoAsDone) {
  Begin(2);
  Say(kA, {Done({0}, 20), Untouched({1})});
  Tick();
  LeaseReport returned = Untouched({1});
  returned.end = 100;
  EXPECT_THAT(Of<CloseSession>(SayDone(kA, returned)), IsEmpty());
  EXPECT_EQ(Get({1}).state, ShardState::kPending);
  EXPECT_THAT(Of<SendRevoke>(SayDone(kA, returned)), SizeIs(1));  // repeated
}

TEST_F(StragglerTest, LeavesSmallRestsAlone) {
  Begin(1);
  Say(kA, {Done({0}, 81)});
  EXPECT_THAT(Of<SendShrink>(Tick()), IsEmpty());
}

TEST_F(StragglerTest, AsksAgainOnlyAfterTheWorkerCouldHaveAnswered) {
  Begin(1);
  Say(kA, {Done({0}, 20)});
  Tick();
  Say(kA, {Done({0}, 22)});  // was under way
  Ask();
  EXPECT_THAT(Of<SendShrink>(Tick()), IsEmpty());
  Say(kA, {Done({0}, 24)});  // the answer: nothing to give
  Ask();
  EXPECT_THAT(Of<SendShrink>(Tick()), SizeIs(1));
}

TEST_F(StragglerTest, AsksNoOneWhileThereIsOtherWorkOrNoOneIsIdle) {
  Start(3, {.min_split = 10});
  Join(kA);
  Lease(kA, 1);
  Say(kA, {Done({0}, 20)}, 1);
  EXPECT_THAT(Of<SendShrink>(Tick()), IsEmpty());
}

TEST_F(StragglerTest, GivesARestWithoutASlotOutAgainWhenTheLeaseEnds) {
  Begin(1, {.min_split = 1});
  Say(kA, {Done({0}, 1)});
  // All slots of the chunk are taken. No worker could have done that alone, hence by hand.
  plan::Plan plan{.hash = "sha256:cafe"};
  plan.shards.push_back({{0, 2000}, 2000});
  *ledger_ = ledger::Ledger::FromPlan(plan);
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(ledger_->Split({0}, 1999 - i).ok());
  Lead(kEpoch);
  Join(kA);
  Lease(kA, 1);
  EXPECT_THAT(Of<CloseSession>(Say(kA, {Shrunk({0}, 10, 700)})), IsEmpty());
  EXPECT_EQ(Get({0}).range.end, 1500);
  const Effects effects = SayDone(kA, Shrunk({0}, 700, 700));
  EXPECT_THAT(Of<SendRevoke>(effects), SizeIs(1));
  EXPECT_EQ(Get({0}).state, ShardState::kPending);
  EXPECT_EQ(Get({0}).cursor, 700);
}

TEST_F(StragglerTest, AsksTheLongestFirstAndEachWorkerOnce) {
  Start(4, {.max_leases = 2, .min_split = 10});
  LeaseTable table;
  table.Open(kA, "run-0", "run-0/a", now_);
  table.Open(kB, "run-1", "run-1/b", now_);
  for (int i = 0; i < 4; ++i) {
    ledger::Shard s = Get({i});
    s.state = ShardState::kInFlight;
    s.attempt = {1};
    s.cursor = s.range.begin + 10 * (i + 1);
    s.counts.updated = static_cast<std::uint64_t>(10 * (i + 1));
    ledger_->Update(s);
    table.Put({i}, {.attempt = {1}, .naming = Naming::kNamed});
    table.Attach({i}, i < 2 ? kA : kB);
  }
  const auto chosen = ChooseShrinks(table, *ledger_, 5, 10);
  ASSERT_THAT(chosen, SizeIs(2));
  EXPECT_EQ(chosen[0].shard, ShardId{0});
  EXPECT_EQ(chosen[0].end, 55);
  EXPECT_EQ(chosen[1].shard, ShardId{2});
  EXPECT_THAT(ChooseShrinks(table, *ledger_, 1, 10), SizeIs(1));
}

}  // namespace
}  // namespace backfill::lease
