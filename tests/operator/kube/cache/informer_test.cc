#include "operator/kube/cache/informer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "operator/kube/cache/kinds.h"
#include "tests/fakes/manual_clock.h"
#include "tests/fakes/scripted_transport.h"
#include "tests/operator/kube/cache/wire_text.h"

namespace backfill::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// The names and versions that were told, from the informer's thread.
class Told final : public CacheListener {
 public:
  void OnDelta(const Delta& delta) override {
    MutexLock l(mu_);
    const char* sign = delta.type == DeltaType::kAdded     ? "+"
                       : delta.type == DeltaType::kUpdated ? "="
                                                           : "-";
    told_.push_back(sign + delta.object->meta.name + "@" + delta.object->meta.resource_version);
  }
  void OnVersion(std::string_view version) override {
    MutexLock l(mu_);
    version_ = version;
  }
  std::vector<std::string> Take() {
    MutexLock l(mu_);
    return std::exchange(told_, {});
  }

 private:
  Mutex mu_;
  std::vector<std::string> told_ GUARDED_BY(mu_);
  std::string version_ GUARDED_BY(mu_);
};

class InformerTest : public ::testing::Test {
 protected:
  InformerTest() { cache_.AddListener(&told_); }

  InformerOptions Options() {
    InformerOptions options;
    options.selection.ns = "shop";
    options.wait = [this](Time until, const std::stop_token&) {
      {
        MutexLock l(mu_);
        waits_.push_back((until - clock_.Steady()) / 1ms);
      }
      if (until > clock_.Steady()) clock_.Advance(until - clock_.Steady());
    };
    return options;
  }
  void Start() { informer_.Start(); }
  void Settle() { ASSERT_TRUE(server_.AwaitSilence()); }
  std::vector<std::int64_t> Waits() {
    MutexLock l(mu_);
    return std::exchange(waits_, {});
  }
  std::string LastList() { return server_.sent().back().target; }
  std::string LastWatch() { return server_.streams().back().target; }

  // Has a@90 at 100, and watches.
  void Synced() {
    server_.Answer(200, ListText({PodText("a", "90")}, "100"));
    Start();
    Settle();
    EXPECT_THAT(told_.Take(), ElementsAre("+a@90"));
  }

  fakes::ManualClock clock_;
  fakes::ScriptedTransport server_{clock_};
  ObjectCache cache_;
  Told told_;
  Mutex mu_;
  std::vector<std::int64_t> waits_ GUARDED_BY(mu_);
  Informer informer_{server_, clock_, Resource{.type = kPods, .decode = &DecodePod}, cache_,
                     Options()};
};

TEST_F(InformerTest, ListsThenWatches) {
  server_.Answer(200, ListText({PodText("a", "90")}, "100", "T1"));
  server_.Answer(200, ListText({PodText("b", "91")}, "100"));
  server_.Line(EventText("ADDED", PodText("c", "101")));
  server_.Line(EventText("MODIFIED", PodText("a", "102")));
  server_.Line(EventText("DELETED", PodText("b", "103")));
  server_.Line(BookmarkText("110"));
  Start();
  Settle();
  EXPECT_THAT(told_.Take(), ElementsAre("+a@90", "+b@91", "+c@101", "=a@102", "-b@103"));
  EXPECT_TRUE(cache_.HasSynced());
  EXPECT_EQ(cache_.version(), "110");
  const auto sent = server_.sent();
  ASSERT_EQ(sent.size(), 2U);
  EXPECT_EQ(sent[0].target, "/api/v1/namespaces/shop/pods?limit=500&resourceVersion=0");
  EXPECT_EQ(sent[1].target, "/api/v1/namespaces/shop/pods?limit=500&continue=T1");
  EXPECT_THAT(LastWatch(), HasSubstr("watch=true&allowWatchBookmarks=true&resourceVersion=100&"));
  EXPECT_EQ(informer_.stats().counts.changes, 3U);
}

