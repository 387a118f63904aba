#include "operator/kube/runtime/election.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <string>

namespace backfill::kube {
namespace {

using RequestKind = Election::Request::Kind;
using Phase = Election::Phase;
using testing::HasSubstr;

// One candidate, "me", and a Lease that the test holds in its hands.
class ElectionTest : public testing::Test {
 protected:
  void Become(ElectionOptions options) {
    options.identity = "me";
    election_.emplace(options);
  }
  void SetUp() override { Become({}); }

  // ---- what stands in the Lease
  void Put(const LeaseRecord& record) {
    lease_ = StoredLease{.record = record, .version = std::to_string(++version_), .object = {}};
  }
  void PutHeldBy(const std::string& holder, std::int64_t transitions = 7) {
    LeaseRecord record{.holder = holder, .duration_seconds = 5};
    record.transitions = transitions;
    Put(record);
  }
  void Delete() { lease_.reset(); }

  // ---- the candidate's requests
  static ApiError ErrorWith(ApiErrorKind kind) {
    ApiError e;
    e.kind = kind;
    e.message = "said the server";
    return e;
  }
  ApiResult<StoredLease> Serve(const Election::Request& request) {
    switch (request.kind) {
      case RequestKind::kRead:
        if (!lease_) return ErrorWith(ApiErrorKind::kNotFound);
        return *lease_;
      case RequestKind::kCreate:
        if (lease_) return ErrorWith(ApiErrorKind::kAlreadyExists);
        Put(request.record);
        return *lease_;
      case RequestKind::kUpdate:
        if (!lease_) return ErrorWith(ApiErrorKind::kNotFound);
        if (lease_->version != request.base.version) return ErrorWith(ApiErrorKind::kConflict);
        Put(request.record);
        return *lease_;
    }
    return ErrorWith(ApiErrorKind::kInternal);
  }
  std::optional<Election::Request> Ask() {
    auto request = election_->Next(now_, wall_);
    if (request) last_kind_ = request->kind;
    return request;
  }
  // Until it waits for the time; how many requests that took. A limit notices a hot loop.
  int Settle() {
    int requests = 0;
    while (const auto request = Ask()) {
      election_->OnResult(Serve(*request), now_);
      if (++requests == 10) ADD_FAILURE() << "it does not come to rest";
      if (requests == 10) break;
    }
    return requests;
  }
  int Fail(ApiErrorKind kind) {
    int requests = 0;
    while (Ask()) {
      election_->OnResult(ErrorWith(kind), now_);
      if (++requests == 10) break;
    }
    return requests;
  }
  // In small steps, so that it acts when it wants to.
  void Pass(Duration d) {
    for (const Time end = now_ + d; now_ < end;) {
      now_ = std::min(end, std::max(now_ + 1ms, election_->NextAt()));
      Settle();
    }
  }
  void Lead() {
    PutHeldBy("");
    Pass(6s);
    ASSERT_EQ(phase(), Phase::kLeader);
    now_ = election_->NextAt();
    Settle();  // just renewed
  }
  [[nodiscard]] Phase phase() const { return election_->phase(); }
  [[nodiscard]] bool Leads() const { return election_->IsLeaderAt(now_); }

