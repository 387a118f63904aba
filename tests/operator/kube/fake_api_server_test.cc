// The levers of the fake API server, and what it does when time passes. What it has in common with
// a real one is in api_server_contract_test.cc.

#include "tests/fakes/fake_api_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

namespace backfill::fakes {
namespace {

using namespace std::chrono_literals;
using kube::HttpMethod;
using kube::HttpRequest;
using kube::HttpResponse;
using kube::StreamLimits;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr const char* kMaps = "/api/v1/namespaces/shop/configmaps";
constexpr const char* kJobs = "/apis/batch/v1/namespaces/shop/jobs";

class FakeApiServerTest : public ::testing::Test {
 protected:
  // Reads a watch on a thread of its own.
  struct Reader {
    std::stop_source stop;
    Mutex mu;
    std::condition_variable_any changed;
    std::vector<std::string> lines GUARDED_BY(mu);
    std::future<Result<HttpResponse>> end;

    ~Reader() { stop.request_stop(); }
    std::vector<std::string> Lines() {
      MutexLock l(mu);
      return lines;
    }
    // Returns once `n` lines have come.
    std::vector<std::string> Await(std::size_t n) {
      MutexLock l(mu);
      EXPECT_TRUE(changed.wait_for(mu, 30s, [&]() REQUIRES(mu) { return lines.size() >= n; }));
      return lines;
    }
  };

  std::unique_ptr<Reader> Watch(const std::string& target, Duration idle = 10min) {
    auto reader = std::make_unique<Reader>();
    reader->end = std::async(std::launch::async, [this, target, idle, r = reader.get()] {
      return server_.Stream(
          {.method = HttpMethod::kGet, .target = target, .content_type = {}, .body = {}},
          {.deadline = clock_.Steady() + 1h, .idle = idle}, r->stop.get_token(),
          [r](std::string_view line) {
            MutexLock l(r->mu);
            r->lines.emplace_back(line);
            r->changed.notify_all();
            return true;
          });
    });
    return reader;
  }
  std::unique_ptr<Reader> WatchFromNow(const std::string& collection, Duration idle = 10min) {
    auto reader = Watch(collection + std::string("?watch=1&allowWatchBookmarks=true") +
                            "&resourceVersion=" + std::to_string(server_.version()),
                        idle);
    EXPECT_TRUE(server_.AwaitStreams(1));
    return reader;
  }

  Result<HttpResponse> Send(HttpMethod method, const std::string& target,
                            const std::string& body = "") {
    return server_.Send({.method = method,
                         .target = target,
                         .content_type = body.empty() ? "" : "application/json",
                         .body = body},
                        clock_.Steady() + 10s, {});
  }
  int StatusOf(HttpMethod method, const std::string& target, const std::string& body = "") {
    const auto result = Send(method, target, body);
    return result.ok() ? result->status : 0;
  }
  void Make(const std::string& name, const char* collection = kMaps) {
    EXPECT_EQ(server_.Do(HttpMethod::kPost, collection, Named(name)).status, 201);
  }
  bool Exists(const std::string& name) {
    return server_.Do(HttpMethod::kGet, std::string(kMaps) + "/" + name).status == 200;
  }
  static std::string Named(const std::string& name) {
    return R"({"metadata":{"name":")" + name + R"("}})";
  }
  static ::testing::Matcher<const std::string&> Event(const std::string& type,
                                                      const std::string& name) {
    return AllOf(HasSubstr("\"type\":\"" + type + "\""), HasSubstr("\"name\":\"" + name + "\""));
  }
  static ::testing::Matcher<const std::string&> Bookmark() {
    return HasSubstr("\"type\":\"BOOKMARK\"");
  }

