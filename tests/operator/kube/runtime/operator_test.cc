// An operator put together, over an API server in this process. Its threads are real, and so is the
// clock.
#include "operator/kube/runtime/operator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "eventually.h"
#include "operator/kube/cache/kinds.h"
#include "operator/kube/runtime/reconcile_api.h"
#include "operator/kube/runtime/stop_signals.h"
#include "recorded_metrics.h"
#include "tests/fakes/fake_api_server.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using fakes::FakeApiServer;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const Resource kMaps{kConfigMaps, DecodeConfigMap};
const Resource kJobMetas{kJobs, DecodeMetaOnly};

// NotingReconciler what it is asked to reconcile; does what it was told to.
class NotingReconciler final : public Reconciler {
 public:
  using Act = std::function<Outcome(const ObjectKey& key, ReconcileContext& context)>;
  explicit NotingReconciler(Act act = {}) : act_(std::move(act)) {}

  Outcome Reconcile(const ObjectKey& key, ReconcileContext& context) override {
    {
      MutexLock l(mu_);
      seen_.push_back(key.ns + "/" + key.name);
    }
    return act_ ? act_(key, context) : Outcome::Done();
  }
  std::vector<std::string> Seen() const {
    MutexLock l(mu_);
    return seen_;
  }
  void Forget() {
    MutexLock l(mu_);
    seen_.clear();
  }

 private:
  const Act act_;
  mutable Mutex mu_;
  std::vector<std::string> seen_ GUARDED_BY(mu_);
};

class OperatorTest : public testing::Test {
 protected:
  static bool ComesTo(const NotingReconciler& notes, const std::string& key) {
    return Eventually([&] {
      const std::vector<std::string> seen = notes.Seen();
      return std::find(seen.begin(), seen.end(), key) != seen.end();
    });
  }
  void Create(const ResourceType& type, const std::string& ns, const std::string& metadata) {
    const std::string spec = type.kind == "Job" ? R"("spec":{"template":{}},)" : "";
    const HttpResponse made = server_.Do(HttpMethod::kPost, PathOf(type, ns),
                                         "{" + spec + R"("metadata":)" + metadata + "}");
    ASSERT_EQ(made.status, 201) << made.body;
  }
  std::string UidOf(const ResourceType& type, const std::string& ns, const std::string& name) {
    const Result<ApiObjectPtr> read =
        ParseObject(server_.Do(HttpMethod::kGet, PathOf(type, ns, name)).body, DecodeMetaOnly);
    return read.ok() ? (*read)->meta.uid : "";
  }
  NotingReconciler& Noting(NotingReconciler::Act act = {}) {
    return reconcilers_.emplace_back(std::move(act));
  }
  void Begin() {
    main_ = std::jthread([this](const std::stop_token& stop) { ended_.emplace(op_.Run(stop)); });
  }
  // As a signal does it.
  Status End() {
    main_.request_stop();
    main_.join();
    return *ended_;
  }
  ~OperatorTest() override {
    server_.Release();
    if (main_.joinable()) (void)End();
  }

  SystemClock clock_;
  RecordedMetrics metrics_;
  FakeApiServer server_{clock_, FakeApiServer::Options{}};
  const ApiClient api_{server_, nullptr};
  std::deque<NotingReconciler> reconcilers_;
  Operator op_{server_, clock_, metrics_, {.host = {.tick = 10ms}}};
  std::optional<Status> ended_;
  std::jthread main_;
};

