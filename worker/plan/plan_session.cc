#include "worker/plan/plan_session.h"

#include <algorithm>
#include <utility>

#include "worker/link/translate.h"
#include "worker/target/escape.h"

namespace backfill::worker {
namespace {

constexpr std::size_t kShardsPerPart = 5'000;
constexpr std::size_t kMaxPlanText = 1'024;
constexpr std::size_t kMaxPlanSamples = 10;

// Rows that are no UTF-8 are quoted in what is said of them.
std::string PlanText(std::string_view text) { return CutToUtf8(text, kMaxPlanText); }

void SetExtent(const plan::PlannedShard& shard, v1::FileExtent& out) {
  if (!shard.extent) return;
  out.set_first(shard.extent->first);
  out.set_records(shard.extent->records);
  out.set_offset(shard.extent->offset);
  out.set_bytes(shard.extent->bytes);
  out.set_line(shard.extent->line);
  out.set_crc32c(shard.extent->crc32c);
}

v1::WorkerMessage FailureMessage(const Error& error) {
  v1::WorkerMessage message;
  v1::PlanFailure& failure = *message.mutable_plan_failure();
  failure.set_kind(error.code == ErrorCode::kInvalid ? v1::PlanFailure::KIND_INVALID
                                                     : v1::PlanFailure::KIND_UNAVAILABLE);
  failure.set_message(PlanText(error.message));
  return message;
}

v1::WorkerMessage EndMessage(const plan::FoundSource& found) {
  v1::WorkerMessage message;
  v1::PlanEnd& end = *message.mutable_plan_end();
  std::uint64_t records = 0;
  for (const plan::PlannedShard& shard : found.shards) records += shard.records;
  end.set_shards(found.shards.size());
  end.set_records(records);
  end.set_bytes(found.facts.bytes);
  if (found.facts.shape.stored_bytes)
    end.mutable_shape()->set_stored_bytes(*found.facts.shape.stored_bytes);
  for (const std::string& column : found.facts.shape.columns)
    end.mutable_shape()->add_columns(column);
  for (const auto& [fault, rows] : found.facts.bad_by_fault) {
    v1::BadRows& bad = *end.add_bad();
    bad.set_fault(fault);
    bad.set_rows(rows);
  }
  const std::size_t samples = std::min(found.facts.bad_samples.size(), kMaxPlanSamples);
  for (std::size_t i = 0; i < samples; ++i)
    end.add_bad_samples(PlanText(found.facts.bad_samples[i]));
  end.set_duplicate_keys(found.facts.duplicate_keys);
  end.set_duplicates_estimated(!found.facts.duplicates_exact);
  return message;
}

}  // namespace

std::vector<v1::WorkerMessage> MessagesOf(const Result<plan::FoundSource>& found) {
  if (!found.ok()) return {FailureMessage(found.error())};
  std::vector<v1::WorkerMessage> messages;
  const auto& shards = found->shards;
  for (std::size_t first = 0; first < shards.size(); first += kShardsPerPart) {
    v1::WorkerMessage message;
    v1::PlanPart& part = *message.mutable_plan_part();
    part.set_first(first);
    const std::size_t end = std::min(first + kShardsPerPart, shards.size());
    for (std::size_t i = first; i < end; ++i) SetExtent(shards[i], *part.add_shards());
    messages.push_back(std::move(message));
  }
  messages.push_back(EndMessage(*found));
  return messages;
}

void PlanSession::Send(v1::WorkerMessage message) {
  if (conversation_.stream() == 0) return;
  message.set_sequence(++sequence_);
  if (!host_.Send(conversation_.stream(), std::move(message))) conversation_.LoseStream();
}

void PlanSession::OnConnected(std::uint64_t stream, Time) {
  sequence_ = 0;
  told_ = false;
  Send(conversation_.OnConnected(stream));
}

void PlanSession::OnMessage(std::uint64_t stream, const v1::CoordinatorMessage& message, Time now) {
  if (!conversation_.Hears(stream)) return;
  if (message.has_welcome() && conversation_.OnWelcome(message.welcome())) {
    report_period_ = ReportPeriodOf(message.welcome().limits());
    next_report_ = now;
  }
  if (!conversation_.welcomed()) return;
  if (message.has_no_more_work()) conversation_.EndAs(SessionEnd::kNoMoreWork);
  if (message.has_limits()) report_period_ = ReportPeriodOf(message.limits());
}

void PlanSession::Tick(const rows::PlanProgress& progress, Time now) {
  if (!conversation_.welcomed() || ended()) return;
  const bool tell = found_ && !told_;
  if (now >= next_report_ || tell) {
    next_report_ = now + report_period_;
    v1::WorkerMessage message;
    v1::PlanProgress& read = *message.mutable_plan_progress();
    read.set_bytes_read(progress.bytes_read);
    if (progress.bytes_total) read.set_bytes_total(*progress.bytes_total);
    read.set_records(progress.records);
    Send(std::move(message));
  }
  if (!tell) return;
  told_ = true;
  for (v1::WorkerMessage& message : MessagesOf(*found_)) Send(std::move(message));
}

}  // namespace backfill::worker