  ManualClock clock_;
  FakeApiServer server_{clock_};
};

TEST_F(FakeApiServerTest, TheSameCallsGiveTheSameBytes) {
  ManualClock clock;
  FakeApiServer other(clock);
  const std::string body = R"({"metadata":{"generateName":"a-"}})";
  const HttpRequest request{.method = HttpMethod::kPost,
                            .target = kMaps,
                            .content_type = "application/json",
                            .body = body};
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(server_.Send(request, clock_.Steady() + 1s, {})->body,
              other.Send(request, clock.Steady() + 1s, {})->body);
  }
}

TEST_F(FakeApiServerTest, TheNextCallsFailAndChangeNothing) {
  server_.FailNext(2, Fault::Status(503, "ServiceUnavailable", "busy"), {.verb = "create"});
  EXPECT_EQ(StatusOf(HttpMethod::kPost, kMaps, Named("a")), 503);
  EXPECT_EQ(StatusOf(HttpMethod::kGet, kMaps), 200);
  EXPECT_EQ(StatusOf(HttpMethod::kPost, kMaps, Named("a")), 503);
  EXPECT_FALSE(Exists("a"));
  EXPECT_EQ(StatusOf(HttpMethod::kPost, kMaps, Named("a")), 201);
}

TEST_F(FakeApiServerTest, RetryAfterIsInTheHeaderAndTheBody) {
  server_.FailNext(1, Fault::TooManyRequests(7s));
  const auto refused = Send(HttpMethod::kGet, kMaps);
  EXPECT_EQ(refused->status, 429);
  EXPECT_EQ(refused->retry_after, 7s);
  EXPECT_THAT(refused->body, HasSubstr("\"retryAfterSeconds\":7"));
}

TEST_F(FakeApiServerTest, AnAnswerCanBeLostAfterTheCallHasHappened) {
  server_.FailNext(1, Fault::AnswerLost());
  const auto lost = Send(HttpMethod::kPost, kMaps, Named("a"));
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(Exists("a"));
  server_.FailNext(1, Fault::Unreachable());
  EXPECT_FALSE(Send(HttpMethod::kPost, kMaps, Named("b")).ok());
  EXPECT_FALSE(Exists("b"));
}

// R32: what a client library does that sends a POST again.
TEST_F(FakeApiServerTest, R32_ARequestCanArriveTwice) {
  server_.FailNext(1, Fault::ArrivesTwice());
  EXPECT_EQ(StatusOf(HttpMethod::kPost, kMaps, Named("a")), 409);
  EXPECT_TRUE(Exists("a"));
}

TEST_F(FakeApiServerTest, FaultsFitByVerbKindNameAndSubresource) {
  Make("a");
  server_.FailAlways(Fault::ForbiddenByRole(),
                     {.verb = "get", .plural = "configmaps", .name = "a"});
  server_.FailAlways(Fault::Status(500), {.verb = "patch", .subresource = "status"});
  EXPECT_EQ(StatusOf(HttpMethod::kGet, std::string(kMaps) + "/a"), 403);
  EXPECT_EQ(StatusOf(HttpMethod::kGet, std::string(kMaps) + "/b"), 404);
  EXPECT_EQ(StatusOf(HttpMethod::kPatch, std::string(kJobs) + "/a/status", "{}"), 500);
  EXPECT_EQ(StatusOf(HttpMethod::kPatch, std::string(kJobs) + "/a", "{}"), 415);
  server_.Heal();
  EXPECT_EQ(StatusOf(HttpMethod::kGet, std::string(kMaps) + "/a"), 200);
}

TEST_F(FakeApiServerTest, AnAnswerComesAfterItsDelayOrNotInTime) {
  server_.FailNext(1, Fault::Late(5s));
  auto late = std::async(std::launch::async,
                         [this] { return StatusOf(HttpMethod::kPost, kMaps, Named("a")); });
  while (!Exists("a")) std::this_thread::yield();  // it happens at once
  clock_.Advance(5s);
  EXPECT_EQ(late.get(), 201);
  server_.FailNext(1, Fault::Late(30s));
  auto too_late =
      std::async(std::launch::async, [this] { return Send(HttpMethod::kPost, kMaps, Named("b")); });
  while (!Exists("b")) std::this_thread::yield();
  clock_.Advance(10s);
  EXPECT_EQ(too_late.get().error().code, ErrorCode::kDeadline);
}

TEST_F(FakeApiServerTest, CallsThatAreHeldHaveNoEffectUntilReleased) {
  server_.Hold({.verb = "create"});
  auto held = std::async(std::launch::async,
                         [this] { return StatusOf(HttpMethod::kPost, kMaps, Named("a")); });
  ASSERT_TRUE(server_.AwaitHeld(1));
  EXPECT_FALSE(Exists("a"));
  server_.Release();
  EXPECT_EQ(held.get(), 201);
  server_.Hold({});
  auto expired = std::async(std::launch::async, [this] { return Send(HttpMethod::kGet, kMaps); });
  ASSERT_TRUE(server_.AwaitHeld(1));
  clock_.Advance(10s);
  EXPECT_EQ(expired.get().error().code, ErrorCode::kDeadline);
}

// F1
TEST_F(FakeApiServerTest, F1_AfterSomeCallsNothingIsReached) {
  auto watch = WatchFromNow(kMaps);
  server_.GoDownAfter(2);
  EXPECT_EQ(StatusOf(HttpMethod::kPost, kMaps, Named("a")), 201);
  EXPECT_EQ(StatusOf(HttpMethod::kPost, kMaps, Named("b")), 201);
  EXPECT_EQ(Send(HttpMethod::kPost, kMaps, Named("c")).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(watch->end.get().error().code, ErrorCode::kUnavailable);
  server_.ComeBack();
  EXPECT_EQ(StatusOf(HttpMethod::kPost, kMaps, Named("c")), 201);
  EXPECT_FALSE(server_.Do(HttpMethod::kGet, std::string(kMaps) + "/b").body.empty());
}

// R30
TEST_F(FakeApiServerTest, R30_AQuotaAndATerminatingNamespaceForbid) {
  server_.SetQuota("configmaps", "shop", 1);
  Make("a");
  const auto full = Send(HttpMethod::kPost, kMaps, Named("b"));
  EXPECT_EQ(full->status, 403);
  EXPECT_THAT(full->body, HasSubstr("exceeded quota"));
  server_.LiftQuotas();
  EXPECT_EQ(server_.Do(HttpMethod::kDelete, "/api/v1/namespaces/shop").status, 200);
  const auto going = Send(HttpMethod::kPost, kMaps, Named("b"));
  EXPECT_EQ(going->status, 403);
  EXPECT_THAT(going->body, HasSubstr("NamespaceTerminating"));
  server_.CollectGarbage();
  EXPECT_EQ(StatusOf(HttpMethod::kPost, kMaps, Named("b")), 404);
  EXPECT_FALSE(Exists("a"));
}

// R2
TEST_F(FakeApiServerTest, R2_BookmarksComeEachMinuteAndBeforeTheEnd) {
  auto watch = Watch(std::string(kMaps) +
                     "?watch=1&allowWatchBookmarks=true&timeoutSeconds=90&resourceVersion=" +
                     std::to_string(server_.version()));
  ASSERT_TRUE(server_.AwaitStreams(1));
  Make("z", kJobs);  // moves the version, is no event of this kind
  clock_.Advance(60s);
  EXPECT_THAT(watch->Await(1), ElementsAre(Bookmark()));
  EXPECT_THAT(watch->Lines().at(0), HasSubstr(std::to_string(server_.version())));
  clock_.Advance(30s);
  EXPECT_THAT(watch->Await(2), SizeIs(2));
  EXPECT_EQ(watch->end.get()->status, 200);
}

TEST_F(FakeApiServerTest, WithoutBookmarksAnIdleWatchIsSilent) {
  auto watch = Watch(std::string(kMaps) + "?watch=1&timeoutSeconds=200&resourceVersion=0");
  ASSERT_TRUE(server_.AwaitStreams(1));
  clock_.Advance(100s);
  clock_.Advance(100s);
  EXPECT_EQ(watch->end.get()->status, 200);
  EXPECT_THAT(watch->Lines(), IsEmpty());
}

// F4
TEST_F(FakeApiServerTest, F4_AWatchFromBeforeTheCompactionExpiresAsAnEventOrAStatus) {
  const std::string old = std::to_string(server_.version());
  Make("a");
  server_.Compact();
  const std::string target = std::string(kMaps) + "?watch=1&resourceVersion=" + old;
  auto as_event = Watch(target);
  EXPECT_EQ(as_event->end.get()->status, 200);
  EXPECT_THAT(as_event->Lines(),
              ElementsAre(AllOf(HasSubstr("\"type\":\"ERROR\""), HasSubstr("\"code\":410"),
                                HasSubstr("\"reason\":\"Expired\""))));
  server_.AnswerExpiredWatches(FakeApiServer::ExpiredAs::kStatus);
  auto as_status = Watch(target);
  EXPECT_EQ(as_status->end.get()->status, 410);
  EXPECT_THAT(as_status->Lines(), IsEmpty());
}

TEST_F(FakeApiServerTest, ACompactionDoesNotDisturbOpenWatches) {
  auto watch = WatchFromNow(kMaps);
  Make("a");
  server_.Compact();
  Make("b");
  EXPECT_THAT(watch->Await(2), ElementsAre(Event("ADDED", "a"), Event("ADDED", "b")));
}

TEST_F(FakeApiServerTest, APageTokenExpiresAndItsSuccessorIsInconsistent) {
  for (const char* name : {"a", "b", "c"}) Make(name);
  const std::string first = Send(HttpMethod::kGet, std::string(kMaps) + "?limit=1")->body;
  const auto token = [](const std::string& body) {
    const std::size_t at = body.find("\"continue\":\"") + 12;
    return body.substr(at, body.find('"', at) - at);
  };
  Make("aa");
  server_.Compact();
  const auto gone =
      Send(HttpMethod::kGet, std::string(kMaps) + "?limit=9&continue=" + token(first));
  EXPECT_EQ(gone->status, 410);
  const auto rest =
      Send(HttpMethod::kGet, std::string(kMaps) + "?limit=9&continue=" + token(gone->body));
  EXPECT_EQ(rest->status, 200);
  EXPECT_THAT(rest->body, HasSubstr("\"name\":\"aa\""));
}

// F5
TEST_F(FakeApiServerTest, F5_AHalfOpenWatchIsSilentUntilItsReaderGivesUp) {
  auto watch = WatchFromNow(kMaps, 295s);
  server_.FreezeStreams();
  Make("a");
  clock_.Advance(295s);
  EXPECT_EQ(watch->end.get().error().code, ErrorCode::kDeadline);
  EXPECT_THAT(watch->Lines(), IsEmpty());
}

TEST_F(FakeApiServerTest, WhatThawsDeliversWhatItHeldBack) {
  auto watch = WatchFromNow(kMaps);
  server_.FreezeStreams();
  Make("a");
  EXPECT_TRUE(server_.AwaitDelivered());
  EXPECT_THAT(watch->Lines(), IsEmpty());
  server_.ThawStreams();
  EXPECT_THAT(watch->Await(1), ElementsAre(Event("ADDED", "a")));
}

// F2
TEST_F(FakeApiServerTest, F2_EventsAreLostAndDeliveredTwice) {
  auto watch = WatchFromNow(kMaps);
  server_.DropEvents(1, "configmaps");
  Make("a");
  EXPECT_TRUE(server_.AwaitDelivered());
  server_.RepeatEvents(1, "configmaps");
  Make("b");
  Make("c");
  EXPECT_THAT(watch->Await(3),
              ElementsAre(Event("ADDED", "b"), Event("ADDED", "b"), Event("ADDED", "c")));
}

TEST_F(FakeApiServerTest, F2_EventsOfOneKindComeLaterThanThoseOfAnother) {
  auto maps = WatchFromNow(kMaps);
  auto jobs = WatchFromNow(kJobs);
  ASSERT_TRUE(server_.AwaitStreams(2));
  server_.HoldEvents("configmaps");
  Make("a");
  Make("b", kJobs);
  EXPECT_THAT(jobs->Await(1), ElementsAre(Event("ADDED", "b")));
  EXPECT_TRUE(server_.AwaitDelivered());
  EXPECT_THAT(maps->Lines(), IsEmpty());
  server_.ReleaseEvents();
  EXPECT_THAT(maps->Await(1), ElementsAre(Event("ADDED", "a")));
}

TEST_F(FakeApiServerTest, ADrippingStreamGivesOneLineAtATime) {
  auto watch = WatchFromNow(kMaps);
  server_.DripEvents(1s);
  Make("a");
  Make("b");
  clock_.Advance(1s);
  EXPECT_THAT(watch->Await(1), ElementsAre(Event("ADDED", "a")));
  clock_.Advance(1s);
  EXPECT_THAT(watch->Await(2), SizeIs(2));
}

// R7
TEST_F(FakeApiServerTest, R7_AnythingCanBeSentDownAStream) {
  auto watch = WatchFromNow(kMaps);
  server_.SendLine("{\"type\":\"NONSENSE\"}");
  server_.SendBookmarks();
  server_.ExpireStreams();
  EXPECT_EQ(watch->end.get()->status, 200);
  const auto lines = watch->Lines();
  EXPECT_THAT(lines.front(), HasSubstr("NONSENSE"));
  EXPECT_THAT(lines.back(), HasSubstr("\"code\":410"));
}

TEST_F(FakeApiServerTest, StreamsAreCutOrEnded) {
  auto cut = WatchFromNow(kMaps);
  server_.CutStreams("jobs");
  server_.CutStreams("configmaps");
  EXPECT_EQ(cut->end.get().error().code, ErrorCode::kUnavailable);
  auto ended = WatchFromNow(kMaps);
  server_.EndStreams();
  EXPECT_EQ(ended->end.get()->status, 200);
}

// F3
TEST_F(FakeApiServerTest, F3_AServerThatLagsShowsThePastToWhoAsksForIt) {
  Make("a");
  server_.LagBehind();
  Make("b");
  const std::string list = kMaps;
  EXPECT_THAT(Send(HttpMethod::kGet, list + "?resourceVersion=0")->body,
              Not(HasSubstr("\"name\":\"b\"")));
  EXPECT_EQ(StatusOf(HttpMethod::kGet, list + "/b?resourceVersion=0"), 404);
  EXPECT_EQ(StatusOf(HttpMethod::kGet, list + "/b"), 200);
  EXPECT_THAT(Send(HttpMethod::kGet, list)->body, HasSubstr("\"name\":\"b\""));
  auto watch = Watch(list + "?watch=1&resourceVersion=0");
  EXPECT_THAT(watch->Await(1), ElementsAre(Event("ADDED", "a")));
  EXPECT_TRUE(server_.AwaitDelivered());
  EXPECT_THAT(watch->Lines(), SizeIs(1));
  server_.CatchUp();
  EXPECT_THAT(watch->Await(2).back(), Event("ADDED", "b"));
}

// R1: the list waits, for as long as a real server does.
TEST_F(FakeApiServerTest, R1_AListAheadWaitsForTheServerToCatchUp) {
  server_.LagBehind();
  Make("a");
  const std::string ahead =
      std::string(kMaps) + "?resourceVersion=" + std::to_string(server_.version());
  auto waiting = std::async(std::launch::async, [&] { return StatusOf(HttpMethod::kGet, ahead); });
  server_.CatchUp();
  EXPECT_EQ(waiting.get(), 200);
}

TEST_F(FakeApiServerTest, DependentsGoWhenTheCollectorComesByAndNotBefore) {
  const std::string owner = server_.Do(HttpMethod::kPost, kMaps, Named("owner")).body;
  const std::size_t at = owner.find("\"uid\":\"") + 7;
  const std::string uid = owner.substr(at, 36);
  const auto owned = [&](const std::string& name) {
    return R"({"metadata":{"name":")" + name +
           R"(","ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"owner","uid":")" +
           uid + R"(","controller":true,"blockOwnerDeletion":true}]}})";
  };
  server_.Do(HttpMethod::kPost, kMaps, owned("a"));
  server_.Do(HttpMethod::kDelete, std::string(kMaps) + "/owner?propagationPolicy=Foreground");
  EXPECT_TRUE(Exists("owner"));
  server_.CollectGarbage();
  EXPECT_FALSE(Exists("owner"));
  EXPECT_FALSE(Exists("a"));

  server_.Do(HttpMethod::kPost, kMaps, owned("b"));  // its owner is gone already
  EXPECT_TRUE(Exists("b"));
  server_.CollectGarbage();
  EXPECT_FALSE(Exists("b"));
}

