#include "operator/observe/fetch.h"

#include <fmt/format.h>

#include <utility>

#include "operator/observe/answers.h"
#include "operator/observe/query.h"

namespace backfill::observe {

Result<std::string, Reply> Fetch(MetricServers& servers, const FetchRequest& request,
                                 const Clock& clock, Time deadline, const std::stop_token& stop) {
  const Result<SplitUrl> url = Split(request.url);
  if (!url.ok()) return BadQuestion(clock.Steady(), url.error().message);
  const auto transport = servers.To(url->server, request.credentials);
  if (!transport.ok()) return NotReached(clock.Steady(), url->server, transport.error());
  auto response = (*transport)
                      ->Send({.method = kube::HttpMethod::kGet,
                              .target = url->target,
                              .accept = request.accept,
                              .max_response_bytes = request.max_bytes},
                             deadline, stop);
  const Time now = clock.Steady();
  if (!response.ok()) return NotReached(now, url->server, response.error());
  if (response->status != 200) {
    const bool redirect = response->status >= 300 && response->status < 400;
    return ProviderFailed(now, fmt::format("{}: status {}{}", url->server, response->status,
                                           redirect ? ": redirects are not followed" : ""));
  }
  return std::move(response->body);
}

}  // namespace backfill::observe
