#include "operator/kube/runtime/write_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <string>
#include <utility>

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using ChangeKind = ExpectedChange::Kind;

// Caches of which the test says how far they are.
class ToldCaches final : public CacheView {
 public:
  [[nodiscard]] bool HasSynced() const override { return true; }
  [[nodiscard]] bool HasSeen(std::string_view resource, const ObjectKey&,
                             std::string_view version) const override {
    const auto found = at.find(std::string(resource));
    return found != at.end() && std::stoi(std::string(version)) <= found->second;
  }
  std::map<std::string, int> at;
};

class WriteGuardTest : public testing::Test {
 protected:
  static ObjectVersion Job(int version) {
    return {.resource = "jobs", .object = {"shop", "a-run"}, .version = std::to_string(version)};
  }
  static ExpectedChange Change(ChangeKind kind, const std::string& uid = "") {
    return {.kind = kind, .resource = "jobs", .object = {"shop", "a-run"}, .uid = uid};
  }
  OwnWrites::Gate Check() { return guard_.Check(kKey, caches_, now_); }
  bool Open() { return Check().open; }

  const ObjectKey kKey{"shop", "a"};
  const ObjectKey kOther{"shop", "b"};
  Time now_{1h};
  ToldCaches caches_;
  WriteGuard guard_{{}};
};

TEST_F(WriteGuardTest, R21_AKeyWaitsUntilTheCacheHasItsLastWrite) {
  EXPECT_TRUE(Open());
  guard_.OnWrite(kKey, Job(5), now_);
  guard_.OnWrite(kKey, Job(7), now_);
  guard_.OnWrite(kKey, {.resource = "backfills", .object = kKey, .version = "6"}, now_);
  caches_.at = {{"jobs", 6}, {"backfills", 100}};
  EXPECT_FALSE(Open());
  EXPECT_TRUE(guard_.Check(kOther, caches_, now_).open);
  caches_.at["jobs"] = 7;
  EXPECT_TRUE(Open());
}

TEST_F(WriteGuardTest, R21_LooksAgainSoonAtFirstThenEachSecond) {
  guard_.OnWrite(kKey, Job(5), now_);
  EXPECT_EQ(Check().look_again, 20ms);
  now_ += 300ms;
  EXPECT_EQ(Check().look_again, 300ms);
  now_ += 1min;
  EXPECT_EQ(Check().look_again, 1s);
}

TEST_F(WriteGuardTest, R21_AfterFiveMinutesItGoesOnAndKnowsNothing) {
  guard_.OnLiveRead(kKey, Job(1), now_);
  guard_.OnWrite(kKey, Job(5), now_);
  now_ += 5min - 1ns;
  EXPECT_FALSE(Open());
  now_ += 1ns;
  const OwnWrites::Gate gate = Check();
  EXPECT_TRUE(gate.open);
  EXPECT_TRUE(gate.gave_up);
  EXPECT_TRUE(guard_.MustReadLive(kKey));
}

TEST_F(WriteGuardTest, R22_NothingIsKnownBeforeTheFirstLiveRead) {
  EXPECT_TRUE(guard_.MustReadLive(kKey));
  guard_.OnWrite(kKey, Job(5), now_);
  EXPECT_TRUE(guard_.MustReadLive(kKey));  // one's own write says nothing of earlier ones
  guard_.OnLiveRead(kKey, Job(6), now_);
  EXPECT_FALSE(guard_.MustReadLive(kKey));
  EXPECT_TRUE(guard_.MustReadLive(kOther));
  guard_.Forget(kKey);  // another object of that name
  EXPECT_TRUE(guard_.MustReadLive(kKey));
  EXPECT_TRUE(Open());
}

TEST_F(WriteGuardTest, R22_TheCacheIsAwaitedAfterALiveReadToo) {
  guard_.OnLiveRead(kKey, Job(6), now_);
  caches_.at["jobs"] = 5;
  EXPECT_FALSE(Open());
  caches_.at["jobs"] = 6;
  EXPECT_TRUE(Open());
}