TEST_F(FakeApiServerTest, OrphansStay) {
  const std::string owner = server_.Do(HttpMethod::kPost, kJobs, Named("owner")).body;
  const std::string uid = owner.substr(owner.find("\"uid\":\"") + 7, 36);
  server_.Do(HttpMethod::kPost, kMaps,
             R"({"metadata":{"name":"a","ownerReferences":[{"apiVersion":"batch/v1","kind":"Job",)"
             R"("name":"owner","uid":")" +
                 uid + R"("}]}})");
  server_.Do(HttpMethod::kDelete, std::string(kJobs) + "/owner");
  server_.CollectGarbage();
  EXPECT_EQ(server_.Do(HttpMethod::kGet, std::string(kJobs) + "/owner").status, 404);
  EXPECT_TRUE(Exists("a"));
  server_.CollectGarbage();
  EXPECT_TRUE(Exists("a"));
}

TEST_F(FakeApiServerTest, TokensAreReviewedByAudience) {
  server_.AddToken("secret", {.user = "system:serviceaccount:shop:worker",
                              .groups = {"system:serviceaccounts"},
                              .audiences = {"backfill-operator"},
                              .extra = {{"authentication.kubernetes.io/pod-name", {"a-run-0"}}}});
  const auto review = [&](const std::string& token, const std::string& audience) {
    return Send(HttpMethod::kPost, "/apis/authentication.k8s.io/v1/tokenreviews",
                R"({"spec":{"token":")" + token + R"(","audiences":[")" + audience + R"("]}})")
        ->body;
  };
  EXPECT_THAT(review("secret", "backfill-operator"),
              AllOf(HasSubstr("\"authenticated\":true"), HasSubstr("a-run-0"),
                    HasSubstr("\"audiences\":[\"backfill-operator\"]")));
  EXPECT_THAT(review("secret", "another"), Not(HasSubstr("\"authenticated\":true")));
  EXPECT_THAT(review("forged", "backfill-operator"), Not(HasSubstr("\"authenticated\":true")));
  server_.RemoveToken("secret");
  EXPECT_THAT(review("secret", "backfill-operator"), Not(HasSubstr("\"authenticated\":true")));
}

