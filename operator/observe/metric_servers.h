#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "operator/kube/client/http_transport.h"

namespace backfill::observe {

// How servers of metrics are reached. The seam between sources and the network. Thread-safe.
class MetricServers {
 public:
  virtual ~MetricServers() = default;

  // `server`: http://host:port, with or without a path; `credentials`: a name, or empty. Makes no
  // request. kInvalid: not a URL, not a name; kUnavailable: too many servers at the same time.
  virtual Result<std::shared_ptr<kube::HttpTransport>> To(const std::string& server,
                                                          const std::string& credentials) = 0;
};

}  // namespace backfill::observe
