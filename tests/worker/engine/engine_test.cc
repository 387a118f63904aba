#include "worker/engine/engine.h"

#include <deque>
#include <functional>

namespace backfill::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

BatchResult Answer(Outcome outcome) { return {.verdict = {outcome, {}, {}}, .latency = 1ms}; }
BatchResult Failure(FailureClass failure, Delivery delivery = Delivery::kAnswered) {
  return {.delivery = delivery, .verdict = {Outcome::kFailed, failure, "broken"}, .latency = 1ms};
}

class EngineTest : public ::testing::Test {
 protected:
  void Make(std::uint32_t batch = 1,
            EngineLimits limits = {.concurrency = 4, .attempts = 3, .retry_budget_percent = 100}) {
    engine_ = std::make_unique<Engine>(EngineOptions{.batch_size = batch}, limits);
    Grant(1e9, 1e9);
    now_ += 1s;
  }
  void Grant(double rate, double burst, Duration valid = 24h) {
    engine_->SetGrant({++grants_, rate, burst, now_ + valid}, now_);
  }
  LeaseKey Lease(Range range, std::int32_t shard = 1, std::uint32_t attempt = 1) {
    const LeaseKey key{ShardId{shard}, Attempt{attempt}};
    const auto sequence = engine_->clock().OnSend(now_);
    const Status added = engine_->AddLease(
        {.key = key, .range = range, .cursor = range.begin, .done_above = {}, .counts = {}},
        sequence, now_);
    EXPECT_TRUE(added.ok());
    return key;
  }
  void Read() {
    while (const auto wants = engine_->WantsRecords()) {
      std::vector<Record> records;
      for (std::uint64_t i = 0; i < wants->max; ++i) {
        const Position p = Advance(wants->from, i);
        records.push_back({.position = p, .key = std::to_string(p)});
      }
      ASSERT_TRUE(engine_->OnRecords(wants->run, std::move(records)).ok());
    }
  }
  // The next request that starts now, if one does.
  std::optional<Dispatch> Next() {
    Read();
    return engine_->Next(now_);
  }
  static std::vector<Position> Positions(const Dispatch& d) {
    std::vector<Position> out;
    for (const Record& r : *d.records) out.push_back(r.position);
    return out;
  }
  // Waits for it as long as it takes, up to a minute.
  Dispatch NextWithin(Duration limit = 1min) {
    const Time deadline = now_ + limit;
    while (now_ <= deadline) {
      if (const auto d = Next()) return *d;
      now_ += 10ms;
    }
    ADD_FAILURE() << "nothing was sent";
    return {};
  }
  void Finish(const Dispatch& d, BatchResult result) {
    engine_->OnResult(d.slot, std::move(result), now_);
  }
  LeaseState State(const LeaseKey& key) const {
    for (const LeaseState& s : engine_->Leases()) {
      if (s.key == key) return s;
    }
    ADD_FAILURE() << "the lease is gone";
    return {};
  }
  // Sends whatever may go, answers it `latency` later, renews the lease, for so long.
  void Run(const LeaseKey& key, Duration lasts, Duration latency,
           const std::function<BatchResult()>& answer) {
    std::deque<std::pair<Time, Dispatch>> under_way;
    for (const Time until = now_ + lasts; now_ < until; now_ += 5ms) {
      engine_->clock().Extend(key, engine_->clock().OnSend(now_), now_);
      for (; !under_way.empty() && under_way.front().first <= now_; under_way.pop_front())
        Finish(under_way.front().second, answer());
      while (const auto d = Next()) under_way.emplace_back(now_ + latency, *d);
    }
    for (const auto& [due, d] : under_way) Finish(d, answer());
  }
  std::vector<FailedRecord> Failures() { return engine_->failures().Take(1).failures; }

  Time now_{1h};
  std::uint64_t grants_ = 0;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, SendsNoMoreThanItsConcurrencyAtATime) {
  Make();
  Lease({0, 100});
  std::deque<Dispatch> sent;
  while (const auto d = Next()) sent.push_back(*d);
  EXPECT_EQ(sent.size(), 4u);
  Finish(sent.front(), Answer(Outcome::kUpdated));
  EXPECT_TRUE(Next().has_value());
  EXPECT_FALSE(Next().has_value());
}