TEST_F(FakeApiServerTest, AccessIsAllowedToWhomItWasGiven) {
  server_.AllowAccess("ann", "approve", "backfills");
  const auto review = [&](const std::string& user) {
    return Send(HttpMethod::kPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                R"({"spec":{"user":")" + user +
                    R"(","resourceAttributes":{"verb":"approve","resource":"backfills"}}})")
        ->body;
  };
  EXPECT_THAT(review("ann"), HasSubstr("\"allowed\":true"));
  EXPECT_THAT(review("bob"), HasSubstr("\"allowed\":false"));
}

TEST_F(FakeApiServerTest, CallsAreRememberedWithTheirOutcome) {
  EXPECT_EQ(StatusOf(HttpMethod::kPost, kMaps, Named("a")), 201);
  EXPECT_EQ(StatusOf(HttpMethod::kGet, std::string(kMaps) + "/none"), 404);
  const auto calls = server_.Calls();
  ASSERT_THAT(calls, SizeIs(2));
  EXPECT_EQ(calls[0].verb, "create");
  EXPECT_EQ(calls[0].status, 201);
  EXPECT_EQ(calls[1].name, "none");
  EXPECT_EQ(calls[1].status, 404);
  EXPECT_EQ(server_.Count({.verb = "get"}), 1);
}