TEST_F(InformerTest, F4_ExpiredAsAStatusRelistsAndDeliversDeletions) {
  Synced();
  server_.EndStream();
  server_.Answer(200, ListText({PodText("b", "120")}, "130"));
  server_.Refuse(410, StatusText(410, "Expired"));
  Settle();
  EXPECT_THAT(told_.Take(), ElementsAre("-a@90", "+b@120"));
  EXPECT_EQ(LastList(),
            "/api/v1/namespaces/shop/pods?limit=500&resourceVersion=100"
            "&resourceVersionMatch=NotOlderThan");
  EXPECT_EQ(informer_.stats().counts.RelistsFor(RelistReason::kExpired), 1U);
}

TEST_F(InformerTest, F4_ExpiredAsAnEventRelistsAndDeliversDeletions) {
  Synced();
  server_.Answer(200, ListText({PodText("b", "120")}, "130"));
  server_.Line(EventText("ERROR", StatusText(410, "Expired", "too old resource version")));
  Settle();
  EXPECT_THAT(told_.Take(), ElementsAre("-a@90", "+b@120"));
  EXPECT_EQ(server_.streams().size(), 2U);
}

TEST_F(InformerTest, R1_AServerThatIsBehindIsAskedForItsNewest) {
  Synced();
  server_.Answer(504, R"({"kind":"Status","code":504,"reason":"Timeout","details":{"causes":[
    {"reason":"ResourceVersionTooLarge","message":"Too large resource version"}]}})");
  server_.Answer(200, ListText({PodText("a", "40")}, "50"));
  server_.Line(EventText("ERROR", StatusText(410, "Gone")));
  Settle();
  EXPECT_THAT(told_.Take(), ElementsAre("=a@40"));
  EXPECT_EQ(LastList(), "/api/v1/namespaces/shop/pods?limit=500");
}

TEST_F(InformerTest, R4_RefusalsAreWaitedOutWithoutAList) {
  Synced();
  server_.CutStream({ErrorCode::kUnavailable, "connection refused"});
  server_.Refuse(429, StatusText(429, "TooManyRequests"), std::chrono::milliseconds(7000));
  server_.RefuseNext(2, 503, "overloaded");
  server_.Line(EventText("MODIFIED", PodText("a", "101")));
  Settle();
  EXPECT_THAT(told_.Take(), ElementsAre("=a@101"));
  EXPECT_EQ(server_.sent().size(), 1U);
  EXPECT_EQ(server_.streams().size(), 5U);
  const auto waits = Waits();
  ASSERT_EQ(waits.size(), 4U);
  EXPECT_GE(waits[0], 800);
  EXPECT_LE(waits[0], 1600);
  EXPECT_EQ(waits[1], 7000);
  EXPECT_GE(waits[3], 6400);
}

TEST_F(InformerTest, F5_AHalfOpenWatchIsGivenUpAndGoesOn) {
  Synced();
  const Time before = clock_.Steady();
  server_.GoSilent();
  server_.Line(EventText("MODIFIED", PodText("a", "101")));
  Settle();
  EXPECT_THAT(told_.Take(), ElementsAre("=a@101"));
  EXPECT_GE(clock_.Steady() - before, 245s);
  EXPECT_LE(clock_.Steady() - before, 297s);
  EXPECT_EQ(server_.sent().size(), 1U);
  // Bookmarks are promised by nobody, so silence alone is no reason to give up sooner.
  EXPECT_EQ(server_.last_limits().idle, server_.last_limits().deadline - clock_.Steady());
}

TEST_F(InformerTest, R7_GarbageIsSkippedAndMadeUpFor) {
  Synced();
  for (const char* line : {"", "{", "null", "[]", "{\"type\":\"NEWS\",\"object\":{}}", "\xff\xfe",
                           "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":7}}}"})
    server_.Line(line);
  server_.Line(EventText("MODIFIED", PodText("a", "105")));
  server_.EndStream();
  server_.Answer(200, ListText({PodText("a", "105"), PodText("b", "103")}, "106"));
  Settle();
  EXPECT_THAT(told_.Take(), ElementsAre("=a@105", "+b@103"));
  const InformerStats stats = informer_.stats();
  EXPECT_EQ(stats.counts.broken_lines, 7U);
  EXPECT_EQ(stats.counts.RelistsFor(RelistReason::kSkippedLines), 1U);
}