TEST_F(EngineTest, AChangeOfLimitsActsAtOnce) {
  Make();
  Lease({0, 100});
  engine_->SetLimits({.concurrency = 1, .attempts = 3, .retry_budget_percent = 10});
  ASSERT_TRUE(Next().has_value());
  EXPECT_FALSE(Next().has_value());
  engine_->SetLimits({.concurrency = 3, .attempts = 3, .retry_budget_percent = 10});
  EXPECT_TRUE(Next().has_value());
}

TEST_F(EngineTest, CountsOutcomesAndMovesTheCursor) {
  Make();
  const LeaseKey key = Lease({0, 4});
  const Outcome outcomes[] = {Outcome::kUpdated, Outcome::kUnchanged, Outcome::kSkipped,
                              Outcome::kUpdated};
  const auto before = engine_->news();
  for (const Outcome o : outcomes) Finish(*Next(), Answer(o));
  EXPECT_TRUE(State(key).complete);
  EXPECT_EQ(State(key).counts,
            (OutcomeCounts{.updated = 2, .unchanged = 1, .skipped = 1, .failed = 0}));
  EXPECT_EQ(engine_->news(), before + 1);
}

TEST_F(EngineTest, SendsNothingWithoutAGrantWhilePausedOrWhenDraining) {
  engine_ = std::make_unique<Engine>(EngineOptions{}, EngineLimits{});
  Lease({0, 100});
  EXPECT_FALSE(Next().has_value());
  Grant(100, 100);
  now_ += 1s;
  engine_->SetPaused(true);
  EXPECT_FALSE(Next().has_value());
  engine_->SetPaused(false);
  EXPECT_TRUE(Next().has_value());
  engine_->Drain();
  EXPECT_FALSE(Next().has_value());
  EXPECT_EQ(engine_->LeasesWanted(), 0u);
}

TEST_F(EngineTest, SendsNothingOnceTheFenceHasPassed) {
  Make();
  const LeaseKey key = Lease({0, 100});
  now_ += 50s - 1ns;
  EXPECT_TRUE(Next().has_value());
  now_ += 1ns;
  EXPECT_FALSE(Next().has_value());
  EXPECT_THAT(engine_->Expire(now_), ElementsAre(key));
  EXPECT_FALSE(engine_->Holds(key));
}

TEST_F(EngineTest, ARetryStopsAtTheFence) {
  Make();
  Lease({0, 1});
  Finish(*Next(), Failure(FailureClass::kTransient));
  now_ += 50s - 1ns;
  engine_->Expire(now_);
  now_ += 1ns;  // due for long, and a moment too late
  EXPECT_FALSE(Next().has_value());
}

TEST_F(EngineTest, TheHalvesOfABatchStopAtTheFence) {
  Make(2);
  Lease({0, 2});
  Finish(*Next(), Failure(FailureClass::kPermanent));
  now_ += 50s;
  EXPECT_FALSE(Next().has_value());
  engine_->Expire(now_);
  EXPECT_FALSE(Next().has_value());
}

TEST_F(EngineTest, AnAnswerForALostLeaseCountsForNobody) {
  Make();
  const LeaseKey key = Lease({0, 100});
  const auto d = *Next();
  engine_->DropLease(key);
  const LeaseKey again = Lease({0, 100});
  ASSERT_EQ(again, key);
  Finish(d, Answer(Outcome::kUpdated));
  EXPECT_EQ(State(again).counts.total(), 0u) << "it was sent under an earlier run of that lease";
  EXPECT_EQ(State(again).in_flight, 0u);
}