TEST_F(WriteGuardTest, R21_AnExpectationHoldsTheKeyUntilItsEvent) {
  guard_.Expect(kKey, Change(ChangeKind::kCreated), now_);
  EXPECT_FALSE(Open());
  EXPECT_TRUE(guard_.Check(kOther, caches_, now_).open);
  guard_.OnAdded("pods", {"shop", "a-run"});  // another kind
  guard_.OnAdded("jobs", {"shop", "b-run"});  // another name
  EXPECT_FALSE(Open());
  guard_.OnAdded("jobs", {"shop", "a-run"});
  EXPECT_TRUE(Open());
  guard_.OnAdded("jobs", {"shop", "a-run"});  // twice
  EXPECT_TRUE(Open());
}

TEST_F(WriteGuardTest, R21_ADeletionIsExpectedOfOneUid) {
  guard_.Expect(kKey, Change(ChangeKind::kDeleted, "u1"), now_);
  guard_.OnDeleted("jobs", {"shop", "a-run"}, "u0");
  EXPECT_FALSE(Open());
  guard_.OnDeleted("jobs", {"shop", "a-run"}, "u1");
  EXPECT_TRUE(Open());
}

TEST_F(WriteGuardTest, R21_ACreationThatIsDeletedAtOnceHasBeenSeen) {
  guard_.Expect(kKey, Change(ChangeKind::kCreated), now_);
  guard_.OnDeleted("jobs", {"shop", "a-run"}, "u1");
  EXPECT_TRUE(Open());
}

TEST_F(WriteGuardTest, R21_AFailedCallLowersAndTheOwnersEndDrops) {
  guard_.Expect(kKey, Change(ChangeKind::kCreated), now_);
  guard_.Lower(Change(ChangeKind::kCreated));
  EXPECT_TRUE(Open());
  guard_.Expect(kKey, Change(ChangeKind::kCreated), now_);
  guard_.Forget(kKey);
  EXPECT_TRUE(Open());
}

TEST_F(WriteGuardTest, R21_AnExpectationEndsAfterFiveMinutes) {
  guard_.Expect(kKey, Change(ChangeKind::kCreated), now_);
  now_ += 1min;
  guard_.Expect(kKey, Change(ChangeKind::kDeleted, "u1"), now_);
  now_ += 4min;
  EXPECT_FALSE(Open());
  now_ += 1min;
  EXPECT_TRUE(Open());
}

TEST(ExpectationsTest, AChildOfAnotherOwnerMovesAndNothingIsLeftBehind) {
  Expectations expectations({.max_changes = 2});
  const ExpectedChange change{
      .kind = ChangeKind::kCreated, .resource = "jobs", .object = {"shop", "x"}, .uid = {}};
  const Time now{1h};
  expectations.Expect({"shop", "a"}, change, now);
  expectations.Expect({"shop", "b"}, change, now);
  EXPECT_TRUE(expectations.Fulfilled({"shop", "a"}, now));
  EXPECT_FALSE(expectations.Fulfilled({"shop", "b"}, now));
  ExpectedChange more = change;
  for (const char* name : {"y", "z"}) {
    more.object.name = name;
    expectations.Expect({"shop", "b"}, more, now);
  }
  EXPECT_EQ(expectations.size(), 2U);  // bounded
  expectations.Forget({"shop", "b"});
  EXPECT_EQ(expectations.size(), 0U);
}

TEST(OwnWritesTest, OfKeysBeyondItsRoomNothingIsKnown) {
  OwnWrites writes({.max_keys = 1});
  ToldCaches caches;
  const Time now{1h};
  writes.OnLiveRead({"", "a"}, {.resource = "jobs", .object = {}, .version = "1"}, now);
  writes.OnLiveRead({"", "b"}, {.resource = "jobs", .object = {}, .version = "1"}, now);
  EXPECT_EQ(writes.size(), 1U);
  EXPECT_FALSE(writes.MustReadLive({"", "a"}));
  EXPECT_TRUE(writes.MustReadLive({"", "b"}));
}

}  // namespace
}  // namespace backfill::kube
