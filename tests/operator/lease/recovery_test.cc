#include "book_fixture.h"

// A new leader over what its predecessor left.
namespace backfill::lease {
namespace {

using ledger::ShardState;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr Epoch kNext{kEpoch.value + 1};

class RecoveryTest : public BookTest {
 protected:
  // Worker a holds shard 0 with 20 records done; some more are reserved; one is pending at least.
  RecoveryTest() {
    Start(9);
    Join(kA);
    Lease(kA, 1);
    Say(kA, {Done({0}, 20)});
    WriteAll();
    report_ = Done({0}, 33);  // what the worker has when the leader is lost
  }
  LeaseReport report_;
};

TEST_F(RecoveryTest, StampsEveryChunkBeforeAnythingElse) {
  LeadAnew(kNext);
  EXPECT_EQ(book_->UrgencyOf(0), Urgency::kWaited);
  WriteAll();
  LeadAnew(kNext);  // stamped already
  EXPECT_EQ(book_->UrgencyOf(0), Urgency::kClean);
}

TEST_F(RecoveryTest, FreezesWhatWasInFlightAndGivesAwayTheRest) {
  LeadAnew(kNext);
  const int frozen = book_->frozen().shards;
  EXPECT_GE(frozen, 2);  // held, and reserved
  EXPECT_EQ(book_->frozen().until, now_ + 65s);
  Join(kB);
  const auto leased = Lease(kB, 1);
  EXPECT_GE(leased[0].id.value, frozen);
  Tick(65s - 1ns);
  EXPECT_EQ(book_->frozen().shards, frozen);
  EXPECT_THAT(Of<LeaseExpired>(Tick(1ns)),
              testing::Contains(testing::Field(&LeaseExpired::holder, "run-0/a")));
  EXPECT_EQ(Get({0}).state, ShardState::kPending);
  EXPECT_GE(ledger_->totals().redone_at_most, 80U);
}

TEST_F(RecoveryTest, WaitsOnlyForTheWireWhenPredecessorsAreProvenGone) {
  LeadAnew(kNext, Predecessors::kProvenGone);
  EXPECT_EQ(book_->frozen().until, now_ + 10s);
}

// How much of a shard counts as sent twice once its worker is lost, 20 of 100 records being done.
class SentBoundsTest : public BookTest {
 protected:
  void Begin() {
    Start(1);
    Join(kA);
    Lease(kA, 1);
    Say(kA, {Done({0}, 20)});
    WriteAll();
  }
  std::uint64_t RedoneAfterTheWire() {
    Tick(10s);
    return ledger_->totals().redone_at_most;
  }
  std::uint64_t RedoneIfGone(const std::optional<SentBounds>& sent) {
    Begin();
    book_->OnWorkerGone("run-0", "a", now_, sent);
    return RedoneAfterTheWire();
  }
  std::uint64_t RedoneUnderASuccessor(const std::map<ShardId, std::uint64_t>& sent) {
    Begin();
    book_.reset();
    book_ = std::make_unique<LeaseBook>(options_, *ledger_, epoch_, now_, Predecessors::kProvenGone,
                                        sent);
    return RedoneAfterTheWire();
  }
};

TEST_F(SentBoundsTest, AreWhatMayHaveBeenSentTwice) {
  EXPECT_EQ(RedoneIfGone(std::nullopt), 80u);
  EXPECT_EQ(RedoneIfGone(SentBounds{{{{0}, {1}}, 27}}), 7u);
  EXPECT_EQ(RedoneIfGone(SentBounds{{{{0}, {1}}, 20}}), 0u);
  EXPECT_EQ(RedoneIfGone(SentBounds{{{{0}, {1}}, 15}}), 0u);
  EXPECT_EQ(RedoneIfGone(SentBounds{{{{0}, {1}}, 1000}}), 80u);
  EXPECT_EQ(RedoneIfGone(SentBounds{{{{0}, {2}}, 27}}), 0u) << "of another attempt";
  EXPECT_EQ(RedoneIfGone(SentBounds{}), 0u) << "it has sent nothing of this shard";
}

TEST_F(SentBoundsTest, HoldForASuccessorToo) {
  EXPECT_EQ(RedoneUnderASuccessor({}), 80u);
  EXPECT_EQ(RedoneUnderASuccessor({{{0}, 27}}), 7u);
}

TEST_F(SentBoundsTest, WhatIsStillReportedCountsAgainstThem) {
  Begin();
  book_->OnWorkerGone("run-0", "a", now_, SentBounds{{{{0}, {1}}, 27}});
  Say(kA, {Done({0}, 25)});
  EXPECT_EQ(RedoneAfterTheWire(), 2u);
}

TEST_F(RecoveryTest, LetsAWorkerKeepWhatItHolds) {
  LeadAnew(kNext);
  now_ += 64s;
  Join(kA, {report_});
  EXPECT_THAT(book_->Kept(kA), ElementsAre(LeaseName{{0}, {1}, kNext}));
  EXPECT_EQ(Get({0}).epoch, kNext);
  Tick(59s);
  EXPECT_EQ(Get({0}).state, ShardState::kInFlight);
}

// The failures among its outcomes come between Hello and Progress, and the predecessor may have
// lost them.
TEST_F(RecoveryTest, CountsOutcomesFromTheFirstProgressOnly) {
  LeadAnew(kNext);
  Join(kA, {report_});
  EXPECT_EQ(Get({0}).cursor, 20);
  Say(kA, {Done({0}, 33)});
  EXPECT_EQ(Get({0}).cursor, 33);
}

TEST_F(RecoveryTest, LetsAWorkerKeepWhatWasOnlyRecordedAsReserved) {
  const ledger::Shard* reserved = nullptr;
  ledger_->ForEach([&](const ledger::Shard& s) {
    if (s.state == ShardState::kInFlight && s.holder.empty()) reserved = &s;
  });
  ASSERT_NE(reserved, nullptr);
  const LeaseReport claim = Untouched(reserved->id);
  LeadAnew(kNext);
  Join(kB, {claim});
  EXPECT_THAT(book_->Kept(kB), ElementsAre(LeaseName{claim.shard, claim.attempt, kNext}));
  Join(kA, {claim});  // and no one else
  EXPECT_THAT(book_->Kept(kA), IsEmpty());
}

TEST_F(RecoveryTest, LetsAWorkerKeepWhatItsPredecessorNeverRecordedUnderItsEpoch) {
  LeadAnew(kNext);
  Join(kA, {report_});
  // That leader is lost too, before anything was written.
  LeadAnew({kNext.value + 1});
  report_.epoch = kNext;
  Join(kA, {report_});
  EXPECT_THAT(book_->Kept(kA), SizeIs(1));
}

struct Refused {
  const char* why;
  void (*change)(LeaseReport&);
};
class RefusedTakeUpTest : public RecoveryTest, public testing::WithParamInterface<Refused> {};

TEST_P(RefusedTakeUpTest, LeavesTheShardFrozen) {
  LeadAnew(kNext);
  GetParam().change(report_);
  EXPECT_THAT(Of<CloseSession>(Join(kA, {report_})), IsEmpty());
  EXPECT_THAT(book_->Kept(kA), IsEmpty());
  EXPECT_THAT(Of<LeaseExpired>(Tick(65s - 1ns)), IsEmpty());
  EXPECT_THAT(Of<LeaseExpired>(Tick(1ns)), SizeIs(1));
}

void PrintTo(const Refused& refused, std::ostream* out) { *out << refused.why; }

const Refused kRefused[] = {
    {"another attempt", [](LeaseReport& r) { r.attempt = {2}; }},
    {"an epoch that has not begun", [](LeaseReport& r) { r.epoch = {kNext.value + 1}; }},
    {"counts that do not add up", [](LeaseReport& r) { r.counts.failed = 5; }},
    {"an end beyond the shard's", [](LeaseReport& r) { r.end = 101; }},
    {"outcomes taken back", [](LeaseReport& r) { r.counts = {.failed = 33}; }},
};
INSTANTIATE_TEST_SUITE_P(All, RefusedTakeUpTest, testing::ValuesIn(kRefused));

TEST_F(RecoveryTest, RefusesAShardThatAnotherProcessHolds) {
  LeadAnew(kNext);
  Join(kB, {report_});
  EXPECT_THAT(book_->Kept(kB), IsEmpty());
}

TEST_F(RecoveryTest, RefusesAShardThatIsPendingOrDone) {
  now_ += 70s;
  Tick();
  WriteAll();
  LeadAnew(kNext);
  Join(kA, {report_});
  EXPECT_THAT(book_->Kept(kA), IsEmpty());
}

TEST_F(RecoveryTest, RevokesWhatWasNotTakenUpAndIsNamedAllTheSame) {
  LeadAnew(kNext);
  Join(kA);
  report_.epoch = kNext;
  EXPECT_THAT(Of<SendRevoke>(Say(kA, {report_})), SizeIs(1));
  EXPECT_EQ(Get({0}).cursor, 20);
}

TEST_F(RecoveryTest, FreesADeadWorkersShardsAfterTheWire) {
  LeadAnew(kNext);
  book_->OnWorkerGone("run-0", "a", now_);
  Tick(10s);
  EXPECT_EQ(Get({0}).state, ShardState::kPending);
  EXPECT_GE(book_->frozen().shards, 1);  // what was reserved may be with anyone
}

TEST_F(RecoveryTest, FreezesNothingWhenThePredecessorPausedFirst) {
  SayDraining(kA, {Done({0}, 33)});
  book_->SetPaused(true);
  WriteAll();
  LeadAnew(kNext);
  EXPECT_EQ(book_->frozen().shards, 0);
  EXPECT_EQ(Get({0}).cursor, 33);
}

using RecoveryDeathTest = RecoveryTest;
TEST_F(RecoveryDeathTest, RefusesToLeadUnderAnOlderEpoch) {
  EXPECT_DEATH(Lead({kEpoch.value - 1}), "");
}

}  // namespace
}  // namespace backfill::lease
