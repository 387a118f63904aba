#include "operator/coordinator/stage_messages.h"

#include <algorithm>
#include <limits>

namespace backfill::coordinator {
namespace {

bool IsName(const std::string& text) { return !text.empty() && text.size() <= lease::kMaxName; }

ledger::OutcomeCounts ToCounts(const v1::OutcomeCounts& counts) {
  return {.updated = counts.updated(),
          .unchanged = counts.unchanged(),
          .skipped = counts.skipped(),
          .failed = counts.failed()};
}

}  // namespace

std::optional<std::string> WhyMalformed(const v1::WorkerMessage& message) {
  switch (message.body_case()) {
    case v1::WorkerMessage::kHello:
      if (!IsName(message.hello().worker()) || !IsName(message.hello().instance())) {
        return "worker and instance must have 1 to 100 bytes";
      }
      if (message.hello().held_size() > lease::kMaxReports) return "too many leases";
      return std::nullopt;
    case v1::WorkerMessage::kProgress:
      if (message.progress().leases_size() > lease::kMaxReports) return "too many leases";
      if (message.progress().target_trouble().size() > kMaxTrouble) return "too long a message";
      if (message.progress().partitions_size() > kMaxPartitions) return "too many partitions";
      for (const v1::PartitionProgress& partition : message.progress().partitions()) {
        if (partition.name().size() > kMaxPartitionName) return "too long a name of a partition";
      }
      return std::nullopt;
    case v1::WorkerMessage::kDraining:
      if (message.draining().leases_size() > lease::kMaxReports) return "too many leases";
      return std::nullopt;
    case v1::WorkerMessage::kRecordFailures:
      if (message.record_failures().failures_size() > kMaxFailures) return "too many failures";
      return std::nullopt;
    case v1::WorkerMessage::kDryRunSamples:
      if (message.dry_run_samples().samples_size() > kMaxSamples) return "too many samples";
      return std::nullopt;
    case v1::WorkerMessage::kSourceTrouble:
      if (message.source_trouble().message().size() > kMaxTrouble) return "too long a message";
      return std::nullopt;
    case v1::WorkerMessage::kPlanProgress:
    case v1::WorkerMessage::kPlanPart:
    case v1::WorkerMessage::kPlanEnd:
    case v1::WorkerMessage::kPlanFailure:
      return "nothing is planned in this stage";
    case v1::WorkerMessage::kShardDone:
    case v1::WorkerMessage::BODY_NOT_SET:  // of a newer worker, or nothing: a sign of life
      return std::nullopt;
  }
  return std::nullopt;
}

lease::LeaseName ToName(const v1::LeaseRef& ref) {
  return {.shard = {ref.shard()}, .attempt = {ref.attempt()}, .epoch = {ref.epoch()}};
}

lease::LeaseReport ToReport(const v1::LeaseProgress& progress) {
  const lease::LeaseName name = ToName(progress.lease());
  return {.shard = name.shard,
          .attempt = name.attempt,
          .epoch = name.epoch,
          .end = progress.end(),
          .cursor = progress.cursor(),
          .done_above = progress.done_above(),
          .counts = ToCounts(progress.counts()),
          .in_flight = progress.in_flight()};
}

ledger::FailedRecord ToFailedRecord(const lease::LeaseName& lease,
                                    const v1::RecordFailure& failure) {
  return {.shard = lease.shard,
          .attempt = lease.attempt,
          .position = failure.position(),
          .key = failure.key(),
          .failure_class = ledger::ToFailureClass(failure.class_()),
          .attempts = failure.attempts(),
          .message = failure.message()};
}

v1::LeaseRef ToRef(const lease::LeaseName& name) {
  v1::LeaseRef ref;
  ref.set_shard(name.shard.value);
  ref.set_attempt(name.attempt.value);
  ref.set_epoch(name.epoch.value);
  return ref;
}

std::optional<Error> ToSourceError(const v1::SourceTrouble& trouble) {
  if (trouble.kind() == v1::SourceTrouble::KIND_UNAVAILABLE)
    return Error{ErrorCode::kUnavailable, trouble.message()};
  if (trouble.kind() == v1::SourceTrouble::KIND_CHANGED)
    return Error{ErrorCode::kConflict, trouble.message()};
  return std::nullopt;  // none, or of a newer worker
}

v1::Lease ToLease(const ledger::Shard& shard, const rows::Extent* extent) {
  v1::Lease lease;
  *lease.mutable_lease() =
      ToRef({.shard = shard.id, .attempt = shard.attempt, .epoch = shard.epoch});
  lease.set_begin(shard.range.begin);
  lease.set_end(shard.range.end);
  lease.set_cursor(shard.cursor);
  lease.set_done_above(shard.done_above);
  v1::OutcomeCounts& counts = *lease.mutable_counts();
  counts.set_updated(shard.counts.updated);
  counts.set_unchanged(shard.counts.unchanged);
  counts.set_skipped(shard.counts.skipped);
  counts.set_failed(shard.counts.failed);
  if (extent != nullptr) {
    v1::FileExtent& e = *lease.mutable_extent();
    e.set_first(extent->first);
    e.set_records(extent->records);
    e.set_offset(extent->offset);
    e.set_bytes(extent->bytes);
    e.set_line(extent->line);
    e.set_crc32c(extent->crc32c);
  }
  return lease;
}

v1::Ack ToAck(const lease::SendAck& ack) {
  v1::Ack out;
  for (const lease::LeaseName& name : ack.held) *out.add_held() = ToRef(name);
  for (const lease::LeaseName& name : ack.done) *out.add_done() = ToRef(name);
  return out;
}

v1::Revoke ToRevoke(const lease::SendRevoke& revoke) {
  v1::Revoke out;
  *out.mutable_lease() = ToRef(revoke.lease);
  out.set_reason(revoke.reason);
  return out;
}

v1::Shrink ToShrink(const lease::SendShrink& shrink) {
  v1::Shrink out;
  *out.mutable_lease() = ToRef(shrink.lease);
  out.set_end(shrink.end);
  return out;
}

std::map<std::string, PartitionTotals> ToPartitions(const v1::Progress& progress) {
  std::map<std::string, PartitionTotals> totals;
  for (const v1::PartitionProgress& partition : progress.partitions()) {
    totals[partition.name()] = {.attempts = partition.attempts(),
                                .waiting = partition.waiting(),
                                .limited = partition.limited()};
  }
  return totals;
}

v1::PartitionCaps ToCaps(const PartitionAction& action) {
  v1::PartitionCaps out;
  out.set_others(action.others);
  out.set_valid_for_ms(ToMillis(action.valid_for));
  for (const auto& [name, rate] : action.caps) {
    v1::PartitionCap& cap = *out.add_caps();
    cap.set_name(name);
    cap.set_records_per_second(rate);
  }
  return out;
}

v1::Grant ToGrant(const throttle::GrantAction& action) {
  v1::Grant out;
  out.set_sequence(action.sequence);
  out.set_records_per_second(action.records_per_second);
  out.set_burst(action.burst);
  out.set_valid_for_ms(ToMillis(action.valid_for));
  return out;
}

std::uint32_t ToMillis(Duration duration) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(ms, 0, std::numeric_limits<std::uint32_t>::max()));
}

}  // namespace backfill::coordinator
