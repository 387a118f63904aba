#include "operator/leader/leader_label.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "operator/kube/runtime/leader_election.h"
#include "operator/kube/runtime/lease_api.h"
#include "operator/leader/elected_leadership.h"
#include "tests/fakes/fake_api_server.h"
#include "tests/fakes/manual_clock.h"

namespace backfill::leader {
namespace {

using namespace std::chrono_literals;
using fakes::Fault;
using kube::HttpMethod;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kPods = "/api/v1/namespaces/default/pods";

class Leads final : public coordinator::Leadership {
 public:
  [[nodiscard]] bool Valid(Time) const override { return leads; }
  bool leads = true;
};

class LeaderLabelTest : public ::testing::Test {
 protected:
  // A replica of the operator.
  struct Replica {
    Replica(LeaderLabelTest& test, const std::string& pod)
        : label(test.api_, test.clock_, leadership,
                {.ns = "default",
                 .pod = pod,
                 .selector = "app.kubernetes.io/name=backfill-operator",
                 .wait = [&test](Time until, const std::stop_token&) {
                   test.clock_.Advance(until - test.clock_.Steady());
                 }}) {}
    Leads leadership;
    LeaderLabel label;
  };

  void Runs(const std::string& pod, json labels = json::object(),
            const std::string& app = "backfill-operator") {
    labels["app.kubernetes.io/name"] = app;
    const json object = {{"metadata", {{"name", pod}, {"labels", labels}}}};
    ASSERT_EQ(server_.Do(HttpMethod::kPost, kPods, object.dump()).status, 201);
  }
  std::vector<std::string> Labelled() {
    const json list = json::parse(server_.Do(HttpMethod::kGet, kPods).body);
    std::vector<std::string> names;
    for (const json& pod : list["items"])
      if (pod["metadata"].value("labels", json::object()).contains("backfill.dev/leader"))
        names.push_back(pod["metadata"]["name"]);
    return names;
  }
  int Writes() { return server_.Count({.verb = "patch", .plural = "pods"}); }
  Time Soon() { return clock_.Steady() + 5s; }

  fakes::ManualClock clock_;
  fakes::FakeApiServer server_{clock_};
  kube::ApiClient api_{server_, nullptr};
};

TEST_F(LeaderLabelTest, OfTwoPodsExactlyTheLeaderHasTheLabel) {
  Runs("a");
  Runs("b");
  Runs("c", {{"backfill.dev/leader", "true"}}, "something-else");
  Replica a(*this, "a");
  Replica b(*this, "b");
  ASSERT_TRUE(a.label.Take({}).ok());
  EXPECT_THAT(Labelled(), ElementsAre("a", "c"));
  ASSERT_TRUE(b.label.Take({}).ok());
  EXPECT_THAT(Labelled(), ElementsAre("b", "c"));
  // First off, then on: at no time two.
  const auto calls = server_.Calls({.verb = "patch"});
  ASSERT_EQ(calls.size(), 3U);
  EXPECT_EQ(calls[1].name, "a");
  EXPECT_THAT(calls[1].body, HasSubstr("null"));
  EXPECT_EQ(calls[2].name, "b");
  ASSERT_TRUE(b.label.Take({}).ok());
  EXPECT_EQ(Writes(), 3) << "a write that changes nothing";
}

TEST_F(LeaderLabelTest, AtItsStartAPodClearsItsOwn) {
  Runs("a", {{"backfill.dev/leader", "true"}});
  Replica a(*this, "a");
  ASSERT_TRUE(a.label.ClearOwn(Soon()).ok());
  EXPECT_THAT(Labelled(), IsEmpty());
  Replica gone(*this, "gone");
  EXPECT_TRUE(gone.label.ClearOwn(Soon()).ok());  // R25
}

TEST_F(LeaderLabelTest, ItIsTriedAgainAndNotForEver) {
  Runs("a", {{"backfill.dev/leader", "true"}});
  Replica a(*this, "a");
  server_.FailNext(3, Fault::Status(503, "ServiceUnavailable"));
  EXPECT_TRUE(a.label.ClearOwn(Soon()).ok());
  server_.GoDown();
  const Time before = clock_.Steady();
  const Status cleared = a.label.ClearOwn(Soon());
  ASSERT_FALSE(cleared.ok());
  EXPECT_EQ(cleared.error().code, ErrorCode::kUnavailable);
  EXPECT_LE(clock_.Steady() - before, 5s);
  server_.ComeBack();
  server_.FailNext(1, Fault::ForbiddenByRole());
  const int writes = Writes();
  EXPECT_FALSE(a.label.ClearOwn(Soon()).ok());
  EXPECT_EQ(Writes(), writes + 1) << "what no retry can heal";
}

// R38
TEST_F(LeaderLabelTest, R38_WhoLeadsNoMoreChangesNothing) {
  Runs("a");
  Runs("b", {{"backfill.dev/leader", "true"}});
  Replica a(*this, "a");
  a.leadership.leads = false;
  const Status taken = a.label.Take({});
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, ErrorCode::kAborted);
  EXPECT_THAT(Labelled(), ElementsAre("b"));
}

TEST_F(LeaderLabelTest, AWriteThatArrivesLateChangesNothing) {
  Runs("a");
  Runs("b");
  Replica a(*this, "a");
  Replica b(*this, "b");
  ASSERT_TRUE(a.label.Take({}).ok());
  // Takes it off `a`, which meanwhile has been written by somebody else: look again.
  server_.FailNext(1, Fault::Status(409, "Conflict"), {.verb = "patch", .name = "a"});
  const Status taken = b.label.Take({});
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, ErrorCode::kConflict);
  EXPECT_THAT(Labelled(), ElementsAre("a"));
  for (const auto& call : server_.Calls({.verb = "patch"}))
    EXPECT_THAT(call.body, HasSubstr("resourceVersion"));
}