TEST_F(OperatorTest, R13_ReconcilesOnceAllThatItFollowsIsListed) {
  Create(kConfigMaps, "shop", R"({"name":"a"})");
  server_.Hold({.verb = "list", .plural = "jobs"});
  NotingReconciler& notes = Noting();
  FollowedKind& maps = op_.Follow(kMaps);
  op_.Follow(kJobMetas);
  op_.Control(maps, notes);
  Begin();
  ASSERT_TRUE(Eventually([&] { return maps.cache().HasSynced(); }));
  ASSERT_TRUE(server_.AwaitHeld(1));
  EXPECT_THAT(op_.ready().Ask(clock_.Steady()).text, HasSubstr("not all that is followed"));
  EXPECT_THAT(notes.Seen(), IsEmpty());

  server_.Release();
  EXPECT_TRUE(ComesTo(notes, "shop/a"));
  EXPECT_TRUE(op_.ready().Ask(clock_.Steady()).ok);
  EXPECT_TRUE(op_.alive().Ask(clock_.Steady()).ok) << op_.alive().Ask(clock_.Steady()).text;
  EXPECT_TRUE(End().ok());
}

TEST_F(OperatorTest, ReconcilesTheOwnerOfWhatChangesAndWhoeverItNames) {
  NotingReconciler& notes = Noting();
  FollowedKind& maps = op_.Follow(kMaps);
  FollowedKind& jobs = op_.Follow(kJobMetas);
  op_.Control(maps, notes, {.name = "maps"})
      .Owns(jobs, 0ms)
      .Watches(
          jobs,
          [](const ApiObject& job) {
            const auto named = job.meta.labels.find("for");
            if (named == job.meta.labels.end()) return std::vector<ObjectKey>();
            return std::vector<ObjectKey>{{job.meta.ns, named->second}};
          },
          0ms);
  Begin();
  Create(kConfigMaps, "shop", R"({"name":"owner"})");
  ASSERT_TRUE(ComesTo(notes, "shop/owner"));
  notes.Forget();
  Create(kJobs, "shop",
         R"({"name":"child","ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap",)"
         R"("name":"owner","controller":true,"uid":")" +
             UidOf(kConfigMaps, "shop", "owner") + R"("}]})");
  EXPECT_TRUE(ComesTo(notes, "shop/owner"));
  Create(kJobs, "shop", R"({"name":"other","labels":{"for":"named"}})");
  EXPECT_TRUE(ComesTo(notes, "shop/named"));
  // Moved to another name: the one before has to know, too.
  notes.Forget();
  server_.Do(HttpMethod::kPatch, PathOf(kJobs, "shop", "other"),
             R"({"metadata":{"labels":{"for":"next"}}})", "application/merge-patch+json");
  EXPECT_TRUE(ComesTo(notes, "shop/next"));
  EXPECT_THAT(notes.Seen(), Contains("shop/named"));
}

TEST_F(OperatorTest, ControllersOfOneKindHaveQueuesOfTheirOwn) {
  NotingReconciler& one = Noting();
  NotingReconciler& two = Noting();
  FollowedKind& maps = op_.Follow(kMaps);
  EXPECT_EQ(op_.Control(maps, one).controller().name(), "configmaps");
  op_.Control(maps, two, {.name = "two"});
  Begin();
  Create(kConfigMaps, "shop", R"({"name":"a"})");
  EXPECT_TRUE(ComesTo(one, "shop/a"));
  EXPECT_TRUE(ComesTo(two, "shop/a"));
}

// A write in one namespace is waited for in the cache of that namespace, and in no other.
TEST_F(OperatorTest, R21_FollowsAKindInSeveralNamespaces) {
  NotingReconciler& notes = Noting([this](const ObjectKey& key, ReconcileContext& context) {
    return Outcome::Of(
        ReconcileApi(api_, context).Patch(kMaps, key, R"({"metadata":{"labels":{"seen":"yes"}}})"));
  });
  for (const char* ns : {"shop", "other"})
    op_.Control(op_.Follow(kMaps, {.selection = {.ns = ns}}), notes, {.name = ns});
  Begin();
  for (const char* ns : {"shop", "other", "default"}) Create(kConfigMaps, ns, R"({"name":"a"})");
  for (const char* ns : {"shop", "other"}) {
    SCOPED_TRACE(ns);
    EXPECT_TRUE(Eventually([&] {
      const auto seen = notes.Seen();  // once for its creation, once for what was written
      return std::count(seen.begin(), seen.end(), std::string(ns) + "/a") >= 2;
    }));
  }
  EXPECT_THAT(notes.Seen(), Not(Contains("default/a")));
}

