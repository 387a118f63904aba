#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "operator/reconcile/decide.h"
#include "operator/reconcile/events.h"

namespace backfill::reconcile {

inline constexpr char kHash[] =
    "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
inline const WallTime kNow{std::chrono::seconds(1'800'000'000)};

inline ledger::Totals TotalsOf(std::int64_t shards, std::int64_t done, std::uint64_t per_shard,
                               std::uint64_t failed = 0) {
  ledger::Totals t;
  t.shards = shards;
  t.shards_done = done;
  t.shards_pending = shards - done;
  t.planned = static_cast<std::uint64_t>(shards) * per_shard;
  t.counts.failed = failed;
  t.counts.updated = static_cast<std::uint64_t>(done) * per_shard - failed;
  return t;
}

// Carries a Backfill through its life: verbs change what is observed, Step() decides and keeps the
// status, as the reconciler does.
class DecideTest : public testing::Test {
 protected:
  DecideTest() {
    o_.backfill.name = "reprice";
    o_.backfill.ns = "default";
    o_.backfill.uid = "uid-1";
    o_.backfill.generation = 1;
    o_.backfill.spec.source = api::RangeSource{0, 1000};
    o_.backfill.spec.failure_policy.max_failed_percent = "100";
  }

  void RealRun() {
    o_.backfill.spec.dry_run = false;
    o_.backfill.spec.perform_disruptive_backfill = "reprice";
    o_.backfill.spec.throttle.max_records_per_second = 500;
  }
  void Planned() {
    o_.backfill.status.plan = api::PlanStatus{kHash, 10, 1000, "2027-01-15T08:00:00Z"};
    o_.run.ledger = LedgerSummary{kHash, TotalsOf(10, 0, 100)};
    o_.dry_run.ledger = o_.run.ledger;
  }
  void ReportBegun() { o_.report = ReportState::kStarted; }
  StageSnapshot& Opened(ObservedStage& stage, std::int64_t done = 0) {
    stage.open.emplace();
    stage.open->totals = TotalsOf(10, done, 100);
    stage.open->flushed = true;
    stage.open->connected = 2;
    stage.ledger = LedgerSummary{kHash, stage.open->totals};
    stage.pool.alive = stage.pool.desired = 2;
    stage.opened_batch_size = 1;
    return *stage.open;
  }
  void WorkersGone(ObservedStage& stage) { stage.pool.alive = stage.pool.desired = 0; }
  void PausedBy(const std::string& reason) {
    o_.backfill.annotations[api::kPausedAnnotation] = reason;
  }

  const Decision& Step() {
    decision_ = Decide(o_, now_);
    o_.backfill.status = decision_.status;
    return decision_;
  }

  std::string ConditionOf(const std::string& type) const {
    for (const api::Condition& c : o_.backfill.status.conditions) {
      if (c.type != type) continue;
      const std::string value = c.status == api::ConditionStatus::kTrue    ? "True"
                                : c.status == api::ConditionStatus::kFalse ? "False"
                                                                           : "Unknown";
      return value + "/" + c.reason;
    }
    return "-";
  }
  std::string MessageOf(const std::string& type) const {
    for (const api::Condition& c : o_.backfill.status.conditions)
      if (c.type == type) return c.message;
    return "-";
  }
  api::Phase PhaseNow() const { return o_.backfill.status.phase.value_or(api::Phase::kPending); }

  const LiveSettings* Configured() const {
    for (const Action& a : decision_.actions)
      if (const auto* c = std::get_if<ConfigureStage>(&a)) return &c->settings;
    return nullptr;
  }

  std::string SinceOf(const std::string& type) const {
    for (const api::Condition& c : o_.backfill.status.conditions)
      if (c.type == type) return c.last_transition_time;
    return "-";
  }
  void Later(Duration d) { now_ += std::chrono::duration_cast<WallTime::duration>(d); }

  Observed o_;
  Decision decision_;
  WallTime now_ = kNow;
};

}  // namespace backfill::reconcile
