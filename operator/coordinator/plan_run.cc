#include "operator/coordinator/plan_run.h"

#include <utility>

#include "operator/coordinator/plan_messages.h"
#include "operator/coordinator/session_protocol.h"
#include "operator/coordinator/stage_messages.h"

namespace backfill::coordinator {
namespace {

constexpr char kPlanner[] = "plan-0";

}  // namespace

PlanRun::PlanRun(v1::Workload workload, Duration report_period, const Clock& clock,
                 const Leadership& leadership, MessageSink& sink)
    : workload_(std::move(workload)),
      serialised_(workload_.SerializeAsString()),
      report_period_(report_period),
      clock_(clock),
      leadership_(leadership),
      sink_(sink),
      heard_(clock.Steady()) {}

void PlanRun::OnMessage(SessionId session, const v1::WorkerMessage& message) {
  if (!leadership_.Valid(clock_.Steady())) {
    if (session_ == session) session_.reset();
    return sink_.Close(session, {ErrorCode::kUnavailable, "not served here"});
  }
  if (message.has_hello()) return OnHello(session, message);
  if (session_ != session) return;  // another has taken its place
  switch (message.body_case()) {
    case v1::WorkerMessage::kPlanProgress:
      OnProgress(message.plan_progress());
      break;
    case v1::WorkerMessage::kPlanPart:
      OnPart(message.plan_part());
      break;
    case v1::WorkerMessage::kPlanEnd:
      OnEnd(message.plan_end());
      break;
    case v1::WorkerMessage::kPlanFailure:
      Ends(ToError(message.plan_failure()));
      break;
    case v1::WorkerMessage::BODY_NOT_SET:  // of a newer worker, or nothing: a sign of life
      break;
    case v1::WorkerMessage::kHello:
    case v1::WorkerMessage::kProgress:
    case v1::WorkerMessage::kShardDone:
    case v1::WorkerMessage::kRecordFailures:
    case v1::WorkerMessage::kDraining:
    case v1::WorkerMessage::kDryRunSamples:
    case v1::WorkerMessage::kSourceTrouble:
      return Drop({ErrorCode::kInvalid, "nothing is sent to a target in this stage"});
  }
  if (!session_) return;
  v1::CoordinatorMessage answer;
  answer.mutable_ack();
  Send(std::move(answer), message.sequence());
}

void PlanRun::OnHello(SessionId session, const v1::WorkerMessage& message) {
  if (message.hello().worker() != kPlanner || message.hello().held_size() > 0)
    return sink_.Close(session, {ErrorCode::kInvalid, "one worker plans, and holds nothing"});
  if (session_ && *session_ != session) Drop({ErrorCode::kUnavailable, "another has its place"});
  session_ = session;
  intake_ = {};
  Heard();
  v1::CoordinatorMessage answer;
  v1::Welcome& welcome = *answer.mutable_welcome();
  welcome.set_protocol_version(kProtocolVersion);
  *welcome.mutable_workload() = workload_;
  welcome.mutable_limits()->set_report_period_ms(ToMillis(report_period_));
  Send(std::move(answer), message.sequence());
}

void PlanRun::OnProgress(const v1::PlanProgress& progress) {
  if (progress.bytes_read() != read_.bytes_read() || progress.records() != read_.records()) Heard();
  read_ = progress;
}

void PlanRun::OnPart(const v1::PlanPart& part) {
  if (found_) return;  // repeated on another stream
  Heard();
  const auto extents = ToExtents(part);
  const Status added = extents.ok() ? intake_.Add(part.first(), *extents) : extents.error();
  if (!added.ok()) Ends(added.error().Annotate("what its worker has sent is no plan"));
}

void PlanRun::OnEnd(const v1::PlanEnd& end) {
  if (found_) return;
  const auto facts = ToFacts(end);
  if (!facts.ok()) return Ends(facts.error().Annotate("what its worker has sent is no plan"));
  auto found = intake_.End(end.shards(), end.records(), *facts);
  if (!found.ok()) return Ends(found.error().Annotate("what its worker has sent is no plan"));
  found_ = std::move(found);
}

void PlanRun::Ends(Error why) {
  if (!found_) found_ = std::move(why);
}

void PlanRun::OnGone(SessionId session) {
  if (session_ == session) session_.reset();
}

void PlanRun::Close() { Drop({ErrorCode::kUnavailable, "no such stage is open here"}); }

void PlanRun::Drop(const Error& why) {
  if (const auto session = std::exchange(session_, std::nullopt)) sink_.Close(*session, why);
}

void PlanRun::Send(v1::CoordinatorMessage message, std::uint64_t answers) {
  message.set_answers(answers);
  sink_.Send(*session_, std::move(message));
}

reconcile::PlanningSnapshot PlanRun::Snapshot(const std::string& workload) const {
  reconcile::PlanningSnapshot s;
  s.connected = session_.has_value();
  s.bytes_read = read_.bytes_read();
  if (read_.has_bytes_total()) s.bytes_total = read_.bytes_total();
  s.records = read_.records();
  if (session_ && !found_) s.quiet_for = clock_.Steady() - heard_;
  s.ended = found_.has_value();
  s.outdated = workload != serialised_;
  return s;
}

Result<plan::FoundSource> PlanRun::Found() const {
  if (!found_) return Error{ErrorCode::kNotFound, "the source is being read"};
  return *found_;
}

}  // namespace backfill::coordinator