  Time now_{1h};
  WallTime wall_{1'800'000'000s};
  std::optional<Election> election_;
  std::optional<StoredLease> lease_;
  int version_ = 0;
  RequestKind last_kind_ = RequestKind::kRead;
};

// ---- becoming leader

TEST_F(ElectionTest, R37_TakesALeaseThatStoodStillForItsDurationAndNoSooner) {
  PutHeldBy("other");
  Pass(5s - 1ms);
  EXPECT_EQ(lease_->record.holder, "other");
  Pass(201ms);  // the spread
  EXPECT_EQ(phase(), Phase::kLeader);
  EXPECT_TRUE(Leads());
  EXPECT_EQ(lease_->record.holder, "me");
  EXPECT_EQ(lease_->record.duration_seconds, 5);
  EXPECT_EQ(lease_->record.transitions, 8);
  EXPECT_EQ(election_->epoch(), Epoch{8});
}

TEST_F(ElectionTest, R37_ARenewalStartsTheWaitAnew) {
  PutHeldBy("other");
  for (int i = 0; i < 20; ++i) {
    Pass(2s);
    PutHeldBy("other");  // the same record: it is another version
  }
  EXPECT_EQ(phase(), Phase::kFollower);
}

TEST_F(ElectionTest, R37_TheTimesInTheRecordDoNotMatter) {
  PutHeldBy("other");
  lease_->record.renewed = wall_ + 24h * 365;  // a clock that is a year fast
  Pass(5s + 200ms);
  EXPECT_EQ(phase(), Phase::kLeader);
  Become({});
  PutHeldBy("other");
  lease_->record.renewed = WallTime{};  // and one that is decades slow
  Pass(4s);
  EXPECT_EQ(phase(), Phase::kFollower);
}

TEST_F(ElectionTest, R37_AHolderWithALongerDurationIsWaitedFor) {
  PutHeldBy("other");
  lease_->record.duration_seconds = 15;
  Pass(15s - 1ms);
  EXPECT_EQ(phase(), Phase::kFollower);
  Pass(201ms);
  EXPECT_EQ(phase(), Phase::kLeader);
}

TEST_F(ElectionTest, AnyNumbersInTheRecordAreSurvived) {
  for (const std::int64_t n :
       {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1}, std::int64_t{0},
        std::int64_t{1} << 31, std::numeric_limits<std::int64_t>::max()}) {
    SCOPED_TRACE(n);
    Become({});
    PutHeldBy("other", n);
    lease_->record.duration_seconds = n;
    Pass(1h + 1s);
    EXPECT_EQ(phase(), Phase::kLeader);
    EXPECT_GE(lease_->record.transitions, 1);
    EXPECT_LE(lease_->record.transitions, std::numeric_limits<std::int32_t>::max());
  }
}

TEST_F(ElectionTest, R39_AReleasedLeaseIsTakenAtOnce) {
  LeaseRecord released{.holder = "", .duration_seconds = 1};
  released.transitions = 3;
  Put(released);
  Pass(51ms);
  EXPECT_EQ(phase(), Phase::kLeader);
  EXPECT_EQ(election_->epoch(), Epoch{4});
}

TEST_F(ElectionTest, R39_ALeaseThatIsGivenBackIsTakenWithinATurnOfLooking) {
  PutHeldBy("other", 3);
  Pass(2s);
  for (int i = 0; i < 30; ++i) {
    Become({});
    PutHeldBy("other", 3);
    Pass(1s + i * 17ms);
    LeaseRecord released{.holder = "", .duration_seconds = 1};
    released.transitions = 3;
    Put(released);
    Pass(351ms);  // a quarter of the retry period, and a fifth of it; then a quarter of the spread
    EXPECT_EQ(phase(), Phase::kLeader) << i;
  }
}

TEST_F(ElectionTest, WhoWaitsLooksFourTimesInARetryPeriodAndNoMore) {
  PutHeldBy("other");
  Settle();
  int looks = 0;
  for (const Time end = now_ + 4s; now_ < end;) {
    now_ = election_->NextAt();
    looks += Settle();
  }
  EXPECT_GE(looks, 13);
  EXPECT_LE(looks, 17);
}

TEST_F(ElectionTest, WhoGetsNoAnswerAsksOnceInARetryPeriod) {
  PutHeldBy("other");
  Settle();
  int asked = 0;
  for (const Time end = now_ + 4s; now_ < end;) {
    now_ = election_->NextAt();
    asked += Fail(ApiErrorKind::kUnavailable);
  }
  EXPECT_LE(asked, 5);
}

TEST_F(ElectionTest, ALeaseEmptiedByHandHasToStandStill) {
  PutHeldBy("");
  Pass(5s - 1ms);
  EXPECT_EQ(phase(), Phase::kFollower);
  Pass(201ms);
  EXPECT_EQ(phase(), Phase::kLeader);
}

TEST_F(ElectionTest, F11_ADeletedLeaseIsMadeAnewEmptyAndHasToStandStill) {
  PutHeldBy("other", 7);
  Pass(1s);
  Delete();
  Pass(2s);
  ASSERT_TRUE(lease_.has_value());
  EXPECT_EQ(lease_->record.holder, "");
  Pass(3s);
  EXPECT_EQ(phase(), Phase::kFollower);
  Pass(3s);
  EXPECT_EQ(phase(), Phase::kLeader);
  EXPECT_EQ(election_->epoch(), Epoch{8});  // it has seen the old one
}

TEST_F(ElectionTest, AnEmptyLeaseOfTheShortestDurationIsNotTakenForAReleasedOne) {
  Become({.identity = {}, .lease = 1s, .renew_deadline = 500ms, .retry = 100ms});
  Pass(500ms);
  ASSERT_TRUE(lease_.has_value());
  EXPECT_EQ(phase(), Phase::kFollower);
  Pass(2s);
  EXPECT_EQ(phase(), Phase::kLeader);
}

TEST_F(ElectionTest, OfTwoThatTryTheSecondKeepsWaiting) {
  PutHeldBy("other");
  Settle();
  now_ += 6s;
  const auto claim = Ask();
  ASSERT_TRUE(claim.has_value());
  ASSERT_EQ(claim->kind, RequestKind::kUpdate);
  PutHeldBy("third");  // meanwhile
  election_->OnResult(Serve(*claim), now_);
  EXPECT_EQ(Settle(), 1);  // it looks once who that was
  EXPECT_EQ(phase(), Phase::kFollower);
  Pass(4s);
  EXPECT_EQ(lease_->record.holder, "third");
}

TEST_F(ElectionTest, AClaimWhoseAnswerWasLostIsRenewedAndKeepsItsEpoch) {
  PutHeldBy("other");
  Settle();
  now_ += 6s;
  const auto claim = Ask();
  ASSERT_TRUE(Serve(*claim).ok());
  election_->OnResult(ErrorWith(ApiErrorKind::kDeadline), now_);
  EXPECT_FALSE(Leads());
  Pass(2s);
  EXPECT_EQ(phase(), Phase::kLeader);
  EXPECT_EQ(election_->epoch(), Epoch{8});
}

TEST_F(ElectionTest, R38_AnAnswerThatComesAfterTheDeadlineIsNoLeadership) {
  PutHeldBy("other");
  Settle();
  now_ += 6s;
  const auto claim = Ask();
  const auto answer = Serve(*claim);
  now_ += 3s;
  election_->OnResult(answer, now_);
  EXPECT_FALSE(Leads());
  EXPECT_EQ(phase(), Phase::kFollower);
  Settle();
  EXPECT_EQ(phase(), Phase::kLeader);  // renewed at once
}

// ---- staying leader

TEST_F(ElectionTest, R38_ValidityIsCountedFromBeforeTheRenewalWasSent) {
  Lead();
  now_ = election_->NextAt();
  const Time sent = now_;
  const auto renewal = Ask();
  const auto answer = Serve(*renewal);
  now_ += 1s;
  election_->OnResult(answer, now_);
  EXPECT_EQ(election_->valid_until(), sent + 3s);
}

TEST_F(ElectionTest, RenewsEachRetryPeriodAndKeepsWhatIsItsOwn) {
  Lead();
  const LeaseRecord before = lease_->record;
  const int version = version_;
  Pass(10s);
  EXPECT_EQ(version_, version + 10);
  EXPECT_EQ(lease_->record.transitions, before.transitions);
  EXPECT_EQ(lease_->record.acquired, before.acquired);
}

TEST_F(ElectionTest, R38_WithoutRenewalItEndsAtTheDeadlineAndStaysLost) {
  Lead();
  const Time end = election_->valid_until();
  int tries = 0;
  while (now_ < end) {
    now_ = std::max(now_ + 1ms, election_->NextAt());
    EXPECT_EQ(Leads(), now_ < end);
    tries += Fail(ApiErrorKind::kUnavailable);
  }
  EXPECT_EQ(tries, 2);  // at 1 s and at 2 s: no hot loop
  EXPECT_EQ(phase(), Phase::kLost);
  EXPECT_THAT(election_->reason(), HasSubstr("not renewed in time: said the server"));
  Pass(1h);
  EXPECT_EQ(phase(), Phase::kLost);
}

TEST_F(ElectionTest, R38_AProcessThatWasStoppedWakesUpWithoutLeadership) {
  Lead();
  now_ += 60s;            // SIGSTOP, SIGCONT
  EXPECT_FALSE(Leads());  // before anything of its own has run
  EXPECT_EQ(Ask(), std::nullopt);
  EXPECT_EQ(phase(), Phase::kLost);
}

TEST_F(ElectionTest, NoRequestOutlastsTheLeadership) {
  Lead();
  while (phase() == Phase::kLeader) {
    now_ = election_->NextAt();
    const auto request = Ask();
    if (!request) continue;
    EXPECT_LE(request->deadline, election_->valid_until());
    EXPECT_LE(request->deadline, now_ + 1500ms);
    now_ = request->deadline;  // hangs
    election_->OnResult(ErrorWith(ApiErrorKind::kDeadline), now_);
  }
  EXPECT_EQ(phase(), Phase::kLost);
}

TEST_F(ElectionTest, AForeignLabelOnTheLeaseCostsALookNotTheLeadership) {
  Lead();
  Put(lease_->record);  // another version
  now_ = election_->NextAt();
  EXPECT_EQ(Settle(), 3);  // conflict, look, renewal
  EXPECT_TRUE(Leads());
  EXPECT_EQ(phase(), Phase::kLeader);
}

TEST_F(ElectionTest, ConflictsWithoutEndAreNoHotLoop) {
  Lead();
  int requests = 0;
  const Time end = now_ + 10s;
  while (now_ < end && phase() == Phase::kLeader) {
    while (const auto request = Ask()) {
      ++requests;
      Put(lease_->record);
      election_->OnResult(Serve(*request), now_);
    }
    now_ = std::max(now_ + 1ms, election_->NextAt());
  }
  EXPECT_EQ(phase(), Phase::kLost);
  EXPECT_LE(requests, 8);
}

TEST_F(ElectionTest, F11_ALeaderWhoseLeaseIsDeletedOrTakenEndsAtOnce) {
  Lead();
  Delete();
  now_ = election_->NextAt();
  Settle();
  EXPECT_EQ(phase(), Phase::kLost);
  EXPECT_FALSE(Leads());
  EXPECT_THAT(election_->reason(), HasSubstr("deleted"));

  Become({});
  Lead();
  PutHeldBy("other");
  now_ = election_->NextAt();
  Settle();
  EXPECT_EQ(phase(), Phase::kLost);
  EXPECT_THAT(election_->reason(), HasSubstr("held by other"));
}

// ---- the end

TEST_F(ElectionTest, R39_ReleasingEndsTheLeadershipBeforeAnybodyHearsOfIt) {
  Lead();
  election_->Release(now_);
  EXPECT_FALSE(Leads());
  EXPECT_EQ(Settle(), 1);
  EXPECT_EQ(phase(), Phase::kStopped);
  EXPECT_EQ(lease_->record.holder, "");
  EXPECT_EQ(lease_->record.duration_seconds, 1);
  EXPECT_EQ(lease_->record.transitions, 8);  // its successor's epoch is higher
}

TEST_F(ElectionTest, R39_AReleaseIsRepeatedOnConflict) {
  Lead();
  Put(lease_->record);
  election_->Release(now_);
  EXPECT_EQ(Settle(), 3);
  EXPECT_EQ(phase(), Phase::kStopped);
  EXPECT_EQ(lease_->record.holder, "");
}

TEST_F(ElectionTest, R39_AReleaseLeavesAnothersLeaseAlone) {
  Lead();
  PutHeldBy("other");
  election_->Release(now_);
  Settle();
  EXPECT_EQ(phase(), Phase::kStopped);
  EXPECT_EQ(lease_->record.holder, "other");
}

TEST_F(ElectionTest, R39_AReleaseIsGivenUpInTheEnd) {
  Lead();
  election_->Release(now_);
  const Time start = now_;
  int tries = 0;
  while (phase() == Phase::kReleasing && now_ < start + 10s) {
    now_ = std::max(now_ + 1ms, election_->NextAt());
    tries += Fail(ApiErrorKind::kUnavailable);
  }
  EXPECT_EQ(phase(), Phase::kStopped);
  EXPECT_LE(now_, start + 3s + 1ms);
  EXPECT_LE(tries, 4);
}

TEST_F(ElectionTest, R39_ARenewalUnderWayIsReleasedToo) {
  Lead();
  now_ = election_->NextAt();
  const auto renewal = Ask();
  election_->Release(now_);
  election_->OnResult(Serve(*renewal), now_);
  EXPECT_FALSE(Leads());
  Settle();
  EXPECT_EQ(lease_->record.holder, "");
}

TEST_F(ElectionTest, AFollowerJustStops) {
  PutHeldBy("other");
  Settle();
  election_->Release(now_);
  EXPECT_EQ(phase(), Phase::kStopped);
  Pass(1h);
  EXPECT_EQ(lease_->record.holder, "other");
}

// ---- trouble and options

TEST_F(ElectionTest, F6_AFollowerAsksOnceInARetryPeriodWhateverTheAnswer) {
  using enum ApiErrorKind;
  for (const ApiErrorKind kind : {kUnavailable, kTooManyRequests, kForbidden, kUnauthenticated,
                                  kDeadline, kInternal, kConflict, kInvalid, kGone}) {
    SCOPED_TRACE(std::string(ToString(kind)));
    for (const bool expired : {false, true}) {
      Become({});
      PutHeldBy("other");
      Settle();
      if (expired) now_ += 10s;
      int tries = 0;
      for (const Time end = now_ + 60s; now_ < end;) {
        tries += Fail(kind);
        now_ = std::max(now_ + 1ms, election_->NextAt());
      }
      EXPECT_GE(tries, 50);
      EXPECT_LE(tries, 64);
    }
  }
}

TEST(ElectionOptionsTest, AreChecked) {
  const auto problem = [](ElectionOptions options) { return options.Validate(); };
  EXPECT_EQ(problem({.identity = "a"}), "");
  EXPECT_EQ(problem({.identity = "a", .lease = 15s, .renew_deadline = 10s, .retry = 2s}), "");
  EXPECT_THAT(problem({.identity = ""}), HasSubstr("identity"));
  EXPECT_THAT(problem({.identity = std::string(254, 'a')}), HasSubstr("identity"));
  EXPECT_THAT(problem({.identity = "a", .lease = 5500ms}), HasSubstr("whole seconds"));
  EXPECT_THAT(problem({.identity = "a", .lease = 3s}), HasSubstr("longer than the renew deadline"));
  EXPECT_THAT(problem({.identity = "a", .renew_deadline = 1200ms}), HasSubstr("1.2 retry"));
  EXPECT_THAT(problem({.identity = "a", .retry = 0s}), HasSubstr("at least 10 ms"));
  EXPECT_THAT(problem({.identity = "a", .spread = -1s}), HasSubstr("spread"));
}

}  // namespace
}  // namespace backfill::kube
