// Events as an API server gets them, and what a client does about one that is away.

#include "operator/reconcile/api_events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "operator/reconcile/api_finalizers.h"
#include "tests/fakes/fake_api_server.h"
#include "tests/operator/kube/runtime/recorded_metrics.h"

namespace backfill::reconcile {
namespace {

using nlohmann::json;

class ApiEventsTest : public testing::Test {
 protected:
  ApiEventsTest() {
    backfill_.ns = "shop";
    backfill_.name = "reprice";
    backfill_.uid = "00000000-0000-4000-8000-000000000001";
  }
  // What has arrived by the time that the recorder ends.
  json Events() {
    recorder_.Stop();
    const auto list =
        server_.Do(kube::HttpMethod::kGet, "/apis/events.k8s.io/v1/namespaces/shop/events");
    return json::parse(list.body).value("items", json::array());
  }

  fakes::ManualClock clock_;
  fakes::FakeApiServer server_{clock_};
  kube::RecordedMetrics metrics_;
  kube::HttpEventSink http_{server_, "backfill.dev/operator", "operator-0"};
  kube::EventRecorder recorder_{{}, http_, clock_, metrics_};
  ApiEvents events_{recorder_};
  api::Backfill backfill_;
};

TEST_F(ApiEventsTest, SaysWhatHappenedToWhom) {
  recorder_.Start();
  events_.Record(backfill_, {.warning = true,
                             .reason = "WorkersUnavailable",
                             .action = "ScaleWorkers",
                             .note = "QuotaExceeded: pods"});
  const json all = Events();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0]["type"], "Warning");
  EXPECT_EQ(all[0]["reason"], "WorkersUnavailable");
  EXPECT_EQ(all[0]["action"], "ScaleWorkers");
  EXPECT_EQ(all[0]["note"], "QuotaExceeded: pods");
  EXPECT_EQ(all[0]["regarding"]["kind"], "Backfill");
  EXPECT_EQ(all[0]["regarding"]["apiVersion"], "backfill.dev/v1alpha1");
  EXPECT_EQ(all[0]["regarding"]["name"], "reprice");
  EXPECT_EQ(all[0]["regarding"]["uid"], backfill_.uid);
}

TEST_F(ApiEventsTest, F26_EventFloodOfOneObjectIs25Writes) {
  recorder_.Start();
  for (int i = 0; i < 200; ++i)
    events_.Record(backfill_,
                   {false, i % 2 == 0 ? "Paused" : "Resumed", "Pause", "try " + std::to_string(i)});
  EXPECT_LE(Events().size(), 25U);
  EXPECT_LE(server_.Count({.verb = "create"}) + server_.Count({.verb = "patch"}), 25);
}

TEST_F(ApiEventsTest, AFinalizerThatCannotBeSetSaysWhatItWasAbout) {
  const kube::ApiClient client(server_, nullptr);
  ApiFinalizers finalizers(client, clock_);
  server_.FailNext(1, fakes::Fault::Unreachable());
  const Status refused = finalizers.Add(backfill_);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(refused.error().message,
              testing::HasSubstr("adding the finalizer of Backfill shop/reprice"));
}

}  // namespace
}  // namespace backfill::reconcile
