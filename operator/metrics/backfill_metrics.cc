#include "operator/metrics/backfill_metrics.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>
#include <initializer_list>

#include "operator/api/conditions.h"
#include "operator/api/decode.h"
#include "operator/metrics/metric_families.h"

namespace backfill::metrics {
namespace {

using kube::MetricFamily;

constexpr std::size_t kHashDigits = 12;
constexpr std::size_t kMaxReason = 64;
constexpr std::string_view kHashPrefix = "sha256:";

// A status is what others can write: what is no hash, and no reason, is no label.
std::string ShortHash(std::string_view hash) {
  if (!hash.starts_with(kHashPrefix)) return "";
  hash.remove_prefix(kHashPrefix.size());
  const bool hex = std::ranges::all_of(
      hash, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  return hex && hash.size() >= kHashDigits ? std::string(hash.substr(0, kHashDigits)) : "";
}

std::string Word(const std::string& reason) {
  const bool word = !reason.empty() && reason.size() <= kMaxReason &&
                    std::ranges::all_of(reason, [](unsigned char c) { return std::isalnum(c); });
  return word ? reason : "Other";
}

StageFigures FiguresOf(const api::ProgressStatus& progress) {
  return {.updated = progress.updated,
          .unchanged = progress.unchanged,
          .skipped = progress.skipped,
          .failed = progress.failed};
}

StageFigures FiguresOf(const ledger::OutcomeCounts& counts) {
  return {.updated = counts.updated,
          .unchanged = counts.unchanged,
          .skipped = counts.skipped,
          .failed = counts.failed};
}

double Decimal(std::string_view text) {
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

bool IsTrue(const api::Status& status, std::string_view type) {
  const api::Condition* condition = api::FindCondition(status, type);
  return condition != nullptr && condition->status == api::ConditionStatus::kTrue;
}

// Before the run has begun, what the status shows is still the dry run's.
bool HasRun(const api::Status& status) {
  using enum api::Phase;
  const api::Phase phase = status.phase.value_or(kPending);
  return phase != kPending && phase != kPlanning && phase != kDryRunning &&
         phase != kAwaitingApproval;
}

void AddProgress(const api::Backfill& b, const std::optional<reconcile::StageSnapshot>& open,
                 BackfillFigures& f) {
  const std::string_view stage =
      ToString(b.spec.dry_run ? reconcile::Stage::kDryRun : reconcile::Stage::kRun);
  if (b.status.dry_run)
    f.stages[ToString(reconcile::Stage::kDryRun)] = FiguresOf(*b.status.dry_run);
  if (open && open->totals.shards > 0) {  // none: it could not be looked at
    const ledger::Totals& totals = open->totals;
    f.stages[stage] = FiguresOf(totals.counts);
    f.shards_pending = totals.shards_pending;
    f.shards_in_flight = totals.shards_in_flight;
    f.shards_done = totals.shards_done;
    f.redone = totals.redone_at_most;
    f.ratio = totals.planned == 0 ? 0
                                  : static_cast<double>(totals.counts.total()) /
                                        static_cast<double>(totals.planned);
    return;
  }
  if (b.status.plan) f.shards_pending = b.status.plan->shards;
  if (!b.status.progress || (!b.spec.dry_run && !HasRun(b.status))) return;
  const api::ProgressStatus& progress = *b.status.progress;
  f.stages[stage] = FiguresOf(progress);
  f.shards_done = progress.shards_done;
  f.shards_pending = std::max<std::int64_t>(0, f.shards_pending - progress.shards_done);
  f.redone = progress.redone_at_most;
  f.ratio = Decimal(progress.ratio);
}

template <typename Number>
double Value(Number number) {
  return static_cast<double>(number);
}

void AddSeries(SeriesOf of, const BackfillFigures& f) {
  of.Gauge("backfill_info", "1, with what a Backfill is and does",
           {{"phase", f.phase}, {"plan_hash", f.plan_hash}}, 1);
  for (const auto& [stage, counts] : f.stages) {
    for (const auto& [outcome, count] :
         {std::pair("updated", counts.updated), std::pair("unchanged", counts.unchanged),
          std::pair("skipped", counts.skipped), std::pair("failed", counts.failed)})
      of.Counter("backfill_records_total", "Records with an outcome",
                 {{"stage", std::string(stage)}, {"outcome", outcome}}, Value(count));
  }
  for (const auto& [state, count] :
       {std::pair("pending", f.shards_pending), std::pair("in_flight", f.shards_in_flight),
        std::pair("done", f.shards_done)})
    of.Gauge("backfill_shards", "Shards by what has become of them", {{"state", state}},
             Value(count));
  of.Gauge("backfill_progress_ratio", "Records with an outcome, of those planned", {}, f.ratio);
  of.Gauge("backfill_rate_limit_records_per_second", "What all workers together may send", {},
           f.rate_limit);
  of.Gauge("backfill_rate_current_records_per_second", "What they send, retries included", {},
           f.rate_current);
  of.Gauge("backfill_granted_records_per_second", "What workers may believe to have, all together",
           {}, f.granted);
  of.Gauge("backfill_throttled", "1 if it is slower than its maximum, and why",
           {{"reason", f.throttled_by}}, f.throttled ? 1 : 0);
  of.Gauge("backfill_stalled", "1 if it needs a person", {}, f.stalled ? 1 : 0);
  for (const auto& [state, count] :
       {std::pair("desired", f.workers_desired), std::pair("connected", f.workers_connected),
        std::pair("working", f.workers_working),
        std::pair("without_target", f.workers_without_target)})
    of.Gauge("backfill_workers", "Workers by what they do", {{"state", state}}, Value(count));
  of.Gauge("backfill_leases", "Shards that are leased, or reserved for whoever asks next", {},
           Value(f.shards_in_flight));
  of.Counter("backfill_lease_expirations_total", "Leases of workers that fell silent", {},
             Value(f.lease_expirations));
  of.Counter("backfill_redone_records_total", "Records that may have been sent twice", {},
             Value(f.redone));
  of.Gauge("backfill_ledger_unwritten_seconds",
           "Age of the oldest progress that may not be durable", {}, f.ledger_unwritten_seconds);
  of.Gauge("backfill_failed_records_limit", "More failed records than that end or pause it", {},
           f.failed_limit);
  of.Gauge("backfill_status_bytes", "Size of the status, at most 4096", {}, Value(f.status_bytes));
}

}  // namespace

BackfillFigures FiguresOf(const api::Backfill& b,
                          const std::optional<reconcile::StageSnapshot>& open) {
  BackfillFigures f;
  f.phase = ToString(b.status.phase.value_or(api::Phase::kPending));
  if (b.status.plan) f.plan_hash = ShortHash(b.status.plan->hash);
  AddProgress(b, open, f);
  if (b.status.rate) {
    f.rate_limit = b.status.rate->limit;
    f.rate_current = b.status.rate->current;
  }
  if (b.status.workers) {
    f.workers_desired = b.status.workers->desired;
    f.workers_connected = b.status.workers->connected;
  }
  if (open) {  // newer than the status
    f.rate_current = open->attempts_per_second;
    f.granted = open->granted;
    f.workers_connected = open->connected;
    f.workers_working = open->working;
    f.workers_without_target = open->without_target;
    f.lease_expirations = open->lease_expirations;
    f.ledger_unwritten_seconds = std::chrono::duration<double>(open->unwritten_for).count();
  }
  f.throttled = IsTrue(b.status, "Throttled");
  const api::Condition* throttled = api::FindCondition(b.status, "Throttled");
  f.throttled_by = throttled == nullptr ? "NotThrottled" : Word(throttled->reason);
  f.stalled = IsTrue(b.status, "Stalled");
  f.failed_limit = static_cast<double>(b.spec.failure_policy.max_failed_records);
  if (b.status.plan) {
    const double share = Decimal(b.spec.failure_policy.max_failed_percent) / 100;
    f.failed_limit = std::min(f.failed_limit, share * static_cast<double>(b.status.plan->records));
  }
  return f;
}

void BackfillMetrics::Update(const api::Backfill& backfill,
                             const std::optional<reconcile::StageSnapshot>& open) {
  BackfillFigures figures = FiguresOf(backfill, open);
  const std::pair key(backfill.ns, backfill.name);
  std::optional<std::size_t> status_bytes;
  {
    MutexLock l(mu_);
    const auto known = published_.find(key);
    if (known != published_.end() && !backfill.resource_version.empty() &&
        known->second.version == backfill.resource_version)
      status_bytes = known->second.figures.status_bytes;
  }
  figures.status_bytes = status_bytes ? *status_bytes : api::StatusToJson(backfill.status).size();

  MutexLock l(mu_);
  auto known = published_.find(key);
  if (known == published_.end()) {
    if (published_.size() >= max_backfills_) return;
    known = published_.try_emplace(key).first;
  }
  Published& it = known->second;
  if (it.uid != backfill.uid) {  // another under that name
    it = {};
    it.uid = backfill.uid;
  }
  it.version = backfill.resource_version;
  // A stage that is opened again counts from zero.
  if (!open || figures.lease_expirations < it.expired_in_stage) {
    it.expired_before += it.expired_in_stage;
    it.expired_in_stage = 0;
  }
  if (open) it.expired_in_stage = figures.lease_expirations;
  figures.lease_expirations = it.expired_before + it.expired_in_stage;
  it.figures = std::move(figures);
}

void BackfillMetrics::Forget(std::string_view ns, std::string_view name) {
  MutexLock l(mu_);
  published_.erase({std::string(ns), std::string(name)});
}

std::vector<kube::MetricFamily> BackfillMetrics::Collect() const {
  Families families;
  MutexLock l(mu_);
  for (const auto& [key, published] : published_)
    AddSeries({{{"namespace", key.first}, {"name", key.second}}, families}, published.figures);
  return families.Take();
}

}  // namespace backfill::metrics
