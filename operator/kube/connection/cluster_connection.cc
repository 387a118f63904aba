#include "operator/kube/connection/cluster_connection.h"

#include <functional>
#include <optional>
#include <stop_token>
#include <string_view>
#include <utility>

#include "operator/kube/client/rest_transport.h"
#include "operator/kube/client/server_url.h"
#include "operator/kube/runtime/measured_transport.h"

namespace backfill::kube {
namespace {

constexpr int kHttpThreads = 4;  // which nothing blocks

// A transport that counts its requests, as one.
class CountedTransport final : public HttpTransport {
 public:
  CountedTransport(std::unique_ptr<RestTransport> transport, MetricRegistry& metrics,
                   const std::string& host)
      : transport_(std::move(transport)), counted_(*transport_, metrics, host) {}

  Result<HttpResponse> Send(const HttpRequest& request, Time deadline,
                            std::stop_token stop) override {
    return counted_.Send(request, deadline, std::move(stop));
  }
  Result<HttpResponse> Stream(const HttpRequest& request, const StreamLimits& limits,
                              std::stop_token stop,
                              const std::function<bool(std::string_view)>& on_line) override {
    return counted_.Stream(request, limits, std::move(stop), on_line);
  }

 private:
  const std::unique_ptr<RestTransport> transport_;
  MeasuredTransport counted_;
};

}  // namespace

struct ClusterConnection::State {
  const RestOptions rest;
  const std::shared_ptr<CredentialCache> credentials;
  const Clock& clock;
  MetricRegistry& metrics;
  const std::string host;
  const std::string ns;
  RateLimiter limiter;
  std::unique_ptr<HttpTransport> calls = {}, watches = {}, lease = {};
  std::optional<ApiClient> api = {};

  [[nodiscard]] Result<std::unique_ptr<HttpTransport>> Connect() const {
    auto transport = TRY(RestTransport::Make(rest, credentials, clock));
    return std::unique_ptr<HttpTransport>(
        std::make_unique<CountedTransport>(std::move(transport), metrics, host));
  }
};

Result<std::unique_ptr<ClusterConnection>> ClusterConnection::Make(const ClusterAccess& access,
                                                                   ConnectionOptions options,
                                                                   const Clock& clock,
                                                                   MetricRegistry& metrics) {
  StartHttpThreads(kHttpThreads);
  const ServerUrl server = TRY(ParseServerUrl(access.server).Annotate("the API server"));
  if (options.api.field_manager.empty())
    options.api.field_manager = options.user_agent.substr(0, options.user_agent.find('/'));
  std::unique_ptr<State> state(
      new State{.rest = OptionsFor(access, {.user_agent = options.user_agent}),
                .credentials = MakeCredentials(access, clock),
                .clock = clock,
                .metrics = metrics,
                .host = server.host + ":" + std::to_string(server.port),
                .ns = access.ns,
                .limiter = {options.limits, clock}});
  state->calls = TRY(state->Connect());
  state->watches = TRY(state->Connect());
  state->lease = TRY(state->Connect());
  state->api.emplace(*state->calls, &state->limiter, std::move(options.api));
  return std::unique_ptr<ClusterConnection>(new ClusterConnection(std::move(state)));
}

ClusterConnection::ClusterConnection(std::unique_ptr<State> state) : state_(std::move(state)) {}
ClusterConnection::~ClusterConnection() = default;

const ApiClient& ClusterConnection::api() const { return *state_->api; }
HttpTransport& ClusterConnection::watches() const { return *state_->watches; }
HttpTransport& ClusterConnection::lease() const { return *state_->lease; }
const std::string& ClusterConnection::ns() const { return state_->ns; }
Result<std::unique_ptr<HttpTransport>> ClusterConnection::Another() const {
  return state_->Connect();
}

}  // namespace backfill::kube
