#pragma once

#include <cstddef>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "operator/observe/metric_servers.h"
#include "operator/observe/source.h"

namespace backfill::observe {

// The body of a GET that was answered with 200; anything else is the reply to the question. A
// redirect is never followed: credentials would go along.
struct FetchRequest {
  std::string url;
  std::string credentials;
  std::string accept;
  std::size_t max_bytes = std::size_t{4} << 20;
};
Result<std::string, Reply> Fetch(MetricServers& servers, const FetchRequest& request,
                                 const Clock& clock, Time deadline, const std::stop_token& stop);

}  // namespace backfill::observe
