#include "operator/kube/cache/watcher.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/operator/kube/cache/object_text.h"

namespace backfill::kube {
namespace {

std::string Names(const std::vector<ApiObjectPtr>& objects) {
  std::string names;
  for (const ApiObjectPtr& object : objects) names += object->meta.name + " ";
  return names;
}

std::string TypeName(ChangeType type) {
  switch (type) {
    case ChangeType::kAdded:
      return "added";
    case ChangeType::kModified:
      return "modified";
    case ChangeType::kDeleted:
      return "deleted";
  }
  return "?";
}

struct InWords {
  std::string operator()(std::monostate) const { return ""; }
  std::string operator()(const ReplaceCache& r) const {
    return fmt::format("cache {}at {}; ", Names(r.objects), r.version);
  }
  std::string operator()(const ApplyChange& a) const {
    return fmt::format("{} {} at {}; ", TypeName(a.change.type), a.change.object->meta.name,
                       a.version.empty() ? "?" : a.version);
  }
  std::string operator()(const AdvanceVersion& a) const { return "at " + a.version + "; "; }
  std::string operator()(const GetPage& p) const {
    if (!p.token.empty()) return fmt::format("page {} by {}", p.token, p.limit);
    return fmt::format("list from {} by {}", p.version.empty() ? "newest" : p.version, p.limit);
  }
  std::string operator()(const StartWatch& w) const { return "watch from " + w.version; }
  std::string operator()(const WaitUntil& w) const {
    return fmt::format("wait {} ms", (w.at - now) / 1ms);
  }
  Time now;
};

// Feeds a watcher and answers in words: what becomes of the cache, then what to do. Chance is 0
// unless said, so waits are at their shortest.
class WatcherTest : public ::testing::Test {
 protected:
  std::string Feed(WatcherInput input) {
    last_ = watcher_.Step(std::move(input), now_, chance_);
    const InWords words{now_};
    std::string text = std::visit(words, last_.cache);
    if (!last_.action) return text + "go on";
    action_ = *last_.action;
    return text + std::visit(words, action_);
  }
  std::string Start() { return Feed(Begin{}); }
  std::string Page(std::vector<ApiObjectPtr> items, std::string version, std::string next = {}) {
    ListPage page;
    page.items = std::move(items);
    page.resource_version = std::move(version);
    page.next = std::move(next);
    return Feed(PageArrived{std::move(page)});
  }
  std::string Fail(ApiErrorKind kind, std::optional<std::chrono::milliseconds> retry_after = {}) {
    return Feed(ListFailed{Refusal(kind, retry_after)});
  }
  std::string Event(WatchEvent event) { return Feed(EventArrived{std::move(event)}); }
  std::string Mark(std::string version) {
    return Event(Bookmark{.resource_version = std::move(version), .initial_events_end = false});
  }
  std::string Garbage(std::string version = {}) {
    return Event(Broken{.problem = "garbage", .resource_version = std::move(version)});
  }
  std::string ErrorEvent(ApiErrorKind kind) { return Event(Refusal(kind, {})); }
  std::string End() { return Feed(StreamEnded{}); }
  std::string End(ApiErrorKind kind, std::optional<std::chrono::milliseconds> retry_after = {}) {
    return Feed(StreamEnded{Refusal(kind, retry_after)});
  }
  std::string Due() {
    now_ = std::get<WaitUntil>(action_).at;
    return Feed(TimerDue{});
  }
  void Pass(Duration time) { now_ += time; }

  // At 100 with a, and watching.
  void Watching() {
    Start();
    ASSERT_EQ(Page({Object("a", "90")}, "100"), "cache a at 100; watch from 100");
  }
  [[nodiscard]] std::uint64_t Relists(RelistReason reason) const {
    return watcher_.counts().RelistsFor(reason);
  }

  static ApiError Refusal(ApiErrorKind kind, std::optional<std::chrono::milliseconds> retry_after) {
    ApiError error;
    error.kind = kind;
    error.message = "because";
    error.retry_after = retry_after;
    return error;
  }

