#include "tests/cli/samples.h"

#include <algorithm>

#include "cli/human.h"

namespace backfill::cli {
namespace {

using api::ConditionStatus;
using api::Phase;

constexpr char kSince[] = "2026-05-01T11:48:30Z";

api::ProgressStatus Progress(std::uint64_t records, std::uint64_t failed) {
  api::ProgressStatus p;
  p.records = records;
  p.failed = failed;
  p.unchanged = records / 100;
  p.skipped = records / 1000;
  p.updated = records - p.failed - p.unchanged - p.skipped;
  p.shards_done = static_cast<std::int64_t>(records / 10'000);
  return p;
}

void SetActivity(api::Backfill& b) {
  b.status.rate = api::RateStatus{4980.4, 5000, "Max"};
  b.status.workers = api::WorkersStatus{8, 7};
  b.status.eta = "2026-05-01T12:17:18Z";
}

}  // namespace

WallTime Noon() { return *ParseWallTime("2026-05-01T12:00:00Z"); }

void SetCondition(api::Backfill& b, const std::string& type, ConditionStatus status,
                  const std::string& reason, const std::string& message) {
  auto& all = b.status.conditions;
  const auto same = [&](const api::Condition& c) { return c.type == type; };
  auto it = std::find_if(all.begin(), all.end(), same);
  if (it == all.end()) it = all.insert(it, api::Condition{});
  *it = {type, status, reason, message, b.generation, kSince};
}

api::Backfill SampleIn(Phase phase) {
  api::Backfill b;
  b.name = "reprice";
  b.ns = "shop";
  b.uid = "1a2b3c4d-0000-4000-8000-000000000000";
  b.generation = 3;
  b.creation_time = "2026-05-01T11:40:00Z";
  b.spec.description = "Recompute order totals with the new rounding rule";
  b.spec.owner = api::Owner{"payments", "#payments-oncall", "https://wiki/reprice"};
  b.spec.stakeholders = {{"orders", "#orders", "+20 % writes for 2 h"}};
  b.spec.source = api::RangeSource{0, 10'000'000};
  b.spec.target.url = "http://orders/v1/orders/{{key}}/reprice";
  b.spec.workers.replicas = 8;
  b.spec.dry_run = false;
  b.spec.perform_disruptive_backfill = "reprice";
  b.spec.throttle.max_records_per_second = 5000;
  b.status.observed_generation = b.generation;
  b.status.phase = phase;
  SetCondition(b, "Succeeded", ConditionStatus::kUnknown, "Pending");
  SetCondition(b, "Planned", ConditionStatus::kUnknown, "Planning");
  SetCondition(b, "Approved", ConditionStatus::kUnknown, "NotPlanned");
  SetCondition(b, "Throttled", ConditionStatus::kFalse, "NotThrottled");
  SetCondition(b, "Verified", ConditionStatus::kUnknown, "NotRequested");
  SetCondition(b, "Paused", ConditionStatus::kFalse, "NotPaused");
  if (phase == Phase::kPending || phase == Phase::kPlanning) {
    SetCondition(b, "Ready", ConditionStatus::kUnknown, "Planning");
    SetCondition(b, "Reconciling", ConditionStatus::kTrue, "Planning",
                 "cutting the source into shards");
    return b;
  }
  SetCondition(b, "Planned", ConditionStatus::kTrue, "PlanReady");
  SetCondition(b, "Approved", ConditionStatus::kTrue, "NotRequired");
  b.status.plan =
      api::PlanStatus{"sha256:" + std::string(64, 'a'), 1000, 10'000'000, "2026-05-01T11:41:00Z"};
  b.status.progress = Progress(4'812'000, 23);
  switch (phase) {
    case Phase::kPending:
    case Phase::kPlanning:
      break;
    case Phase::kDryRunning:
      b.spec.dry_run = true;
      SetCondition(b, "Succeeded", ConditionStatus::kUnknown, "DryRun");
      SetCondition(b, "Approved", ConditionStatus::kUnknown, "NotPlanned");
      SetActivity(b);
      SetCondition(b, "Ready", ConditionStatus::kTrue, "DryRunning");
      break;
    case Phase::kAwaitingApproval:
      b.spec.dry_run = true;
      SetCondition(b, "Succeeded", ConditionStatus::kUnknown, "DryRun");
      SetCondition(b, "Approved", ConditionStatus::kFalse, "DryRun",
                   "a dry run; set dryRun to false to run it for real");
      b.status.dry_run = Progress(10'000'000, 0);
      SetCondition(b, "Ready", ConditionStatus::kTrue, "DryRunCompleted");
      break;
    case Phase::kRunning:
      SetActivity(b);
      SetCondition(b, "Ready", ConditionStatus::kTrue, "Running");
      break;
    case Phase::kPaused:
      b.annotations[api::kPausedAnnotation] = "errors in checkout";
      b.status.workers = api::WorkersStatus{8, 8};
      SetCondition(b, "Ready", ConditionStatus::kTrue, "Paused");
      SetCondition(b, "Paused", ConditionStatus::kTrue, "AnnotationPaused", "errors in checkout");
      break;
    case Phase::kCompleted:
      b.status.progress = Progress(10'000'000, 23);
      SetCondition(b, "Ready", ConditionStatus::kTrue, "Completed", "23 records failed");
      SetCondition(b, "Succeeded", ConditionStatus::kTrue, "CompletedWithFailures",
                   "23 records failed");
      break;
    case Phase::kFailed:
    case Phase::kCancelled:
      b.status.progress = Progress(4'812'000, 1001);
      SetCondition(b, "Ready", ConditionStatus::kFalse, "FailureBudgetExceeded",
                   "1001 failed records are more than 1000");
      SetCondition(b, "Stalled", ConditionStatus::kTrue, "FailureBudgetExceeded",
                   "1001 failed records are more than 1000");
      SetCondition(b, "Succeeded", ConditionStatus::kFalse, "FailureBudgetExceeded",
                   "1001 failed records are more than 1000");
      break;
  }
  return b;
}

}  // namespace backfill::cli
