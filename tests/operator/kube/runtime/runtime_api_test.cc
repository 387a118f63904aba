// The runtime as a whole, over an API server that goes wrong: informer, cache, queue, controller
// and reconciler; the election; the recorder of events. Real threads, real time, no sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "eventually.h"
#include "operator/kube/cache/kinds.h"
#include "operator/kube/cache/object_cache.h"
#include "operator/kube/client/wire.h"
#include "operator/kube/runtime/event_recorder.h"
#include "operator/kube/runtime/leader_election.h"
#include "operator/kube/runtime/measured_transport.h"
#include "operator/kube/runtime/operator.h"
#include "recorded_metrics.h"
#include "tests/fakes/fake_api_server.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using fakes::FakeApiServer;
using fakes::Fault;
using nlohmann::json;
using testing::HasSubstr;

// For each ConfigMap with the label `copy` there is another, <name>-copy, with the same value.
class Copier final : public Reconciler {
 public:
  Copier(HttpTransport& transport, const ObjectCache& cache)
      : transport_(transport), cache_(cache) {}

  Outcome Reconcile(const ObjectKey& key, ReconcileContext& context) override {
    const Status status = Try(key, context);
    if (status.ok()) return Outcome::Done();
    return Outcome::Failed(status.error());
  }

 private:
  using Map = std::shared_ptr<const ConfigMap>;

  Status Try(const ObjectKey& key, ReconcileContext& context) {
    Map wanted = As<ConfigMap>(cache_.Get(key.ns, key.name));
    if (wanted == nullptr || !wanted->meta.labels.contains("copy")) return Ok{};
    if (context.MustReadLive()) {
      const HttpResponse response =
          TRY(Call(context, HttpMethod::kGet, PathOf(kConfigMaps, key.ns, key.name), {}));
      if (response.status != 200) return Error{ErrorCode::kUnavailable, "no live read"};
      wanted = As<ConfigMap>(TRY(ParseObject(response.body, DecodeConfigMap)));
      context.OnLiveRead(VersionOf(key, *wanted));
    }
    const ObjectKey copy{key.ns, key.name + "-copy"};
    const Map there = As<ConfigMap>(cache_.Get(copy.ns, copy.name));
    if (there != nullptr && there->data == wanted->data) return Ok{};
    return there == nullptr ? Create(copy, *wanted, context) : Change(*there, *wanted, context);
  }

  Status Create(const ObjectKey& copy, const ConfigMap& wanted, ReconcileContext& context) {
    const json body = {{"apiVersion", "v1"},
                       {"kind", "ConfigMap"},
                       {"metadata",
                        {{"name", copy.name},
                         {"namespace", copy.ns},
                         {"ownerReferences",
                          {{{"apiVersion", "v1"},
                            {"kind", "ConfigMap"},
                            {"name", wanted.meta.name},
                            {"uid", wanted.meta.uid},
                            {"controller", true}}}}}},
                       {"data", wanted.data}};
    const ExpectedChange change{.kind = ExpectedChange::Kind::kCreated,
                                .resource = "configmaps",
                                .object = copy,
                                .uid = {}};
    context.Expect(change);
    const Result<HttpResponse> response =
        Call(context, HttpMethod::kPost, PathOf(kConfigMaps, copy.ns), body.dump());
    if (!response.ok() || response->status != 201) context.Lower(change);
    if (!response.ok()) return response.error();
    return Confirm(*response, context);
  }

  Status Change(const ConfigMap& there, const ConfigMap& wanted, ReconcileContext& context) {
    const json patch = {{"metadata", {{"resourceVersion", there.meta.resource_version}}},
                        {"data", wanted.data}};
    return Confirm(TRY(Call(context, HttpMethod::kPatch,
                            PathOf(kConfigMaps, there.meta.ns, there.meta.name), patch.dump())),
                   context);
  }