TEST_F(OperatorTest, R16_KeysThatWereLostForWantOfRoomAreAddedAgain) {
  for (int i = 0; i < 30; ++i)
    Create(kConfigMaps, "shop", R"({"name":"m)" + std::to_string(i) + R"("})");
  NotingReconciler& notes = Noting();
  FollowedKind& maps = op_.Follow(kMaps);
  op_.Control(maps, notes, {.queue = {.keys = {.max_keys = 10}}});
  Begin();
  EXPECT_TRUE(Eventually([&] {
    const auto seen = notes.Seen();
    return std::set<std::string>(seen.begin(), seen.end()).size() == 30;
  }));
}

TEST_F(OperatorTest, WhatDoesNotStartEndsIt) {
  NotingReconciler& notes = Noting();
  FollowedKind& maps = op_.Follow(kMaps);
  op_.Control(maps, notes);
  op_.Add({.name = "coordinator",
           .stage = Stage::kGrpc,
           .start = [] { return Status(Error{ErrorCode::kUnavailable, "the port is taken"}); },
           .stop = [](Time) {}});
  Begin();
  main_.join();
  ASSERT_FALSE(ended_->ok());
  EXPECT_EQ(ended_->error().message, "starting coordinator: the port is taken");
}

TEST_F(OperatorTest, R41_EventsOfTheLastReconcilesAreStillSent) {
  EventRecorder& events = op_.RecordEvents(server_, "test.dev/operator", "pod-0");
  NotingReconciler& notes = Noting([&](const ObjectKey& key, ReconcileContext&) {
    events.Record({.regarding = {.api_version = "v1",
                                 .kind = "ConfigMap",
                                 .ns = key.ns,
                                 .name = key.name,
                                 .uid = "u1"},
                   .reason = "Seen",
                   .action = "Look",
                   .note = "seen"});
    return Outcome::Done();
  });
  op_.Control(op_.Follow(kMaps), notes);
  Create(kConfigMaps, "shop", R"({"name":"a"})");
  Begin();
  ASSERT_TRUE(ComesTo(notes, "shop/a"));
  EXPECT_TRUE(End().ok());
  EXPECT_THAT(server_.Do(HttpMethod::kGet, "/apis/events.k8s.io/v1/namespaces/shop/events").body,
              AllOf(HasSubstr("\"Seen\""), HasSubstr("pod-0")));
}

// ---- what a reconcile asks the server for

class ReconcileApiTest : public OperatorTest {
 protected:
  // What the first reconcile of shop/a comes to.
  Outcome Once(const NotingReconciler::Act& act, ControllerOptions options = {}) {
    Mutex mu;
    std::optional<Outcome> outcome;
    NotingReconciler& notes = Noting([&](const ObjectKey& key, ReconcileContext& context) {
      if (key.name != "a") return Outcome::Done();
      const Outcome now = act(key, context);
      MutexLock l(mu);
      if (!outcome) outcome = now;
      return Outcome::Done();
    });
    op_.Control(op_.Follow(kMaps), notes, std::move(options));
    Create(kConfigMaps, "shop", R"({"name":"a"})");
    Begin();
    EXPECT_TRUE(Eventually([&] {
      MutexLock l(mu);
      return outcome.has_value();
    }));
    EXPECT_TRUE(End().ok());
    return outcome.value_or(Outcome::Again());
  }
};

TEST_F(ReconcileApiTest, R18_AsksForNoMoreThanAReconcileMay) {
  int calls = 0;
  const Outcome outcome = Once(
      [&](const ObjectKey& key, ReconcileContext& context) {
        ReconcileApi api(api_, context);
        while (true) {
          const auto read = api.Get(kMaps, key);
          if (!read.ok()) return Outcome::Of(read);
          ++calls;
        }
      },
      {.call_limit = 3});
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(outcome.error.code, ErrorCode::kDeadline) << outcome.error.message;
}

