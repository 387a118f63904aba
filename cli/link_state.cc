#include "cli/link_state.h"

#include <utility>

#include "operator/kube/client/api_error.h"

namespace backfill::cli {

void LinkState::Note(const Result<kube::HttpResponse>& response) {
  std::optional<Error> error;
  if (!response.ok()) {
    if (response.error().code == ErrorCode::kAborted) return;  // we have had enough ourselves
    error = response.error();
  } else if (response->status != 200) {
    error = kube::ErrorOf(*response).ToError();
  }
  MutexLock l(mu_);
  if (!error) {
    problem_.reset();
  } else {
    const Problem first = problem_.value_or(Problem{*error, clock_.Steady(), clock_.Wall()});
    problem_ = Problem{*error, first.since, first.since_wall};
  }
}

Result<kube::HttpResponse> LinkState::Send(const kube::HttpRequest& request, Time deadline,
                                           std::stop_token stop) {
  Result<kube::HttpResponse> response = to_.Send(request, deadline, std::move(stop));
  Note(response);
  return response;
}

Result<kube::HttpResponse> LinkState::Stream(const kube::HttpRequest& request,
                                             const kube::StreamLimits& limits, std::stop_token stop,
                                             const std::function<bool(std::string_view)>& on_line) {
  {
    MutexLock l(mu_);
    streaming_since_ = clock_.Steady();
  }
  Result<kube::HttpResponse> response =
      to_.Stream(request, limits, std::move(stop), [&](std::string_view line) {
        {
          MutexLock l(mu_);
          problem_.reset();
        }
        return on_line(line);
      });
  {
    MutexLock l(mu_);
    // It stood for a while, so what was before it has nothing to do with how it ended.
    if (streaming_since_ && clock_.Steady() - *streaming_since_ >= kStands) problem_.reset();
    streaming_since_.reset();
  }
  // A server ends watches in good order every few minutes.
  Note(response);
  return response;
}

std::optional<LinkState::Problem> LinkState::problem() const {
  MutexLock l(mu_);
  if (streaming_since_ && clock_.Steady() - *streaming_since_ >= kStands) return std::nullopt;
  return problem_;
}

}  // namespace backfill::cli