  static Status Confirm(const HttpResponse& response, ReconcileContext& context) {
    if (response.status < 200 || response.status > 299) return ErrorOf(response).ToError();
    const Map written = As<ConfigMap>(TRY(ParseObject(response.body, DecodeConfigMap)));
    context.OnWrite(VersionOf(written->meta.key(), *written));
    return Ok{};
  }
  Result<HttpResponse> Call(ReconcileContext& context, HttpMethod method, std::string target,
                            std::string body) {
    TRY(context.BeginCall());
    HttpRequest request;
    request.method = method;
    request.target = std::move(target);
    request.content_type =
        method == HttpMethod::kPatch ? "application/merge-patch+json" : "application/json";
    request.body = std::move(body);
    return transport_.Send(request, context.deadline(), context.stop());
  }
  static ObjectVersion VersionOf(const ObjectKey& key, const ConfigMap& map) {
    return {.resource = "configmaps", .object = key, .version = map.meta.resource_version};
  }

  HttpTransport& transport_;
  const ObjectCache& cache_;
};

class RuntimeApiTest : public testing::Test {
 protected:
  void Put(const std::string& name, const std::string& value) {
    const json object = {
        {"apiVersion", "v1"},
        {"kind", "ConfigMap"},
        {"metadata", {{"name", name}, {"namespace", "shop"}, {"labels", {{"copy", "yes"}}}}},
        {"data", {{"value", value}}}};
    if (server_.Do(HttpMethod::kPost, PathOf(kConfigMaps, "shop"), object.dump()).status == 409) {
      server_.Do(HttpMethod::kPatch, PathOf(kConfigMaps, "shop", name), object.dump(),
                 "application/merge-patch+json");
    }
  }
  std::string ValueOf(const std::string& name) {
    const HttpResponse response = server_.Do(HttpMethod::kGet, PathOf(kConfigMaps, "shop", name));
    if (response.status != 200) return "";
    return json::parse(response.body)["data"]["value"];
  }

  SystemClock clock_;
  RecordedMetrics metrics_;
  FakeApiServer server_{clock_, FakeApiServer::Options{}};
};

// An operator's process: everything that runs in one.
class Process {
 public:
  Process(FakeApiServer& server, const Clock& clock, MetricRegistry& metrics,
          std::optional<Leadership> leadership = {})
      : op_(server, clock, metrics,
            {.host = {.tick = 10ms},
             .leadership = std::move(leadership),
             .exit_now = [this](const std::string& why) { exited_ = why; }}),
        maps_(op_.Follow(
            {kConfigMaps, DecodeConfigMap},
            {.selection = {.ns = "shop"}, .watcher = {.first_wait = 5ms, .longest_wait = 50ms}})),
        copier_(server, maps_.cache()) {
    op_.Control(maps_, copier_, {.name = "copier"}).Owns(maps_, 10ms);
    main_ = std::jthread([this](const std::stop_token& stop) { well_ = op_.Run(stop).ok(); });
  }
  bool Leads() const { return op_.election()->epoch().has_value(); }
  void Signal() { main_.request_stop(); }  // SIGTERM
  // Whether all was well, and what was said in the end.
  bool Ends() {
    main_.join();
    return well_;
  }
  const std::string& exited() const { return exited_; }

 private:
  std::string exited_;
  Operator op_;
  FollowedKind& maps_;
  Copier copier_;
  bool well_ = false;
  std::jthread main_;
};

