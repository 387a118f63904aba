#include "operator/app/leader_transport.h"

#include <utility>

namespace backfill::app {

LeaderTransport::LeaderTransport(kube::HttpTransport& transport,
                                 std::function<bool(Time now)> leads, const Clock& clock)
    : transport_(transport), leads_(std::move(leads)), clock_(clock) {}

Result<kube::HttpResponse> LeaderTransport::Send(const kube::HttpRequest& request, Time deadline,
                                                 std::stop_token stop) {
  if (request.method != kube::HttpMethod::kGet && !leads_(clock_.Steady()))
    return Error{ErrorCode::kAborted, "this process does not lead"};
  return transport_.Send(request, deadline, std::move(stop));
}

Result<kube::HttpResponse> LeaderTransport::Stream(
    const kube::HttpRequest& request, const kube::StreamLimits& limits, std::stop_token stop,
    const std::function<bool(std::string_view)>& on_line) {
  return transport_.Stream(request, limits, std::move(stop), on_line);
}

}  // namespace backfill::app
