#include "worker/plan/plan_session.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "worker/link/translate.h"
#include "worker/target/escape.h"

namespace backfill::worker {
namespace {

constexpr std::uint32_t kPlanProtocol = 1;
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
  if (stream_ == 0) return;
  message.set_sequence(++sequence_);
  if (!host_.Send(stream_, std::move(message))) stream_ = 0;
}

void PlanSession::OnConnected(std::uint64_t stream) {
  stream_ = stream;
  sequence_ = 0;
  welcomed_ = told_ = false;
  v1::WorkerMessage message;
  v1::Hello& hello = *message.mutable_hello();
  hello.set_protocol_version(kPlanProtocol);
  hello.set_backfill_uid(options_.uid);
  hello.set_stage(options_.stage);
  hello.set_worker(options_.worker);
  hello.set_instance(options_.instance);
  Send(std::move(message));
}

void PlanSession::OnDisconnected(std::uint64_t stream, const Error& error, Time now) {
  if (stream == stream_) stream_ = 0;
  const bool refused =
      error.code == ErrorCode::kUnauthenticated || error.code == ErrorCode::kPermission;
  Log(refused ? LogLevel::kWarning : LogLevel::kInfo, "the stream to the coordinator ended",
      {{"error", error.message}});
  if (!refused) return;
  if (!refused_since_) refused_since_ = now;
  if (now - *refused_since_ >= options_.refused_for) EndAs(SessionEnd::kRefused);
}

void PlanSession::OnMessage(std::uint64_t stream, const v1::CoordinatorMessage& message, Time now) {
  if (stream != stream_ || end_) return;
  refused_since_.reset();
  if (message.has_welcome()) OnWelcome(message.welcome(), now);
  if (welcomed_ && message.has_no_more_work()) EndAs(SessionEnd::kNoMoreWork);
  if (welcomed_ && message.has_limits()) report_period_ = ReportPeriodOf(message.limits());
}

void PlanSession::OnWelcome(const v1::Welcome& welcome, Time now) {
  if (welcomed_) return;
  if (welcome.protocol_version() > kPlanProtocol + 1) {
    Log(LogLevel::kError, "the coordinator speaks a protocol that this worker does not know");
    return EndAs(SessionEnd::kOutOfStep);
  }
  std::string workload = welcome.workload().SerializeAsString();
  if (workload_.empty()) {
    if (const Status accepted = host_.OnWorkload(welcome.workload()); !accepted.ok()) {
      Log(LogLevel::kError, "nothing can be planned", {{"error", accepted.error().message}});
      return EndAs(SessionEnd::kBadWorkload);
    }
    workload_ = std::move(workload);
  } else if (workload_ != workload) {
    // What is being read is not wanted any more, and to give up reading can take long.
    Log(LogLevel::kWarning, "another source is to be planned");
    return EndAs(SessionEnd::kOutOfStep);
  }
  welcomed_ = true;
  report_period_ = ReportPeriodOf(welcome.limits());
  next_report_ = now;
}

void PlanSession::Tick(const rows::PlanProgress& progress, Time now) {
  if (stream_ == 0 || !welcomed_ || end_) return;
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