TEST_F(RuntimeApiTest, R20_ConvergesWhateverTheServerDoes) {
  for (int i = 0; i < 20; ++i) Put("m" + std::to_string(i), "one");
  const Process process(server_, clock_, metrics_);
  const auto all_are = [this](const std::string& value) {
    for (int i = 0; i < 20; ++i) {
      if (ValueOf("m" + std::to_string(i) + "-copy") != value) return false;
    }
    return true;
  };
  EXPECT_TRUE(Eventually([&] { return all_are("one"); }));
  EXPECT_EQ(server_.Count({.verb = "create", .plural = "configmaps"}), 20);

  // F2, F4, F6, F8, each during a change of all.
  const std::vector<std::pair<std::string, std::function<void()>>> faults = {
      {"cut streams", [this] { server_.CutStreams(); }},
      {"expired as an event", [this] { server_.ExpireStreams(); }},
      {"compacted while disconnected",
       [this] {
         server_.Compact();
         server_.CutStreams();
       }},
      {"answers lost", [this] { server_.FailNext(10, Fault::AnswerLost(), {.verb = "patch"}); }},
      {"not reached", [this] { server_.FailNext(10, Fault::Unreachable(), {.verb = "patch"}); }},
      {"errors of the server", [this] { server_.FailNext(10, Fault::Status(500), {}); }},
      {"requests arrive twice",
       [this] { server_.FailNext(10, Fault::ArrivesTwice(), {.verb = "patch"}); }},
      {"events twice", [this] { server_.RepeatEvents(10, "configmaps"); }},
      {"down for a while", [this] {
         server_.GoDown();
         std::this_thread::sleep_for(100ms);
         server_.ComeBack();
       }}};
  for (const auto& [name, fault] : faults) {
    SCOPED_TRACE(name);
    for (int i = 0; i < 20; ++i) {
      Put("m" + std::to_string(i), name);
      if (i == 10) fault();
    }
    EXPECT_TRUE(Eventually([&] { return all_are(name); }));
    server_.Heal();
  }
  EXPECT_EQ(server_.Count({.verb = "create", .plural = "configmaps"}), 20);  // none again
}

TEST_F(RuntimeApiTest, F1_AProcessThatIsReplacedMidwayLeavesNoTrace) {
  for (int i = 0; i < 10; ++i) Put("m" + std::to_string(i), "one");
  for (const int calls : {3, 6, 9, 12, 15}) {
    server_.GoDownAfter(calls);  // as if killed: no call of it arrives any more
    {
      const Process process(server_, clock_, metrics_);
      std::this_thread::sleep_for(50ms);
    }
    server_.ComeBack();
  }
  const Process last(server_, clock_, metrics_);
  EXPECT_TRUE(Eventually([&] {
    for (int i = 0; i < 10; ++i) {
      if (ValueOf("m" + std::to_string(i) + "-copy") != "one") return false;
    }
    return true;
  }));
}

// ---- the election

class Notes final : public LeaderEvents {
 public:
  void OnLeading(Epoch epoch) override { epoch_ = static_cast<int>(epoch.value); }
  void OnLost(const std::string& reason) override {
    MutexLock l(mu_);
    lost_ = reason;
  }
  int epoch() const { return epoch_; }
  std::string lost() {
    MutexLock l(mu_);
    return lost_;
  }

 private:
  std::atomic<int> epoch_ = -1;
  Mutex mu_;
  std::string lost_ GUARDED_BY(mu_);
};

TEST_F(RuntimeApiTest, R37_R39_ElectsOverAnApiServer) {
  HttpLeaseApi api(server_, "default", "backfill-operator");
  const auto candidate = [&](const std::string& name, LeaderEvents& events) {
    return std::make_unique<LeaderElection>(
        ElectionOptions{
            .identity = name, .lease = 2s, .renew_deadline = 1500ms, .retry = 50ms, .spread = 10ms},
        "backfill-operator", api, clock_, events, metrics_);
  };
  Notes a_notes, b_notes, c_notes;
  const auto a = candidate("a", a_notes);
  a->Start();
  EXPECT_TRUE(Eventually([&] { return a_notes.epoch() == 1; }));  // it made the Lease
  const auto b = candidate("b", b_notes);
  b->Start();
  server_.FailNext(3, Fault::AnswerLost(), {.verb = "update", .plural = "leases"});
  std::this_thread::sleep_for(300ms);
  EXPECT_TRUE(a->IsLeaderAt(clock_.Steady()));  // renewals whose answers were lost cost nothing
  a->Stop();
  EXPECT_TRUE(Eventually([&] { return b_notes.epoch() == 2; }));
  EXPECT_FALSE(a->IsLeaderAt(clock_.Steady()));
  EXPECT_EQ(a_notes.lost(), "");

  // F11: deleted. No PUT may bring it back with its old holder in it.
  server_.Do(HttpMethod::kDelete,
             "/apis/coordination.k8s.io/v1/namespaces/default/leases/backfill-operator");
  EXPECT_TRUE(Eventually([&] { return !b_notes.lost().empty(); }));
  EXPECT_THAT(b_notes.lost(), HasSubstr("deleted"));
  const auto c = candidate("c", c_notes);
  c->Start();
  EXPECT_TRUE(Eventually([&] { return c_notes.epoch() >= 1; }));
}

