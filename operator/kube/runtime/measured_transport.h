#pragma once

#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "base/mutex.h"
#include "operator/kube/client/http_transport.h"
#include "operator/kube/runtime/metrics.h"

namespace backfill::kube {

// Counts requests as rest_client_requests_total, by status ("<error>": there was no response),
// method and host. Thread-safe. What it refers to must outlive it.
class MeasuredTransport final : public HttpTransport {
 public:
  MeasuredTransport(HttpTransport& transport, MetricRegistry& metrics, std::string host)
      : transport_(transport), metrics_(metrics), host_(std::move(host)) {}

  Result<HttpResponse> Send(const HttpRequest& request, Time deadline,
                            std::stop_token stop) override;
  Result<HttpResponse> Stream(const HttpRequest& request, const StreamLimits& limits,
                              std::stop_token stop,
                              const std::function<bool(std::string_view)>& on_line) override;

 private:
  Result<HttpResponse> Counted(HttpMethod method, Result<HttpResponse> result);

  HttpTransport& transport_;
  MetricRegistry& metrics_;
  const std::string host_;
  Mutex mu_;
  std::map<std::pair<int, HttpMethod>, Counter*> counters_ GUARDED_BY(mu_);  // by status; 0: none
};

}  // namespace backfill::kube
