#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/kube/client/credential_cache.h"
#include "operator/observe/metric_servers.h"

namespace backfill::observe {

struct RestServersOptions {
  // Has a folder for each name of credentials (MountedCredentials). Empty: no credentials can be
  // used.
  std::string credentials_folder = {};
  std::string user_agent = "backfill-operator";
  std::size_t max_servers = 256;  // that are in use at the same time
};

// Servers of metrics by the transport that also reaches the API server: deadlines that cover the
// body, exclusive trust, bounds on what is received, no redirects, files of credentials read again
// each minute and after a refusal. Credentials leave this machine over TLS only.
//
// Requests to one server with one name of credentials share connections. A server that nobody has
// asked for long is forgotten when another one is asked for. Thread-safe; the clock must outlive it
// and its transports.
class RestServers final : public MetricServers {
 public:
  RestServers(RestServersOptions options, const Clock& clock);

  Result<std::shared_ptr<kube::HttpTransport>> To(const std::string& server,
                                                  const std::string& credentials) override;

 private:
  struct Server {
    std::shared_ptr<kube::HttpTransport> transport;
    Time used;
  };
  [[nodiscard]] Result<std::unique_ptr<kube::CredentialSource>> CredentialsFor(
      const std::string& name, const std::string& server) const;
  void ForgetUnused(Time now) REQUIRES(mu_);

  const RestServersOptions options_;
  const Clock& clock_;
  Mutex mu_;
  std::map<std::pair<std::string, std::string>, Server> servers_ GUARDED_BY(mu_);
};

}  // namespace backfill::observe
