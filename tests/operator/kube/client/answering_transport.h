#pragma once

#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "operator/kube/client/http_transport.h"

namespace backfill::kube {

// Answers with what it was given, in turn, and remembers what it was asked. One thread.
class AnsweringTransport final : public HttpTransport {
 public:
  void Answer(int status, std::string body = "{}") {
    answers_.emplace_back(HttpResponse{.status = status, .body = std::move(body)});
  }
  void Answer(Result<HttpResponse> answer) { answers_.push_back(std::move(answer)); }

  Result<HttpResponse> Send(const HttpRequest& request, Time deadline, std::stop_token) override {
    requests.push_back(request);
    deadlines.push_back(deadline);
    if (answers_.empty()) return Error{ErrorCode::kInternal, "the script is over"};
    Result<HttpResponse> answer = std::move(answers_.front());
    answers_.pop_front();
    return answer;
  }
  Result<HttpResponse> Stream(const HttpRequest&, const StreamLimits&, std::stop_token,
                              const std::function<bool(std::string_view)>&) override {
    return Error{ErrorCode::kInternal, "not in the script"};
  }

  std::vector<HttpRequest> requests;
  std::vector<Time> deadlines;

 private:
  std::deque<Result<HttpResponse>> answers_;
};

}  // namespace backfill::kube