TEST_F(EngineTest, RefusesALeaseThatContradictsItselfOrComesTooLate) {
  Make();
  const auto sequence = engine_->clock().OnSend(now_);
  LeaseOffer offer{.key = {ShardId{1}, Attempt{1}},
                   .range = {0, 10},
                   .cursor = 11,
                   .done_above = {},
                   .counts = {}};
  EXPECT_EQ(engine_->AddLease(offer, sequence, now_).error().code, ErrorCode::kInvalid);
  offer.cursor = 0;
  EXPECT_EQ(engine_->AddLease(offer, sequence + 1, now_).error().code, ErrorCode::kExpired);
  EXPECT_EQ(engine_->AddLease(offer, sequence, now_ + 50s).error().code, ErrorCode::kExpired);
  EXPECT_THAT(engine_->Leases(), IsEmpty());
}

TEST_F(EngineTest, TakesWhatWasOnItsWayWhenItAskedForMoreAndNotAnyNumber) {
  Make();
  const auto sequence = engine_->clock().OnSend(now_);
  LeaseOffer offer{
      .key = {ShardId{0}, Attempt{1}}, .range = {0, 10}, .done_above = {}, .counts = {}};
  for (std::int32_t shard = 0; shard < 2 + 64 + 256; ++shard) {
    offer.key.shard = ShardId{shard};
    ASSERT_TRUE(engine_->AddLease(offer, sequence, now_).ok());
  }
  EXPECT_EQ(engine_->LeasesWanted(), 0u);
  offer.key.shard = ShardId{2 + 64 + 256};
  EXPECT_EQ(engine_->AddLease(offer, sequence, now_).error().code, ErrorCode::kAborted);
}

TEST_F(EngineTest, AsksForLeasesWhileItHasRoom) {
  Make();
  EXPECT_EQ(engine_->LeasesWanted(), 2u);
  Lease({0, 1}, 1);
  EXPECT_EQ(engine_->LeasesWanted(), 1u);
  Finish(*Next(), Answer(Outcome::kUpdated));
  EXPECT_EQ(engine_->LeasesWanted(), 2u)
      << "one that is complete waits for its acknowledgement only";
}

TEST_F(EngineTest, WorksOnTheOldestLeaseFirst) {
  Make();
  Lease({100, 102}, 2);
  Lease({0, 100}, 1);
  EXPECT_THAT(Positions(*Next()), ElementsAre(100));
  EXPECT_THAT(Positions(*Next()), ElementsAre(101));
  EXPECT_THAT(Positions(*Next()), ElementsAre(0));
}

TEST_F(EngineTest, RetriesWithBackOffUntilItWorks) {
  Make();
  const LeaseKey key = Lease({0, 1});
  Finish(*Next(), Failure(FailureClass::kTransient));
  EXPECT_FALSE(Next().has_value());
  EXPECT_GT(engine_->wake_at(), now_ + 49ms);
  EXPECT_LE(engine_->wake_at(), now_ + 100ms);
  Finish(NextWithin(100ms), Failure(FailureClass::kTimeout));
  Finish(NextWithin(), Answer(Outcome::kUpdated));
  EXPECT_TRUE(State(key).complete);
  EXPECT_EQ(engine_->stats().attempts, 3u);
  EXPECT_EQ(engine_->stats().retries, 2u);
}

TEST_F(EngineTest, FailsARecordThatRunsOutOfAttemptsWithTheLastClass) {
  Make();
  const LeaseKey key = Lease({7, 8});
  Finish(NextWithin(), Failure(FailureClass::kTransient));
  Finish(NextWithin(), Failure(FailureClass::kTransient));
  Finish(NextWithin(), Failure(FailureClass::kTimeout, Delivery::kUnanswered));
  EXPECT_EQ(State(key).counts.failed, 1u);
  EXPECT_THAT(Failures(), ElementsAre(FailedRecord{.position = 7,
                                                   .key = "7",
                                                   .failure = FailureClass::kTimeout,
                                                   .attempts = 3,
                                                   .message = "sent, no answer: broken"}));
}

