#include "tests/fakes/scripted_transport.h"

#include <chrono>
#include <utility>

namespace backfill::fakes {
namespace {

Error Stopped() { return {ErrorCode::kAborted, "stopped"}; }

}  // namespace

using kube::HttpRequest;
using kube::HttpResponse;

void ScriptedTransport::Answer(int status, std::string body) {
  MutexLock l(mu_);
  answers_.emplace_back(
      HttpResponse{.status = status, .body = std::move(body), .retry_after = {}, .warnings = {}});
  changed_.notify_all();
}

void ScriptedTransport::Fail(Error error) {
  MutexLock l(mu_);
  answers_.emplace_back(std::move(error));
  changed_.notify_all();
}

void ScriptedTransport::AnswerOthers(Responder responder) {
  MutexLock l(mu_);
  responder_ = std::move(responder);
  changed_.notify_all();
}

void ScriptedTransport::AddStep(StreamStep step) {
  MutexLock l(mu_);
  steps_.push_back(std::move(step));
  changed_.notify_all();
}

void ScriptedTransport::Line(std::string line) { AddStep(LineStep{std::move(line)}); }

void ScriptedTransport::EndStream() {
  AddStep(EndStep{HttpResponse{.status = 200, .body = {}, .retry_after = {}, .warnings = {}}});
}

void ScriptedTransport::CutStream(Error error) { AddStep(EndStep{std::move(error)}); }

void ScriptedTransport::GoSilent() { AddStep(SilenceStep{}); }

void ScriptedTransport::Refuse(int status, std::string body,
                               std::optional<std::chrono::milliseconds> retry_after) {
  AddStep(EndStep{HttpResponse{
      .status = status, .body = std::move(body), .retry_after = retry_after, .warnings = {}}});
}

void ScriptedTransport::RefuseNext(int streams, int status, const std::string& body) {
  for (int i = 0; i < streams; ++i) Refuse(status, body);
}

std::vector<HttpRequest> ScriptedTransport::sent() const {
  MutexLock l(mu_);
  return sent_;
}

std::vector<HttpRequest> ScriptedTransport::streams() const {
  MutexLock l(mu_);
  return streams_;
}

kube::StreamLimits ScriptedTransport::last_limits() const {
  MutexLock l(mu_);
  return limits_;
}

bool ScriptedTransport::AwaitSilence(Duration most) {
  MutexLock l(mu_);
  return changed_.wait_for(mu_, most, [this]() REQUIRES(mu_) {
    return waiting_ > 0 && answers_.empty() && steps_.empty();
  });
}

Result<HttpResponse> ScriptedTransport::Send(const HttpRequest& request, Time /*deadline*/,
                                             std::stop_token stop) {
  Responder responder;
  {
    MutexLock l(mu_);
    sent_.push_back(request);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(mu_, stop, [this]() REQUIRES(mu_) { return !answers_.empty() || responder_; });
    --waiting_;
    if (stop.stop_requested()) return Stopped();
    if (!answers_.empty()) {
      Result<HttpResponse> answer = std::move(answers_.front());
      answers_.pop_front();
      return answer;
    }
    responder = responder_;
  }
  return responder(request);
}

std::optional<ScriptedTransport::StreamStep> ScriptedTransport::NextStep(
    const std::stop_token& stop) {
  MutexLock l(mu_);
  ++waiting_;
  changed_.notify_all();
  changed_.wait(mu_, stop, [this]() REQUIRES(mu_) { return !steps_.empty(); });
  --waiting_;
  if (stop.stop_requested()) return std::nullopt;
  StreamStep step = std::move(steps_.front());
  steps_.pop_front();
  return step;
}

Result<HttpResponse> ScriptedTransport::Stream(
    const HttpRequest& request, const kube::StreamLimits& limits, std::stop_token stop,
    const std::function<bool(std::string_view)>& on_line) {
  {
    MutexLock l(mu_);
    streams_.push_back(request);
    limits_ = limits;
  }
  while (true) {
    std::optional<StreamStep> step = NextStep(stop);
    if (!step) return Stopped();
    if (const auto* line = std::get_if<LineStep>(&*step)) {
      if (line->line.size() > limits.max_line_bytes)
        return Error{ErrorCode::kInvalid, "a line is too long"};
      if (!on_line(line->line))
        return HttpResponse{.status = 200, .body = {}, .retry_after = {}, .warnings = {}};
    } else if (std::holds_alternative<SilenceStep>(*step)) {
      const Time now = clock_.Steady();
      const Time end = std::min(limits.deadline, now + limits.idle);
      if (end > now) clock_.Advance(end - now);
      return Error{ErrorCode::kDeadline, "nothing came in time"};
    } else {
      return std::move(std::get<EndStep>(*step).result);
    }
  }
}

}  // namespace backfill::fakes
