#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "operator/kube/client/http_transport.h"
#include "tests/fakes/manual_clock.h"

namespace backfill::fakes {

// An HttpTransport that says what a test has written down, in that order: one script of answers to
// Send, one of what happens on streams. When a script is at its end, the server is silent: the call
// waits for more of it, or for its stop. Thread-safe.
class ScriptedTransport final : public kube::HttpTransport {
 public:
  // `clock` jumps to the deadline when a stream goes silent.
  explicit ScriptedTransport(ManualClock& clock) : clock_(clock) {}

  // ---- answers to Send
  void Answer(int status, std::string body);
  void Fail(Error error);
  // Answers all that the script does not.
  using Responder = std::function<Result<kube::HttpResponse>(const kube::HttpRequest&)>;
  void AnswerOthers(Responder responder);

  // ---- what happens on the stream that is under way, or the next one
  void Line(std::string line);
  void EndStream();             // by the server's wish
  void CutStream(Error error);  // the connection is lost
  void GoSilent();              // until the client gives up
  void Refuse(int status, std::string body,
              std::optional<std::chrono::milliseconds> retry_after = std::nullopt);
  void RefuseNext(int streams, int status, const std::string& body);

  // ---- what was asked for
  [[nodiscard]] std::vector<kube::HttpRequest> sent() const;
  [[nodiscard]] std::vector<kube::HttpRequest> streams() const;
  [[nodiscard]] kube::StreamLimits last_limits() const;
  // Both scripts are at their end, and somebody waits for more. False: not in time.
  [[nodiscard]] bool AwaitSilence(Duration most = std::chrono::seconds(10));

  // HttpTransport
  Result<kube::HttpResponse> Send(const kube::HttpRequest& request, Time deadline,
                                  std::stop_token stop) override;
  Result<kube::HttpResponse> Stream(const kube::HttpRequest& request,
                                    const kube::StreamLimits& limits, std::stop_token stop,
                                    const std::function<bool(std::string_view)>& on_line) override;

 private:
  struct LineStep {
    std::string line;
  };
  struct SilenceStep {};
  // Answers a stream that has brought no line yet, or ends it.
  struct EndStep {
    Result<kube::HttpResponse> result;
  };
  using StreamStep = std::variant<LineStep, SilenceStep, EndStep>;

  void AddStep(StreamStep step);
  std::optional<StreamStep> NextStep(const std::stop_token& stop);

  ManualClock& clock_;
  mutable Mutex mu_;
  std::condition_variable_any changed_;
  std::deque<Result<kube::HttpResponse>> answers_ GUARDED_BY(mu_);
  Responder responder_ GUARDED_BY(mu_);
  std::deque<StreamStep> steps_ GUARDED_BY(mu_);
  std::vector<kube::HttpRequest> sent_ GUARDED_BY(mu_);
  std::vector<kube::HttpRequest> streams_ GUARDED_BY(mu_);
  kube::StreamLimits limits_ GUARDED_BY(mu_);
  int waiting_ GUARDED_BY(mu_) = 0;
};

}  // namespace backfill::fakes