TEST_F(EngineTest, DoesNotRetryWhatIsPermanentOrAConflict) {
  Make();
  Lease({0, 2});
  Finish(*Next(), Failure(FailureClass::kPermanent));
  Finish(*Next(), Failure(FailureClass::kConflict));
  const auto failures = Failures();
  ASSERT_THAT(failures, SizeIs(2));
  EXPECT_EQ(failures[0].failure, FailureClass::kPermanent);
  EXPECT_EQ(failures[1].failure, FailureClass::kConflict);
  EXPECT_EQ(failures[1].attempts, 1u);
}

TEST_F(EngineTest, RetriesATransientBatchAsABatch) {
  Make(3);
  Lease({0, 3});
  Finish(*Next(), Failure(FailureClass::kTransient));
  EXPECT_THAT(Positions(NextWithin()), ElementsAre(0, 1, 2));
}

TEST_F(EngineTest, BisectsUntilThePoisonRecordStandsAlone) {
  Make(8);
  const LeaseKey key = Lease({0, 8});
  int requests = 0;
  while (!State(key).complete && requests < 100) {
    const Dispatch d = NextWithin();
    ++requests;
    const auto positions = Positions(d);
    const bool poisoned = std::find(positions.begin(), positions.end(), 5) != positions.end();
    Finish(d, poisoned ? Failure(FailureClass::kPermanent) : Answer(Outcome::kUpdated));
  }
  EXPECT_EQ(State(key).counts,
            (OutcomeCounts{.updated = 7, .unchanged = 0, .skipped = 0, .failed = 1}));
  EXPECT_EQ(requests, 7) << "8; 4 and 4; 2 and 2; 1 and 1";
  const auto failures = Failures();
  ASSERT_THAT(failures, SizeIs(1));
  EXPECT_EQ(failures[0].position, 5);
}

TEST_F(EngineTest, ABatchThatRunsOutOfAttemptsIsSplitSoThatOneRecordCannotFailTheOthers) {
  Make(4);
  const LeaseKey key = Lease({0, 4});
  int requests = 0;
  while (!State(key).complete && requests < 100) {
    const Dispatch d = NextWithin();
    ++requests;
    const auto positions = Positions(d);
    const bool poisoned = std::find(positions.begin(), positions.end(), 2) != positions.end();
    Finish(d, poisoned ? Failure(FailureClass::kTransient) : Answer(Outcome::kUpdated));
  }
  EXPECT_EQ(State(key).counts.updated, 3u);
  EXPECT_EQ(State(key).counts.failed, 1u);
  EXPECT_EQ(requests, 3 + 2 + 2);
}

TEST_F(EngineTest, HonoursWhatAReplySaysOfEachRecord) {
  Make(4);
  const LeaseKey key = Lease({0, 4});
  BatchResult r{.per_record = true};
  r.verdict = {Outcome::kFailed, FailureClass::kTransient, "left out"};
  r.records = {{0, {Outcome::kUpdated, {}, {}}},
               {1, {Outcome::kFailed, FailureClass::kPermanent, "no such order"}},
               {2, {Outcome::kSkipped, {}, {}}}};
  Finish(*Next(), r);
  EXPECT_EQ(State(key).counts,
            (OutcomeCounts{.updated = 1, .unchanged = 0, .skipped = 1, .failed = 1}));
  EXPECT_THAT(Positions(NextWithin()), ElementsAre(3)) << "left out, so once more";
}

TEST_F(EngineTest, IgnoresIndexesThatAReplyMakesUp) {
  Make(2);
  const LeaseKey key = Lease({0, 2});
  BatchResult r{.per_record = true};
  r.verdict = {Outcome::kFailed, FailureClass::kTransient, "left out"};
  r.records = {{0, {Outcome::kUpdated, {}, {}}},
               {0, {Outcome::kSkipped, {}, {}}},
               {99, {Outcome::kUpdated, {}, {}}}};
  Finish(*Next(), r);
  EXPECT_EQ(State(key).counts.total(), 1u);
}