// ---- an operator of two replicas

TEST_F(RuntimeApiTest, F10_TheSecondReplicaGoesOnWhereTheFirstEnded) {
  const auto candidate = [this](const std::string& name) {
    return Leadership{.transport = server_,
                      .ns = "default",
                      .name = "backfill-operator",
                      .election = {.identity = name,
                                   .lease = 2s,
                                   .renew_deadline = 1500ms,
                                   .retry = 50ms,
                                   .spread = 10ms}};
  };
  std::optional<Process> a(std::in_place, server_, clock_, metrics_, candidate("a"));
  EXPECT_TRUE(Eventually([&] { return a->Leads(); }));
  Process b(server_, clock_, metrics_, candidate("b"));
  Put("m", "one");
  EXPECT_TRUE(Eventually([&] { return ValueOf("m-copy") == "one"; }));
  EXPECT_FALSE(b.Leads());
  a->Signal();
  EXPECT_TRUE(a->Ends());
  EXPECT_TRUE(Eventually([&] { return b.Leads(); }));
  Put("m", "two");
  EXPECT_TRUE(Eventually([&] { return ValueOf("m-copy") == "two"; }));
  a.reset();

  server_.Do(HttpMethod::kDelete,
             "/apis/coordination.k8s.io/v1/namespaces/default/leases/backfill-operator");
  EXPECT_FALSE(b.Ends());  // by itself
  EXPECT_THAT(b.exited(), HasSubstr("leadership was lost: the Lease was deleted"));
}

TEST_F(RuntimeApiTest, CountsRequestsByStatus) {
  MeasuredTransport measured(server_, metrics_, "fake");
  const auto count = [this](const std::string& code) {
    return metrics_.Value("rest_client_requests_total{code=" + code + ",host=fake,method=GET}");
  };
  HttpRequest request;
  request.target = PathOf(kConfigMaps, "shop");
  EXPECT_TRUE(measured.Send(request, clock_.Steady() + 5s, {}).ok());
  request.target += "/nothing";
  EXPECT_TRUE(measured.Send(request, clock_.Steady() + 5s, {}).ok());
  server_.FailNext(1, Fault::Unreachable());
  EXPECT_FALSE(measured.Send(request, clock_.Steady() + 5s, {}).ok());
  server_.FailNext(1, Fault::Unreachable());
  const StreamLimits limits{.deadline = clock_.Steady() + 5s, .idle = 5s};
  EXPECT_FALSE(measured.Stream(request, limits, {}, [](std::string_view) { return true; }).ok());
  EXPECT_EQ(count("200"), 1);
  EXPECT_EQ(count("404"), 1);
  EXPECT_EQ(count("<error>"), 2);
}

// ---- events

TEST_F(RuntimeApiTest, RecordsEventsThatTheServerTakes) {
  HttpEventSink sink(server_, "backfill.dev/operator", "operator-0");
  EventRecorder recorder({}, sink, clock_, metrics_);
  recorder.Start();
  for (int i = 0; i < 3; ++i) {
    recorder.Record({.regarding = {.api_version = "backfill.dev/v1alpha1",
                                   .kind = "Backfill",
                                   .ns = "shop",
                                   .name = "reprice",
                                   .uid = "u1"},
                     .type = EventType::kWarning,
                     .reason = "Throttled",
                     .action = "Run",
                     .note = "p99 over 200 ms"});
  }
  recorder.Stop();
  const json list = json::parse(
      server_.Do(HttpMethod::kGet, "/apis/events.k8s.io/v1/namespaces/shop/events").body);
  ASSERT_EQ(list["items"].size(), 1U);
  EXPECT_EQ(list["items"][0]["reason"], "Throttled");
  EXPECT_EQ(list["items"][0]["series"]["count"], 3);
}

}  // namespace
}  // namespace backfill::kube