TEST_F(InformerTest, R7_ALineLongerThanCanBeReceivedEndsInAList) {
  Synced();
  server_.Line(std::string((std::size_t{4} << 20) + 1, 'x'));
  server_.Answer(200, ListText({PodText("a", "90"), PodText("huge", "101")}, "106"));
  Settle();
  EXPECT_THAT(told_.Take(), ElementsAre("+huge@101"));
  EXPECT_THAT(LastWatch(), HasSubstr("resourceVersion=106&"));
}

TEST_F(InformerTest, AListThatIsNoListIsAskedForAgain) {
  for (const char* body : {"", "no json", "{}", "[]", R"({"items":7,"metadata":{}})"})
    server_.Answer(200, body);
  server_.Fail({ErrorCode::kInvalid, "too large"});
  server_.Fail({ErrorCode::kDeadline, "too slow"});
  server_.Answer(403, StatusText(403, "Forbidden"));
  server_.Answer(302, "");
  server_.Answer(200, ListText({PodText("a", "90")}, "100"));
  Start();
  Settle();
  EXPECT_THAT(told_.Take(), ElementsAre("+a@90"));
  EXPECT_EQ(Waits().size(), 9U);
  EXPECT_THAT(informer_.stats().last_problem, Not(""));
}

TEST_F(InformerTest, F23_AnObjectThatCannotBeReadIsNotTakenForDeleted) {
  Synced();
  server_.Answer(200, ListText({R"({"metadata":{"namespace":"shop","name":"a","uid":7}})",
                                PodText("b", "103")},
                               "106"));
  server_.Line(EventText("ERROR", StatusText(410, "Expired")));
  Settle();
  EXPECT_THAT(told_.Take(), ElementsAre("+b@103"));
  EXPECT_EQ(cache_.size(), 2U);
  EXPECT_EQ(informer_.stats().counts.broken_items, 1U);
}

TEST_F(InformerTest, TellsWhenItLastHeardOfTheServer) {
  Synced();
  EXPECT_EQ(informer_.stats().last_heard, clock_.Steady());
  clock_.Advance(70s);
  EXPECT_EQ(clock_.Steady() - informer_.stats().last_heard, 70s);
  server_.Line(BookmarkText("120"));
  Settle();
  EXPECT_EQ(informer_.stats().last_heard, clock_.Steady());
}

TEST_F(InformerTest, R41_StopsWhileItWatches) {
  Synced();
  informer_.Stop();
  informer_.Stop();
  EXPECT_EQ(cache_.size(), 1U);  // readers go on
}

TEST_F(InformerTest, R41_StopsWhileItLists) {
  Start();
  ASSERT_TRUE(server_.AwaitSilence());
  informer_.Stop();
  EXPECT_FALSE(cache_.HasSynced());
}

TEST_F(InformerTest, R41_WhatArrivesAfterTheStopIsNotDelivered) {
  Synced();
  informer_.Stop();
  server_.Line(EventText("MODIFIED", PodText("a", "101")));
  EXPECT_THAT(told_.Take(), ElementsAre());
}

TEST(InformerWaitTest, R41_StopsWhileItWaits) {
  fakes::ManualClock clock;
  fakes::ScriptedTransport server(clock);
  ObjectCache cache;
  server.AnswerOthers([](const HttpRequest&) -> Result<HttpResponse> {
    return Error{ErrorCode::kUnavailable, "refused"};
  });
  InformerOptions options;
  options.watcher.first_wait = 1h;  // of the real clock
  options.watcher.longest_wait = 1h;
  const SystemClock real;
  Informer informer(server, real, Resource{.type = kPods, .decode = &DecodePod}, cache, options);
  informer.Start();
  informer.Stop();  // the test would not end otherwise
  EXPECT_FALSE(cache.HasSynced());
}

TEST(InformerWaitTest, WaitsUntilTheTimeHasCome) {
  const Time until = std::chrono::steady_clock::now() + 5ms;
  WaitOnThread(until, {});
  EXPECT_GE(std::chrono::steady_clock::now(), until);
}

}  // namespace
}  // namespace backfill::kube