TEST_F(EngineTest, RetryAfterHoldsBackTheWholeTarget) {
  Make();
  Lease({0, 100});
  BatchResult r = Failure(FailureClass::kTransient);
  r.retry_after = 3s;
  Finish(*Next(), r);
  EXPECT_FALSE(Next().has_value());
  EXPECT_EQ(engine_->wake_at(), now_ + 3s);
  now_ += 3s;
  EXPECT_TRUE(Next().has_value());
}

TEST_F(EngineTest, SaysHowLongTheTargetWantsToBeLeftAlone) {
  Make();
  Lease({0, 100});
  EXPECT_EQ(engine_->AskedToHold(now_), 0s);
  const Dispatch second = *Next();
  const auto before = engine_->news();
  BatchResult r = Failure(FailureClass::kTransient);
  r.retry_after = 3s;
  Finish(*Next(), r);
  EXPECT_EQ(engine_->news(), before + 1) << "others should not wait a period for it";
  Finish(second, r);
  EXPECT_EQ(engine_->news(), before + 1) << "but it is said once";
  now_ += 1s;
  EXPECT_EQ(engine_->AskedToHold(now_), 2s);
  BatchResult down = Failure(FailureClass::kTransient, Delivery::kNotSent);
  down.unreachable = true;
  now_ += 2s;
  Finish(*Next(), down);
  EXPECT_EQ(engine_->AskedToHold(now_), 0s) << "nobody asked";
}

TEST_F(EngineTest, WhatWasWithdrawnBeforeItLeftCostsNoAttempt) {
  Make(1, {.concurrency = 4, .attempts = 1, .retry_budget_percent = 0});
  const LeaseKey key = Lease({0, 2});
  const Dispatch first = *Next(), second = *Next();
  engine_->SetPaused(true);
  EXPECT_TRUE(engine_->stopped());
  BatchResult withdrawn = Failure(FailureClass::kTransient, Delivery::kNotSent);
  withdrawn.withdrawn = true;
  Finish(first, withdrawn);
  Finish(second, withdrawn);
  EXPECT_EQ(State(key).in_flight, 0u);
  EXPECT_FALSE(Next().has_value());
  engine_->SetPaused(false);
  const Dispatch again = *Next();
  EXPECT_THAT(Positions(again), ElementsAre(0));
  Finish(again, Failure(FailureClass::kPermanent));
  Finish(*Next(), Answer(Outcome::kUpdated));
  EXPECT_THAT(Failures(), ElementsAre(testing::Field(&FailedRecord::attempts, 1u)));
  EXPECT_EQ(State(key).counts.updated, 1u);
}

TEST_F(EngineTest, ASourceThatHasNotWhatItShouldHaveIsAnError) {
  Make();
  Lease({5, 100});
  const auto wants = engine_->WantsRecords();
  ASSERT_TRUE(wants.has_value());
  EXPECT_EQ(engine_->OnRecords(wants->run, {}).error().code, ErrorCode::kInvalid);
  EXPECT_FALSE(engine_->OnRecords(wants->run, {{.position = 6, .key = "6"}}).ok());
  EXPECT_TRUE(engine_->OnRecords(wants->run, {{.position = 5, .key = "5"}}).ok());
}

TEST_F(EngineTest, AShortOutageOfTheTargetFailsNoRecordALongOneDoes) {
  Make(1, {.concurrency = 16, .attempts = 3, .retry_budget_percent = 10});
  const LeaseKey key = Lease({0, 1000});
  BatchResult down = Failure(FailureClass::kTransient, Delivery::kNotSent);
  down.unreachable = true;
  std::uint64_t sends = 0;
  const auto outage = [&](Duration lasts) {
    for (const Time until = now_ + lasts; now_ < until; now_ += 10ms) {
      engine_->clock().Extend(key, engine_->clock().OnSend(now_), now_);
      while (const auto d = Next()) {
        ++sends;
        Finish(*d, down);
      }
    }
  };
  outage(29s);
  EXPECT_LT(sends, 40u);
  EXPECT_THAT(Failures(), IsEmpty());
  Finish(NextWithin(), Answer(Outcome::kUpdated));
  outage(29s);
  EXPECT_THAT(Failures(), IsEmpty()) << "it was reached in between";
  outage(60s);
  EXPECT_THAT(Failures(), Not(IsEmpty())) << "a target that is not there has to show";
}

