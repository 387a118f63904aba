#include "operator/kube/runtime/measured_transport.h"

#include "operator/kube/runtime/runtime_metrics.h"

namespace backfill::kube {

Result<HttpResponse> MeasuredTransport::Send(const HttpRequest& request, Time deadline,
                                             std::stop_token stop) {
  return Counted(request.method, transport_.Send(request, deadline, std::move(stop)));
}

Result<HttpResponse> MeasuredTransport::Stream(
    const HttpRequest& request, const StreamLimits& limits, std::stop_token stop,
    const std::function<bool(std::string_view)>& on_line) {
  return Counted(request.method, transport_.Stream(request, limits, std::move(stop), on_line));
}

Result<HttpResponse> MeasuredTransport::Counted(HttpMethod method, Result<HttpResponse> result) {
  // A server that makes up statuses must not make up time series.
  const int status = !result.ok()                                     ? 0
                     : result->status >= 100 && result->status <= 599 ? result->status
                                                                      : 0;
  Counter* counter = nullptr;
  {
    MutexLock l(mu_);
    Counter*& known = counters_[{status, method}];
    if (known == nullptr) {
      known = &RestRequests(metrics_, status == 0 ? "<error>" : std::to_string(status),
                            std::string(ToString(method)), host_);
    }
    counter = known;
  }
  counter->Increment();
  return result;
}

}  // namespace backfill::kube