TEST_F(ReconcileApiTest, R38_AsksForNothingWithoutLeadership) {
  const Outcome outcome = Once(
      [&](const ObjectKey& key, ReconcileContext& context) {
        return Outcome::Of(ReconcileApi(api_, context).Delete(kMaps, key));
      },
      {.may_act = [](Time) { return false; }});
  EXPECT_EQ(outcome.error.code, ErrorCode::kAborted) << outcome.error.message;
  EXPECT_EQ(server_.Count({.verb = "delete"}), 0);
}

TEST_F(ReconcileApiTest, R22_ALiveReadIsRememberedAndAnyOtherIsNot) {
  const Outcome outcome = Once([&](const ObjectKey& key, ReconcileContext& context) {
    ReconcileApi api(api_, context);
    EXPECT_TRUE(context.MustReadLive());
    EXPECT_TRUE(api.Get(kMaps, key).ok());
    EXPECT_TRUE(context.MustReadLive());
    return Outcome::Of(api.ReadLive(kMaps, key));
  });
  EXPECT_EQ(outcome.kind, Outcome::Kind::kDone) << outcome.error.message;
}

TEST_F(ReconcileApiTest, MakesAnObjectAndReplacesItAtTheVersionThatWasSeen) {
  const Outcome outcome = Once([&](const ObjectKey& key, ReconcileContext& context) {
    ReconcileApi api(api_, context);
    const ObjectKey child{key.ns, "child"};
    const auto made = api.CreateOrUpdate(kMaps, child, {{"data", {{"n", "1"}}}}, nullptr);
    EXPECT_TRUE(made.ok());
    const auto taken = api.CreateOrUpdate(kMaps, child, {{"data", {{"n", "2"}}}}, nullptr);
    EXPECT_EQ(taken.error().kind, ApiErrorKind::kAlreadyExists);
    EXPECT_TRUE(api.CreateOrUpdate(kMaps, child, {{"data", {{"n", "3"}}}}, made->get()).ok());
    const auto late = api.CreateOrUpdate(kMaps, child, {{"data", {{"n", "4"}}}}, made->get());
    EXPECT_EQ(late.error().kind, ApiErrorKind::kConflict);
    return Outcome::Of(api.Delete(kMaps, child, {.uid = (*made)->meta.uid}));
  });
  EXPECT_EQ(outcome.kind, Outcome::Kind::kDone) << outcome.error.message;
}

// ---- the process

TEST(RunUntilStoppedTest, R39_ASignalIsAStopAndAnErrorIsAnExitCode) {
  EXPECT_EXIT(std::exit(RunUntilStopped([](const std::stop_token& stop) -> Status {
                kill(getpid(), SIGTERM);
                while (!stop.stop_requested()) std::this_thread::yield();
                return Ok{};
              })),
              testing::ExitedWithCode(0), "stopping, as asked");
  EXPECT_EXIT(std::exit(RunUntilStopped([](const std::stop_token&) -> Status {
                return Error{ErrorCode::kNotFound, "there is no kubeconfig"};
              })),
              testing::ExitedWithCode(1), "there is no kubeconfig");
}

TEST(RunUntilStoppedTest, ASecondSignalEndsAtOnceButNotOneThatBelongsToTheFirst) {
  EXPECT_EXIT(RunUntilStopped([](const std::stop_token& stop) -> Status {
                kill(getpid(), SIGINT);
                while (!stop.stop_requested()) std::this_thread::yield();
                kill(getpid(), SIGTERM);  // of the same request
                std::this_thread::sleep_for(300ms);
                std::fputs("still here", stderr);
                kill(getpid(), SIGINT);
                std::this_thread::sleep_for(20s);
                return Ok{};
              }),
              testing::ExitedWithCode(1), "still here");
}

}  // namespace
}  // namespace backfill::kube