TEST_F(EngineTest, KeepsRetriesWithinTheirBudget) {
  Make(1, {.concurrency = 100, .attempts = 100, .retry_budget_percent = 10});
  Lease({0, 4000});
  std::uint64_t first = 0;
  for (int i = 0; i < 200; ++i) {
    std::vector<Dispatch> sent;
    while (const auto d = Next()) sent.push_back(*d);
    for (const Dispatch& d : sent) Finish(d, Failure(FailureClass::kTransient));
    now_ += 10ms;
  }
  first = engine_->stats().attempts - engine_->stats().retries;
  EXPECT_EQ(first, 4000u);
  EXPECT_LE(engine_->stats().retries, first / 10 + 200) << "and one in flight at any time";
}

TEST_F(EngineTest, AfterALongOverloadSuccessfulRetriesEarnTheNextOnes) {
  Make(1, {.concurrency = 16, .attempts = 1000, .retry_budget_percent = 10});
  const LeaseKey key = Lease({0, 100'000});
  Run(key, 60s, 50ms, [] { return Failure(FailureClass::kTransient); });
  ASSERT_EQ(State(key).counts.total(), 0u);
  // Back-off is at most 30 s, and sixteen at a time take 50 ms for each of the 4,096.
  Run(key, 30s + 15s, 50ms, [] { return Answer(Outcome::kUpdated); });
  EXPECT_GT(State(key).cursor, 4096);
}

TEST_F(EngineTest, AStillOverloadedTargetGetsOneRetryAtATime) {
  Make(1, {.concurrency = 16, .attempts = 1000, .retry_budget_percent = 10});
  const LeaseKey key = Lease({0, 100'000});
  Run(key, 60s, 50ms, [] { return Failure(FailureClass::kTransient); });
  const auto before = engine_->stats().attempts;
  int n = 0;  // every third is accepted
  Run(key, 20s, 50ms,
      [&] { return ++n % 3 == 0 ? Answer(Outcome::kUpdated) : Failure(FailureClass::kTransient); });
  EXPECT_LT(engine_->stats().attempts - before, 2u * 20 * 20);
}

TEST_F(EngineTest, SuccessfulRetriesEarnNothingWhileFirstAttemptsGo) {
  Make(1, {.concurrency = 200, .attempts = 1000, .retry_budget_percent = 10});
  const LeaseKey key = Lease({0, 100'000});
  Grant(2'000, 100);
  int n = 0;
  Run(key, 10s, 50ms, [&] {
    return ++n % 12 == 0 ? Failure(FailureClass::kTransient) : Answer(Outcome::kUpdated);
  });
  const auto first = engine_->stats().attempts - engine_->stats().retries;
  EXPECT_GT(first, 10'000u);
  EXPECT_LE(engine_->stats().retries, first / 10 + 10 * 20 + 20) << "and one at any time";
}

TEST_F(EngineTest, WhatWasNeverSentIsNoSignOfLifeOfTheTarget) {
  Make(1, {.concurrency = 16, .attempts = 3, .retry_budget_percent = 100});
  const LeaseKey key = Lease({0, 1000});
  BatchResult down = Failure(FailureClass::kTransient, Delivery::kNotSent);
  down.unreachable = true;
  int n = 0;  // every third record cannot even be rendered
  Run(key, 60s, 5ms,
      [&] { return ++n % 3 == 0 ? Failure(FailureClass::kPermanent, Delivery::kNotSent) : down; });
  bool unreachable = false;
  for (const FailedRecord& f : Failures()) unreachable |= f.failure == FailureClass::kTransient;
  EXPECT_TRUE(unreachable) << "an outage of a minute has to show";
}

TEST_F(EngineTest, WantsNoRateWithoutARecordToSend) {
  Make();
  EXPECT_EQ(engine_->RecordsPerSecondWanted(), 0);
  Lease({0, 2});
  EXPECT_GT(engine_->RecordsPerSecondWanted(), 0);
  Finish(*Next(), Answer(Outcome::kUpdated));
  const Dispatch last = *Next();
  EXPECT_GT(engine_->RecordsPerSecondWanted(), 0) << "it may have to go again";
  Finish(last, Answer(Outcome::kUpdated));
  EXPECT_EQ(engine_->RecordsPerSecondWanted(), 0);
}

TEST_F(EngineTest, EveryAttemptTakesATokenForEachRecord) {
  engine_ =
      std::make_unique<Engine>(EngineOptions{.batch_size = 10}, EngineLimits{.concurrency = 100});
  Grant(100, 25);
  Lease({0, 1000});
  std::uint64_t sent = 0;
  for (int i = 0; i < 1000; ++i) {
    while (const auto d = Next()) {
      sent += d->records->size();
      Finish(*d, Answer(Outcome::kUpdated));
    }
    now_ += 5ms;
  }
  EXPECT_NEAR(static_cast<double>(sent), 500, 10);
}

TEST_F(EngineTest, ShrinkGivesBackWhatWasNotSent) {
  Make();
  const LeaseKey key = Lease({0, 100});
  Next();
  Next();
  engine_->ShrinkLease(key, 0);
  EXPECT_EQ(State(key).end, 2);
  EXPECT_FALSE(Next().has_value());
  const LeaseKey other = Lease({200, 300}, 2);
  engine_->ShrinkLease(other, 200);
  EXPECT_TRUE(State(other).complete) << "unstarted: it goes back whole";
}

TEST_F(EngineTest, TakesUpALeaseWhereItWasLeft) {
  Make();
  const auto sequence = engine_->clock().OnSend(now_);
  const LeaseKey key{ShardId{1}, Attempt{4}};
  ASSERT_TRUE(engine_
                  ->AddLease({.key = key,
                              .range = {0, 6},
                              .cursor = 2,
                              .done_above = "\x02",
                              .counts = {.updated = 2, .unchanged = 0, .skipped = 0, .failed = 1}},
                             sequence, now_)
                  .ok());
  std::vector<Position> sent;
  while (const auto d = Next()) {
    sent.push_back(d->records->front().position);
    Finish(*d, Answer(Outcome::kUpdated));
  }
  EXPECT_THAT(sent, ElementsAre(2, 4, 5));
  EXPECT_EQ(State(key).counts,
            (OutcomeCounts{.updated = 5, .unchanged = 0, .skipped = 0, .failed = 1}));
}

TEST_F(EngineTest, StopsWhenTooManyFailuresWaitForTheCoordinator) {
  Make(1, {.concurrency = 1, .attempts = 1, .retry_budget_percent = 10});
  Lease({0, 100'000});
  std::uint64_t sent = 0;
  while (const auto d = Next()) {
    ++sent;
    Finish(*d, Failure(FailureClass::kPermanent));
  }
  EXPECT_EQ(sent, FailureBuffer::kMax);
  while (engine_->failures().unsent() > 0) engine_->failures().Take(9);
  EXPECT_FALSE(Next().has_value()) << "not in the store yet";
  engine_->failures().OnAck(9, 9);
  EXPECT_TRUE(Next().has_value());
}

TEST_F(EngineTest, MeasuresLatencyInBuckets) {
  Make();
  Lease({0, 10});
  for (const Duration latency : {Duration(100us), Duration(500us), Duration(3ms), Duration(1h)}) {
    BatchResult r = Answer(Outcome::kUpdated);
    r.latency = latency;
    Finish(*Next(), r);
  }
  const auto& buckets = engine_->stats().latency;
  EXPECT_EQ(buckets[0], 1u);
  EXPECT_EQ(buckets[1], 1u);
  EXPECT_EQ(buckets[3], 1u);
  EXPECT_EQ(buckets[15], 1u);
  EXPECT_GT(engine_->RecordsPerSecondWanted(), 0);
}

}  // namespace
}  // namespace backfill::worker
