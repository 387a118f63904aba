#include "operator/metrics/backfill_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "operator/api/decode.h"
#include "operator/kube/probes/prometheus_metrics.h"
#include "operator/metrics/process_metrics.h"
#include "tests/fakes/manual_clock.h"

namespace backfill::metrics {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kHash = "sha256:0123456789ab" + std::string(52, 'f');

api::Backfill Reprice() {
  api::Backfill b;
  b.ns = "shop";
  b.name = "reprice";
  b.uid = "u-1";
  b.resource_version = "7";
  b.spec.dry_run = false;
  b.spec.failure_policy.max_failed_records = 1000;
  b.spec.failure_policy.max_failed_percent = "0.1";
  b.status.phase = api::Phase::kRunning;
  b.status.plan = api::PlanStatus{};
  b.status.plan->hash = kHash;
  b.status.plan->shards = 10;
  b.status.plan->records = 100'000;
  b.status.dry_run = api::ProgressStatus{};
  b.status.dry_run->skipped = 100'000;
  b.status.rate = api::RateStatus{.current = 1, .limit = 5000, .limited_by = "Max"};
  b.status.workers = api::WorkersStatus{.desired = 8, .connected = 1};
  b.status.conditions = {{.type = "Throttled",
                          .status = api::ConditionStatus::kTrue,
                          .reason = "TargetHoldsBack",
                          .message = "",
                          .last_transition_time = ""}};
  return b;
}

reconcile::StageSnapshot Open() {
  reconcile::StageSnapshot open;
  open.totals.planned = 100'000;
  open.totals.counts = {.updated = 49'990, .unchanged = 5, .skipped = 3, .failed = 2};
  open.totals.shards = 10;
  open.totals.shards_pending = 2;
  open.totals.shards_in_flight = 3;
  open.totals.shards_done = 5;
  open.totals.redone_at_most = 40;
  open.connected = 7;
  open.working = 3;
  open.without_target = 1;
  open.attempts_per_second = 4321.5;
  open.granted = 4990;
  open.lease_expirations = 2;
  open.unwritten_for = 1500ms;
  return open;
}

class BackfillMetricsTest : public ::testing::Test {
 protected:
  BackfillMetricsTest() { prometheus_.Add(metrics_); }
  [[nodiscard]] std::string Text() const { return prometheus_.Text(); }
  [[nodiscard]] static std::string Line(const std::string& metric, const std::string& labels,
                                        const std::string& value) {
    return "\n" + metric + "{" + labels + "} " + value + "\n";
  }

  BackfillMetrics metrics_;
  kube::PrometheusMetrics prometheus_;
};

TEST_F(BackfillMetricsTest, ARunIsPublishedAsItsLedgerHasIt) {
  metrics_.Update(Reprice(), Open());
  const std::string text = Text();
  const std::string who = R"(name="reprice",namespace="shop")";
  for (const auto& [metric, labels, value] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"backfill_info", who + R"(,phase="Running",plan_hash="0123456789ab")", "1"},
           {"backfill_records_total", who + R"(,outcome="updated",stage="run")", "49990"},
           {"backfill_records_total", who + R"(,outcome="unchanged",stage="run")", "5"},
           {"backfill_records_total", who + R"(,outcome="skipped",stage="run")", "3"},
           {"backfill_records_total", who + R"(,outcome="failed",stage="run")", "2"},
           {"backfill_records_total", who + R"(,outcome="skipped",stage="dry-run")", "100000"},
           {"backfill_shards", who + R"(,state="pending")", "2"},
           {"backfill_shards", who + R"(,state="in_flight")", "3"},
           {"backfill_shards", who + R"(,state="done")", "5"},
           {"backfill_progress_ratio", who, "0.5"},
           {"backfill_rate_limit_records_per_second", who, "5000"},
           {"backfill_rate_current_records_per_second", who, "4321.5"},
           {"backfill_granted_records_per_second", who, "4990"},
           {"backfill_throttled", who + R"(,reason="TargetHoldsBack")", "1"},
           {"backfill_stalled", who, "0"},
           {"backfill_workers", who + R"(,state="desired")", "8"},
           {"backfill_workers", who + R"(,state="connected")", "7"},
           {"backfill_workers", who + R"(,state="working")", "3"},
           {"backfill_workers", who + R"(,state="without_target")", "1"},
           {"backfill_leases", who, "3"},
           {"backfill_lease_expirations_total", who, "2"},
           {"backfill_redone_records_total", who, "40"},
           {"backfill_ledger_unwritten_seconds", who, "1.5"},
           {"backfill_failed_records_limit", who, "100"}})
    EXPECT_THAT(text, HasSubstr(Line(metric, labels, value)));
  EXPECT_THAT(text, HasSubstr("# TYPE backfill_records_total counter\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE backfill_workers gauge\n"));
  EXPECT_THAT(text, HasSubstr(Line("backfill_status_bytes", who,
                                   std::to_string(api::StatusToJson(Reprice().status).size()))));
}

