#include "worker/link/translate.h"

#include <algorithm>
#include <cmath>

#include "worker/target/escape.h"

namespace backfill::worker {
namespace {

constexpr std::size_t kMaxText = 256;
constexpr std::size_t kMaxTrouble = 512;

v1::FailureClass ClassOf(FailureClass failure) {
  switch (failure) {
    case FailureClass::kTransient:
      return v1::FAILURE_CLASS_TRANSIENT;
    case FailureClass::kPermanent:
      return v1::FAILURE_CLASS_PERMANENT;
    case FailureClass::kTimeout:
      return v1::FAILURE_CLASS_TIMEOUT;
    case FailureClass::kConflict:
      return v1::FAILURE_CLASS_CONFLICT;
  }
  return v1::FAILURE_CLASS_UNSPECIFIED;
}

}  // namespace

LeaseKey KeyOf(const v1::LeaseRef& ref) { return {ShardId{ref.shard()}, Attempt{ref.attempt()}}; }

v1::LeaseRef RefOf(const LeaseKey& key, Epoch epoch) {
  v1::LeaseRef ref;
  ref.set_shard(key.shard.value);
  ref.set_attempt(key.attempt.value);
  ref.set_epoch(epoch.value);
  return ref;
}

LeaseOffer OfferOf(const v1::Lease& lease) {
  const v1::OutcomeCounts& c = lease.counts();
  return {.key = KeyOf(lease.lease()),
          .range = {lease.begin(), lease.end()},
          .cursor = lease.cursor(),
          .done_above = lease.done_above(),
          .counts = {c.updated(), c.unchanged(), c.skipped(), c.failed()}};
}

v1::LeaseProgress ProgressOf(const LeaseState& state, Epoch epoch) {
  v1::LeaseProgress p;
  *p.mutable_lease() = RefOf(state.key, epoch);
  p.set_end(state.end);
  p.set_cursor(state.cursor);
  p.set_done_above(state.done_above);
  p.mutable_counts()->set_updated(state.counts.updated);
  p.mutable_counts()->set_unchanged(state.counts.unchanged);
  p.mutable_counts()->set_skipped(state.counts.skipped);
  p.mutable_counts()->set_failed(state.counts.failed);
  p.set_in_flight(state.in_flight);
  return p;
}

v1::RecordFailure FailureOf(const FailedRecord& failure) {
  v1::RecordFailure f;
  f.set_position(failure.position);
  f.set_key(CutToUtf8(failure.key, kMaxText));
  f.set_class_(ClassOf(failure.failure));
  f.set_attempts(failure.attempts);
  f.set_message(CutToUtf8(failure.message, kMaxText));
  return f;
}

v1::PartitionProgress PartitionProgressOf(const PartitionReport& report) {
  v1::PartitionProgress out;
  out.set_name(report.name);
  out.set_attempts(report.attempts);
  out.set_waiting(report.waiting);
  out.set_limited(report.limited);
  return out;
}

PartitionCaps CapsOf(const v1::PartitionCaps& caps, Time expires) {
  PartitionCaps out{.others = caps.others(), .expires = expires};
  for (const v1::PartitionCap& cap : caps.caps()) {
    if (out.named.size() >= Partitions::kMax) break;
    out.named.emplace(cap.name(), cap.records_per_second());
  }
  return out;
}

v1::HeldBack HeldBackOf(const InnerLoop& inner) {
  v1::HeldBack out;
  out.set_by_latency(inner.held_by_latency());
  out.set_by_refusals(inner.held_by_refusals());
  out.set_latency_seconds(inner.own());
  out.set_usual_latency_seconds(inner.usual());
  return out;
}

std::string TargetTroubleOf(std::string_view why) { return CutToUtf8(why, kMaxText); }

v1::SourceTrouble TroubleOf(const std::optional<Error>& trouble) {
  v1::SourceTrouble out;
  if (!trouble) return out;
  out.set_kind(trouble->code == ErrorCode::kConflict ? v1::SourceTrouble::KIND_CHANGED
                                                     : v1::SourceTrouble::KIND_UNAVAILABLE);
  out.set_message(CutToUtf8(trouble->message, kMaxTrouble));
  return out;
}

EngineLimits LimitsOf(const v1::Limits& limits) {
  const double headroom =
      limits.has_latency_headroom() ? limits.latency_headroom() : InnerLoop::kHeadroom;
  return {.concurrency = std::clamp(limits.concurrency(), 1U, 1024U),
          .attempts = std::clamp(limits.attempts(), 1U, 100U),
          .retry_budget_percent = std::min(limits.retry_budget_percent(), 1000U),
          .latency_headroom =
              std::isfinite(headroom) && headroom > 0 ? std::clamp(headroom, 1.0, 100.0) : 0.0};
}

Duration ReportPeriodOf(const v1::Limits& limits) {
  return std::chrono::milliseconds(std::clamp(limits.report_period_ms(), 50U, 30'000U));
}

}  // namespace backfill::worker