// F23
TEST_F(FakeApiServerTest, F23_HostileRequestsAreRefused) {
  for (const std::string& target :
       {std::string(), std::string("/"), std::string("?"), std::string("//"), std::string("/api"),
        std::string("/apis/%zz/%"), std::string("/api/v1/namespaces/shop/pods/a/b/c/d"),
        std::string("/api/v1/namespaces/shop/configmaps?limit=x"), std::string("/api/v1/\xff")}) {
    EXPECT_GE(StatusOf(HttpMethod::kGet, target), 400) << target;
  }
  std::string deep = R"({"metadata":{"name":"a"},"x":)" + std::string(100'000, '[');
  EXPECT_EQ(StatusOf(HttpMethod::kPost, kMaps, deep), 400);
  EXPECT_EQ(StatusOf(HttpMethod::kPost, kMaps, R"({"metadata":[]})"), 400);
  EXPECT_EQ(StatusOf(HttpMethod::kPost, kMaps, R"({"metadata":{"name":7}})"), 400);
  EXPECT_EQ(StatusOf(HttpMethod::kPost, kMaps, R"({"metadata":{"name":"a","labels":7}})"), 400);
  EXPECT_EQ(StatusOf(HttpMethod::kPost, kMaps, R"({"metadata":{"name":"a","ownerReferences":7}})"),
            400);
  EXPECT_EQ(StatusOf(HttpMethod::kPost, kMaps, R"({"metadata":{"name":"a","finalizers":[7]}})"),
            400);
}

}  // namespace
}  // namespace backfill::fakes