  Watcher watcher_{WatcherOptions{}};
  WatcherOutput last_;
  WatcherAction action_;  // what is under way
  Time now_{1h};
  double chance_ = 0;
};

// ---- listing

TEST_F(WatcherTest, R1_ListsAnyVersionAtFirst) {
  EXPECT_EQ(Start(), "list from 0 by 500");
  EXPECT_EQ(Page({Object("a", "90"), Object("b", "91")}, "100"),
            "cache a b at 100; watch from 100");
}

TEST_F(WatcherTest, PagesBecomeOneReplacementAtTheVersionOfTheFirst) {
  Start();
  EXPECT_EQ(Page({Object("a", "90")}, "100", "T1"), "page T1 by 500");
  EXPECT_EQ(Page({Object("b", "91")}, "100", "T2"), "page T2 by 500");
  // A server that lost the snapshot went on from a later one: the watch makes up for it.
  EXPECT_EQ(Page({Object("c", "103")}, "105"), "cache a b c at 100; watch from 100");
  EXPECT_EQ(watcher_.counts().lists, 1U);
}

TEST_F(WatcherTest, R1_RelistsFromTheLastVersion) {
  Watching();
  Event(Modified(Object("a", "120")));
  EXPECT_EQ(ErrorEvent(ApiErrorKind::kGone), "wait 800 ms");
  EXPECT_EQ(Due(), "list from 120 by 500");
}

TEST_F(WatcherTest, R1_AsksForTheNewestOnlyWhenTheServerDoesNotKnowTheVersion) {
  Watching();
  End(ApiErrorKind::kGone);
  EXPECT_EQ(Due(), "list from 100 by 500");
  // Too old, or ahead of the server: the wire calls both gone.
  EXPECT_EQ(Fail(ApiErrorKind::kGone), "list from newest by 500");
  EXPECT_EQ(Page({Object("a", "90")}, "130"), "cache a at 130; watch from 130");
  // And from then on as before.
  End(ApiErrorKind::kGone);
  EXPECT_EQ(Due(), "list from 130 by 500");
}

TEST_F(WatcherTest, R1_WaitsWhenNotEvenTheNewestIsThere) {
  Start();
  EXPECT_EQ(Fail(ApiErrorKind::kGone), "list from newest by 500");
  EXPECT_EQ(Fail(ApiErrorKind::kGone), "wait 800 ms");
  EXPECT_EQ(Due(), "list from newest by 500");
}

TEST_F(WatcherTest, AListThatFailsIsBegunAgainWithNothingOfItKept) {
  for (const ApiErrorKind kind :
       {ApiErrorKind::kUnavailable, ApiErrorKind::kDeadline, ApiErrorKind::kForbidden,
        ApiErrorKind::kUnauthenticated, ApiErrorKind::kNotFound}) {
    watcher_ = Watcher(WatcherOptions{});
    Start();
    Page({Object("a", "90")}, "100", "T1");
    EXPECT_EQ(Fail(kind), "wait 800 ms") << ToString(kind);
    EXPECT_EQ(Due(), "list from 0 by 500");
    EXPECT_EQ(Page({Object("b", "90")}, "101"), "cache b at 101; watch from 101");
  }
}

TEST_F(WatcherTest, AListThatTakesLongerThanItsTokenIsAskedForAllAtOnce) {
  Start();
  Page({Object("a", "90")}, "100", "T1");
  EXPECT_EQ(Fail(ApiErrorKind::kGone), "wait 800 ms");
  EXPECT_EQ(Due(), "list from newest by 0");
  // If that is too much, in pages again: one of the two gets through some day.
  EXPECT_EQ(Fail(ApiErrorKind::kInvalid), "wait 1600 ms");
  EXPECT_EQ(Due(), "list from newest by 500");
}

TEST_F(WatcherTest, R33_AListTooLargeToReceiveIsAskedForInPages) {
  // From its memory, at version 0, a server sends everything whatever the limit.
  Start();
  EXPECT_EQ(Fail(ApiErrorKind::kInvalid), "wait 800 ms");
  EXPECT_EQ(Due(), "list from newest by 500");
}

TEST_F(WatcherTest, AListWithoutEndIsGivenUp) {
  watcher_ = Watcher(WatcherOptions{.max_objects = 3});
  Start();
  Page({Object("a", "1"), Object("b", "2")}, "100", "T1");
  EXPECT_EQ(Page({Object("c", "3"), Object("d", "4")}, "100", "T2"), "wait 800 ms");
  Due();
  Page({}, "100", "T1");
  EXPECT_EQ(Page({}, "100", "T1"), "wait 1600 ms");
  Due();
  watcher_ = Watcher(WatcherOptions{.max_pages = 2});
  Start();
  Page({}, "100", "T1");
  Page({}, "100", "T2");
  EXPECT_EQ(Page({}, "100", "T3"), "wait 800 ms");
}

TEST_F(WatcherTest, R7_ItemsThatDoNotDecodeAreCounted) {
  Start();
  ListPage page;
  page.items = {Object("a", "90")};
  page.resource_version = "100";
  page.broken = 2;
  page.problem = "item 3";
  page.unreadable = {{.ns = "shop", .name = "x"}};
  EXPECT_EQ(Feed(PageArrived{page}), "cache a at 100; watch from 100");
  EXPECT_EQ(std::get<ReplaceCache>(last_.cache).unreadable, page.unreadable);
  EXPECT_EQ(last_.problem, "item 3");
  EXPECT_EQ(watcher_.counts().broken_items, 2U);
}

// ---- the length of a watch

TEST_F(WatcherTest, R2_AWatchLastsARandomTimeAndTheClientGivesUpLater) {
  const auto watch_at = [&](double chance) {
    watcher_ = Watcher(WatcherOptions{});
    Start();
    chance_ = chance;
    Page({}, "100");
    return std::get<StartWatch>(action_);
  };
  EXPECT_EQ(watch_at(0).timeout_seconds, 240);
  EXPECT_EQ(watch_at(0.5).timeout_seconds, 265);
  EXPECT_EQ(watch_at(0.999999).timeout_seconds, 290);
  EXPECT_EQ(watch_at(0.999999).give_up_after, 295s);
}

TEST_F(WatcherTest, F5_AWatchGivenUpGoesOnFromTheLastVersion) {
  Watching();
  Mark("150");
  Pass(295s);
  EXPECT_EQ(End(ApiErrorKind::kDeadline), "watch from 150");
}

// ---- events

TEST_F(WatcherTest, R6_EveryEventMovesTheVersion) {
  Watching();
  EXPECT_EQ(Event(Added(Object("b", "101"))), "added b at 101; go on");
  EXPECT_EQ(Event(Modified(Object("a", "102"))), "modified a at 102; go on");
  EXPECT_EQ(Event(Deleted(Object("b", "103"))), "deleted b at 103; go on");
  EXPECT_EQ(Mark("110"), "at 110; go on");
  EXPECT_EQ(Garbage("111"), "go on");
  EXPECT_EQ(watcher_.version(), "111");
  EXPECT_EQ(watcher_.counts().changes, 3U);
  EXPECT_EQ(watcher_.counts().bookmarks, 1U);
}

TEST_F(WatcherTest, R6_TheFirstEventsOfAWatchFromNoVersionAreUnordered) {
  Start();
  EXPECT_EQ(Page({}, "0"), "cache at 0; watch from 0");
  EXPECT_EQ(Event(Added(Object("a", "90"))), "added a at ?; go on");
  EXPECT_EQ(Event(Added(Object("b", "50"))), "added b at ?; go on");
  EXPECT_EQ(Event(Modified(Object("b", "91"))), "modified b at 91; go on");
  // From here on they are not.
  EXPECT_EQ(Event(Added(Object("c", "92"))), "added c at 92; go on");
  EXPECT_EQ(Event(Added(Object("d", "60"))), "wait 800 ms");
}

TEST_F(WatcherTest, R6_ABookmarkEndsTheUnorderedBeginning) {
  Start();
  Page({}, "");
  Event(Added(Object("a", "90")));
  EXPECT_EQ(Mark("95"), "at 95; go on");
  Pass(2s);
  EXPECT_EQ(End(), "watch from 95");
}

TEST_F(WatcherTest, R6_AWatchThatEndsBeforeItHasAVersionIsFollowedByAList) {
  Start();
  Page({}, "0");
  Event(Added(Object("a", "90")));
  Pass(10s);
  EXPECT_EQ(End(), "wait 800 ms");
  // Not from any version: that might be older than what is cached.
  EXPECT_EQ(Due(), "list from newest by 500");
  EXPECT_EQ(Relists(RelistReason::kNoVersion), 1U);
}

TEST_F(WatcherTest, R12_TheSameEventAgainIsNothingNew) {
  Watching();
  Event(Modified(Object("a", "101")));
  EXPECT_EQ(Event(Modified(Object("a", "101"))), "modified a at 101; go on");
  EXPECT_EQ(Mark("101"), "at 101; go on");
}

TEST_F(WatcherTest, R12_AnEventOlderThanTheLastEndsInAList) {
  Watching();
  Event(Modified(Object("a", "105")));
  EXPECT_EQ(Event(Added(Object("b", "101"))), "wait 800 ms");
  EXPECT_EQ(Due(), "list from 105 by 500");
  EXPECT_EQ(Relists(RelistReason::kWentBack), 1U);
}

TEST_F(WatcherTest, ABookmarkOfAServerThatWasRestoredEndsInAList) {
  Watching();
  EXPECT_EQ(Mark("60"), "wait 800 ms");
  EXPECT_EQ(Due(), "list from 100 by 500");
  EXPECT_EQ(Fail(ApiErrorKind::kGone), "list from newest by 500");
  EXPECT_EQ(Page({}, "61"), "cache at 61; watch from 61");
}

TEST_F(WatcherTest, R12_OpaqueVersionsHaveNoOrder) {
  Start();
  Page({}, "zz");
  EXPECT_EQ(Event(Added(Object("b", "aa"))), "added b at aa; go on");
  EXPECT_EQ(Event(Added(Object("c", "0x1"))), "added c at 0x1; go on");
  EXPECT_EQ(Mark("b"), "at b; go on");
}

TEST_F(WatcherTest, R7_BrokenLinesAreCountedAndSkippedAndMadeUpForAtTheEnd) {
  Watching();
  EXPECT_EQ(Garbage(), "go on");
  EXPECT_EQ(last_.problem, "garbage");
  EXPECT_EQ(Garbage(), "go on");
  EXPECT_EQ(watcher_.counts().broken_lines, 2U);
  Event(Modified(Object("a", "105")));
  Pass(250s);
  EXPECT_EQ(End(), "wait 800 ms");
  EXPECT_EQ(Due(), "list from 105 by 500");
  EXPECT_EQ(Page({Object("a", "105")}, "107"), "cache a at 107; watch from 107");
  Pass(250s);
  EXPECT_EQ(End(), "watch from 107");
  EXPECT_EQ(Relists(RelistReason::kSkippedLines), 1U);
}

// ---- ends

TEST_F(WatcherTest, R3_ExpiredAsAStatusRelists) {
  Watching();
  EXPECT_EQ(End(ApiErrorKind::kGone), "wait 800 ms");
  EXPECT_EQ(Due(), "list from 100 by 500");
  EXPECT_EQ(Relists(RelistReason::kExpired), 1U);
}

TEST_F(WatcherTest, R3_ExpiredAsAnEventRelists) {
  Watching();
  EXPECT_EQ(ErrorEvent(ApiErrorKind::kGone), "wait 800 ms");
  // The end of that stream is no news any more.
  EXPECT_EQ(End(), "go on");
  EXPECT_EQ(Due(), "list from 100 by 500");
  EXPECT_EQ(Relists(RelistReason::kExpired), 1U);
}

TEST_F(WatcherTest, R4_RefusalsThatPassAreWaitedOutWithoutAList) {
  for (const ApiErrorKind kind :
       {ApiErrorKind::kUnavailable, ApiErrorKind::kTooManyRequests, ApiErrorKind::kDeadline,
        ApiErrorKind::kForbidden, ApiErrorKind::kUnauthenticated}) {
    watcher_ = Watcher(WatcherOptions{});
    Watching();
    Pass(10s);
    EXPECT_EQ(End(kind), "wait 800 ms") << ToString(kind);
    EXPECT_EQ(Due(), "watch from 100");
    EXPECT_EQ(watcher_.counts().lists, 1U);
  }
}

TEST_F(WatcherTest, RefusalsThatDoNotPassEndInAList) {
  for (const ApiErrorKind kind : {ApiErrorKind::kNotFound, ApiErrorKind::kInvalid,
                                  ApiErrorKind::kTooLarge, ApiErrorKind::kInternal}) {
    watcher_ = Watcher(WatcherOptions{});
    Watching();
    EXPECT_EQ(End(kind), "wait 800 ms") << ToString(kind);
    EXPECT_EQ(Due(), "list from 100 by 500");
    EXPECT_EQ(Relists(RelistReason::kRefused), 1U);
  }
}

TEST_F(WatcherTest, R4_AnOrdinaryEndIsFollowedByTheNextWatchAtOnce) {
  Watching();
  Pass(1s);
  EXPECT_EQ(End(), "watch from 100");
  Event(Modified(Object("a", "101")));
  EXPECT_EQ(End(), "watch from 101");
  EXPECT_EQ(watcher_.counts().lists, 1U);
  EXPECT_EQ(watcher_.counts().failures, 0U);
}

TEST_F(WatcherTest, R4_AConnectionLostAfterNewsIsMadeAgainAtOnce) {
  Watching();
  Event(Modified(Object("a", "101")));
  EXPECT_EQ(End(ApiErrorKind::kUnavailable), "watch from 101");
}

TEST_F(WatcherTest, R4_RetryAfterIsObeyedUpToAMinute) {
  Watching();
  EXPECT_EQ(End(ApiErrorKind::kTooManyRequests, 7s), "wait 7000 ms");
  EXPECT_EQ(Due(), "watch from 100");
  EXPECT_EQ(End(ApiErrorKind::kTooManyRequests, 3600s), "wait 60000 ms");
  Due();
  // Shorter than the wait there would be anyway.
  EXPECT_EQ(End(ApiErrorKind::kTooManyRequests, 1ms), "wait 3200 ms");
  watcher_ = Watcher(WatcherOptions{});
  Start();
  EXPECT_EQ(Fail(ApiErrorKind::kTooManyRequests, 9s), "wait 9000 ms");
}

TEST_F(WatcherTest, AWatchThatAlwaysFailsInTheMiddleEndsInAList) {
  Watching();
  EXPECT_EQ(ErrorEvent(ApiErrorKind::kUnavailable), "wait 800 ms");
  EXPECT_EQ(Due(), "watch from 100");
  EXPECT_EQ(ErrorEvent(ApiErrorKind::kUnavailable), "wait 1600 ms");
  EXPECT_EQ(Due(), "watch from 100");
  EXPECT_EQ(ErrorEvent(ApiErrorKind::kUnavailable), "wait 3200 ms");
  EXPECT_EQ(Due(), "list from 100 by 500");
  EXPECT_EQ(Relists(RelistReason::kErrorEvents), 1U);
}

TEST_F(WatcherTest, AnErrorEventBetweenOthersIsWaitedOut) {
  Watching();
  for (int version = 101; version < 110; ++version) {
    EXPECT_EQ(ErrorEvent(ApiErrorKind::kUnavailable).substr(0, 4), "wait");
    EXPECT_EQ(Due().substr(0, 10), "watch from");
    Event(Modified(Object("a", std::to_string(version))));
  }
  EXPECT_EQ(watcher_.counts().lists, 1U);
}

// ---- waiting

TEST_F(WatcherTest, R5_WaitsDoubleUpTo30s) {
  Start();
  std::vector<std::string> waits;
  for (int i = 0; i < 8; ++i) {
    waits.push_back(Fail(ApiErrorKind::kUnavailable));
    Due();
  }
  EXPECT_EQ(waits, (std::vector<std::string>{"wait 800 ms", "wait 1600 ms", "wait 3200 ms",
                                             "wait 6400 ms", "wait 12800 ms", "wait 25600 ms",
                                             "wait 30000 ms", "wait 30000 ms"}));
}

TEST_F(WatcherTest, R5_EachWaitIsOneToTwoTimesAsLongAtRandom) {
  chance_ = 0.5;
  Start();
  EXPECT_EQ(Fail(ApiErrorKind::kUnavailable), "wait 1200 ms");
  Due();
  chance_ = 0.9999999;
  EXPECT_EQ(Fail(ApiErrorKind::kUnavailable), "wait 3199 ms");
}

TEST_F(WatcherTest, R5_TwoHealthyMinutesForgetTheFailures) {
  Start();
  Fail(ApiErrorKind::kUnavailable);
  Due();
  Fail(ApiErrorKind::kUnavailable);
  Due();
  Page({}, "100");
  Pass(119s);
  EXPECT_EQ(End(ApiErrorKind::kUnavailable), "wait 3200 ms");
  Due();
  Pass(120s);
  EXPECT_EQ(End(ApiErrorKind::kUnavailable), "wait 800 ms");
}

TEST_F(WatcherTest, R5_AWatchThatEndsWithinASecondWithoutNewsIsAFailure) {
  Watching();
  Pass(999ms);
  EXPECT_EQ(End(), "wait 800 ms");
  EXPECT_EQ(Due(), "watch from 100");
  // Nor is it news to hear the same once more.
  Mark("100");
  EXPECT_EQ(End(), "wait 1600 ms");
  Due();
  Mark("101");
  EXPECT_EQ(End(), "watch from 101");
  EXPECT_EQ(End(), "wait 3200 ms");
}

TEST_F(WatcherTest, ATimerThatIsEarlyWaitsOn) {
  Start();
  Fail(ApiErrorKind::kUnavailable);
  Pass(300ms);
  EXPECT_EQ(Feed(TimerDue{}), "wait 500 ms");
}

TEST_F(WatcherTest, R9_WhatComesAtTheWrongTimeChangesNothing) {
  EXPECT_EQ(Page({}, "1"), "go on");
  EXPECT_EQ(Mark("1"), "go on");
  EXPECT_EQ(End(), "go on");
  EXPECT_EQ(Feed(TimerDue{}), "go on");
  Watching();
  EXPECT_EQ(Start(), "go on");
  EXPECT_EQ(Page({}, "500"), "go on");
  EXPECT_EQ(Fail(ApiErrorKind::kGone), "go on");
  EXPECT_EQ(Feed(TimerDue{}), "go on");
  EXPECT_EQ(watcher_.version(), "100");
  EXPECT_EQ(watcher_.counts().failures, 0U);
}

TEST_F(WatcherTest, R9_ACopyGoesOnByItself) {
  Watching();
  Watcher copy = watcher_;
  Event(Modified(Object("a", "101")));
  EXPECT_EQ(copy.version(), "100");
  EXPECT_EQ(watcher_.version(), "101");
}

}  // namespace
}  // namespace backfill::kube