TEST_F(BackfillMetricsTest, ADryRunIsAStageOfItsOwn) {
  api::Backfill b = Reprice();
  b.spec.dry_run = true;
  b.status.dry_run.reset();
  b.status.phase = api::Phase::kDryRunning;
  const BackfillFigures open = FiguresOf(b, Open());
  EXPECT_EQ(open.stages.size(), 1U);
  EXPECT_EQ(open.stages.at("dry-run").updated, 49'990U);
  b.status.progress = api::ProgressStatus{};
  b.status.progress->updated = 60'000;
  EXPECT_EQ(FiguresOf(b, std::nullopt).stages.at("dry-run").updated, 60'000U);
  // It is turned off: what the status shows until the run begins is not the run's.
  b.spec.dry_run = false;
  b.status.phase = api::Phase::kAwaitingApproval;
  EXPECT_FALSE(FiguresOf(b, std::nullopt).stages.contains("run"));
}

TEST_F(BackfillMetricsTest, OfAClosedStageTheStatusIsPublished) {
  api::Backfill b = Reprice();
  b.status.phase = api::Phase::kCompleted;
  b.status.progress = api::ProgressStatus{};
  b.status.progress->updated = 99'999;
  b.status.progress->failed = 1;
  b.status.progress->shards_done = 10;
  b.status.progress->ratio = "1.000";
  b.status.progress->redone_at_most = 12;
  const BackfillFigures f = FiguresOf(b, std::nullopt);
  EXPECT_EQ(f.stages.at("run").updated, 99'999U);
  EXPECT_EQ(f.shards_done, 10);
  EXPECT_EQ(f.shards_pending, 0);
  EXPECT_EQ(f.ratio, 1.0);
  EXPECT_EQ(f.redone, 12U);
  EXPECT_EQ(f.workers_working, 0);
}

// A counter that falls is taken for one that began anew.
TEST_F(BackfillMetricsTest, WhatCannotBeLookedAtIsAsTheStatusHasIt) {
  api::Backfill b = Reprice();
  b.status.progress = api::ProgressStatus{};
  b.status.progress->updated = 40'000;
  reconcile::StageSnapshot unknown;
  unknown.error = Error{ErrorCode::kDeadline, "no answer"};
  EXPECT_EQ(FiguresOf(b, unknown).stages.at("run").updated, 40'000U);
}

TEST_F(BackfillMetricsTest, SeriesGoWithTheirBackfillAndItsOldPhase) {
  api::Backfill b = Reprice();
  metrics_.Update(b, Open());
  b.status.phase = api::Phase::kPaused;
  b.status.conditions.clear();
  metrics_.Update(b, Open());
  EXPECT_THAT(Text(), Not(HasSubstr("phase=\"Running\"")));
  EXPECT_THAT(Text(), HasSubstr("phase=\"Paused\""));
  EXPECT_THAT(Text(), Not(HasSubstr("TargetHoldsBack")));
  metrics_.Forget("shop", "other");
  EXPECT_THAT(Text(), HasSubstr("reprice"));
  metrics_.Forget("shop", "reprice");
  EXPECT_THAT(Text(), Not(HasSubstr("backfill_")));
}

TEST_F(BackfillMetricsTest, ACounterOfLeasesGoesOnWhenItsStageIsOpenedAgain) {
  reconcile::StageSnapshot open = Open();
  const auto counted = [&] {
    for (const kube::MetricFamily& family : metrics_.Collect())
      if (family.name == "backfill_lease_expirations_total") return family.samples[0].value;
    return -1.0;
  };
  metrics_.Update(Reprice(), open);
  EXPECT_EQ(counted(), 2);
  metrics_.Update(Reprice(), std::nullopt);
  metrics_.Update(Reprice(), std::nullopt);
  EXPECT_EQ(counted(), 2);
  open.lease_expirations = 3;
  metrics_.Update(Reprice(), open);
  EXPECT_EQ(counted(), 5);
  open.lease_expirations = 1;  // it was closed and opened between two looks
  metrics_.Update(Reprice(), open);
  EXPECT_EQ(counted(), 6);
  api::Backfill other = Reprice();
  other.uid = "u-2";
  metrics_.Update(other, open);
  EXPECT_EQ(counted(), 1);
}

TEST_F(BackfillMetricsTest, NothingThatOthersWriteBecomesALabel) {
  api::Backfill b = Reprice();
  b.status.plan->hash = "sha256:<script>";
  b.status.conditions[0].reason = "p99 of 10.0.0.7 is \"high\"\n";
  metrics_.Update(b, Open());
  EXPECT_THAT(Text(), HasSubstr("plan_hash=\"\""));
  EXPECT_THAT(Text(), HasSubstr("reason=\"Other\""));
  EXPECT_THAT(Text(), Not(HasSubstr("script")));
  std::set<std::string> labels;
  for (const kube::MetricFamily& family : metrics_.Collect())
    for (const kube::MetricSample& sample : family.samples)
      for (const auto& [name, value] : sample.labels) labels.insert(name);
  EXPECT_THAT(labels, testing::ElementsAre("name", "namespace", "outcome", "phase", "plan_hash",
                                           "reason", "stage", "state"));
}

TEST_F(BackfillMetricsTest, ItIsBounded) {
  BackfillMetrics few(2);
  for (int i = 0; i < 5; ++i) {
    api::Backfill b = Reprice();
    b.name = "b" + std::to_string(i);
    few.Update(b, std::nullopt);
  }
  EXPECT_EQ(few.Collect().front().samples.size(), 2U);
}

TEST_F(BackfillMetricsTest, ManyThreadsAtOnce) {
  std::vector<std::jthread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([this, t] {
      api::Backfill b = Reprice();
      b.name += std::to_string(t);
      for (int i = 0; i < 50; ++i) {
        metrics_.Update(b, Open());
        static_cast<void>(metrics_.Collect());
        if (i % 8 == 0) metrics_.Forget(b.ns, b.name);
      }
    });
  }
  threads.clear();
  EXPECT_EQ(metrics_.Collect().front().samples.size(), 3U);
}

TEST(ProcessMetricsTest, WhatIsGivenIsPublishedAndWhatIsNotIsLeftOut) {
  const fakes::ManualClock clock;
  const ProcessMetrics all(
      clock,
      {.auth_failures = [] { return std::map<std::string, std::uint64_t>{{"token", 3}}; },
       .turned_away = [] { return std::uint64_t{5}; },
       .certificate_ends =
           [] { return std::map<std::string, WallTime>{{"server", WallTime(1'900'000'000s)}}; },
       .leader_epoch = [] { return std::optional(Epoch{4}); },
       .crd_outdated = [] { return true; }});
  kube::PrometheusMetrics prometheus;
  prometheus.Add(all);
  const std::string text = prometheus.Text();
  EXPECT_THAT(text, HasSubstr("backfill_auth_failures_total{reason=\"token\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("backfill_connections_turned_away_total 5\n"));
  EXPECT_THAT(text, HasSubstr("backfill_certificate_end_timestamp_seconds{certificate=\"server\"} "
                              "1900000000\n"));
  EXPECT_THAT(text, HasSubstr("backfill_leader_epoch 4\n"));
  EXPECT_THAT(text, HasSubstr("backfill_crd_outdated 1\n"));
  EXPECT_TRUE(ProcessMetrics(clock, {}).Collect().empty());
}

}  // namespace
}  // namespace backfill::metrics