TEST_F(LeaderLabelTest, APodThatIsNotAmongThemSaysSo) {
  Runs("b", {{"backfill.dev/leader", "true"}});
  Replica a(*this, "a");
  const Status taken = a.label.Take({});
  ASSERT_FALSE(taken.ok());
  EXPECT_THAT(taken.error().message, HasSubstr("app.kubernetes.io/name=backfill-operator"));
  EXPECT_THAT(Labelled(), ElementsAre("b"));
}

// Threads and real time from here on, which passes only until the next call.
class LeaderLabelThreadTest : public ::testing::Test {
 protected:
  [[nodiscard]] bool Has(const std::string& pod) {
    const json object = json::parse(server_.Do(HttpMethod::kGet, kPods + "/" + pod).body);
    return object["metadata"].value("labels", json::object()).contains("backfill.dev/leader");
  }
  bool Comes(const std::string& pod) {
    const Time until = clock_.Steady() + 20s;
    while (!Has(pod) && clock_.Steady() < until) std::this_thread::sleep_for(5ms);
    return Has(pod);
  }
  void Runs(const std::string& pod) {
    const json object = {{"metadata", {{"name", pod}, {"labels", {{"app", "operator"}}}}}};
    ASSERT_EQ(server_.Do(HttpMethod::kPost, kPods, object.dump()).status, 201);
  }
  LeaderLabelOptions Options(const std::string& pod) {
    return {.ns = "default",
            .pod = pod,
            .selector = "app=operator",
            .look_every = 20ms,
            .first_wait = 5ms};
  }

  SystemClock clock_;
  fakes::FakeApiServer server_{clock_, fakes::FakeApiServer::Options{}};
  kube::ApiClient api_{server_, nullptr};
  Leads leadership_;
};

TEST_F(LeaderLabelThreadTest, R39_ItComesBackWhereItBelongsAndGoesInTheEnd) {
  Runs("a");
  LeaderLabel label(api_, clock_, leadership_, Options("a"));
  server_.FailNext(3, Fault::Status(500, "InternalError"));
  label.Start();
  EXPECT_TRUE(Comes("a"));
  const std::string off = R"({"metadata":{"labels":{"backfill.dev/leader":null}}})";
  server_.Do(HttpMethod::kPatch, kPods + "/a", off, "application/merge-patch+json");
  EXPECT_TRUE(Comes("a"));
  label.Stop(clock_.Steady() + 5s);
  EXPECT_FALSE(Has("a"));
  label.Stop(clock_.Steady());
}

class NoEvents final : public kube::LeaderEvents {
 public:
  void OnLeading(Epoch) override {}
  void OnLost(const std::string&) override {}
};

// R38
TEST_F(LeaderLabelThreadTest, R38_LeadershipIsThatOfTheLeaseAndEndsWithIt) {
  kube::HttpLeaseApi leases(server_, "default", "backfill-operator");
  NoEvents events;
  kube::NoMetrics metrics;
  kube::LeaderElection election(
      {.identity = "a_1", .lease = 2s, .renew_deadline = 1500ms, .retry = 100ms, .spread = 1ms},
      "backfill-operator", leases, clock_, events, metrics);
  const ElectedLeadership leadership(election);
  EXPECT_FALSE(leadership.Valid(clock_.Steady()));
  election.Start();
  const Time until = clock_.Steady() + 20s;
  while (!leadership.Valid(clock_.Steady()) && clock_.Steady() < until)
    std::this_thread::sleep_for(5ms);
  const Time now = clock_.Steady();
  EXPECT_TRUE(leadership.Valid(now));
  EXPECT_FALSE(leadership.Valid(now + 3s)) << "longer than it was renewed for";
  election.Stop();
  EXPECT_FALSE(leadership.Valid(clock_.Steady()));
}

}  // namespace
}  // namespace backfill::leader
