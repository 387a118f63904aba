#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "operator/kube/client/credential_cache.h"
#include "operator/kube/client/http_transport.h"

namespace backfill::kube {

struct RestOptions {
  std::string server = {};           // https://kubernetes.default.svc, or with a port and a path
  std::string tls_server_name = {};  // what the certificate must be for; empty: the server's host
  std::string proxy_url = {};        // http://proxy:3128; never taken from the environment
  bool skip_tls_verify = false;
  std::string user_agent = "backfill-operator";
  std::size_t max_requests = 16;  // under way at once
  std::size_t max_waiting = 128;  // for those
  std::size_t max_streams = 16;   // of which none waits
};

// A server over HTTP/1.1 and TLS by cpprestsdk (R32 to R36). What that library does not do is done
// here: deadlines that cover the body, stopping, exclusive trust, bounds on what is received, and
// no request is sent twice. A request refused with 401 is sent once more if there is another token
// than the one that was refused.
//
// An instance has connections of its own, one for each request or stream under way: what must not
// queue behind something else (R34: lease, ledger, watches, the rest) has a transport of its own.
// Connections are made anew when certificates have changed. Transports to
// one cluster share credentials. It has no thread: cpprestsdk has a pool
// for the whole process, see StartHttpThreads.
//
// Thread-safe. No call may be under way when it is destroyed. `clock` outlives it, and runs: by it
// the time of day and deadlines are read.
class RestTransport final : public HttpTransport {
 public:
  // kInvalid: an option makes no sense. Does not connect yet, nor read credentials.
  static Result<std::unique_ptr<RestTransport>> Make(RestOptions options,
                                                     std::shared_ptr<CredentialCache> credentials,
                                                     const Clock& clock);
  ~RestTransport() override;

  Result<HttpResponse> Send(const HttpRequest& request, Time deadline,
                            std::stop_token stop) override;
  Result<HttpResponse> Stream(const HttpRequest& request, const StreamLimits& limits,
                              std::stop_token stop,
                              const std::function<bool(std::string_view)>& on_line) override;

 private:
  class Impl;
  explicit RestTransport(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

// Gives cpprestsdk so many threads in place of 40, for all transports of the process. The first
// thing a main does: false, and no effect, once a transport has been used.
bool StartHttpThreads(int threads);

}  // namespace backfill::kube
