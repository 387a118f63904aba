#include "operator/observe/rest_servers.h"

#include <fmt/format.h>

#include "operator/kube/client/rest_transport.h"
#include "operator/observe/credential_name.h"
#include "operator/observe/mounted_credentials.h"

namespace backfill::observe {
namespace {

// A question may wait for an hour at most, so nothing that is asked is older.
constexpr Duration kUnused = std::chrono::minutes(10);

}  // namespace

RestServers::RestServers(RestServersOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock) {}

void RestServers::ForgetUnused(Time now) {
  std::erase_if(servers_, [&](const auto& s) {
    return s.second.transport.use_count() == 1 && now - s.second.used > kUnused;
  });
}

Result<std::unique_ptr<kube::CredentialSource>> RestServers::CredentialsFor(
    const std::string& name, const std::string& server) const {
  TRY(CheckCredentialName(name));
  if (name.empty()) return MakeNoCredentials();
  if (options_.credentials_folder.empty()) {
    return Error{ErrorCode::kInvalid,
                 "credentials: none were given to this program; see its installation"};
  }
  return MakeMountedCredentials(fmt::format("{}/{}", options_.credentials_folder, name), server);
}

Result<std::shared_ptr<kube::HttpTransport>> RestServers::To(const std::string& server,
                                                             const std::string& credentials) {
  const Time now = clock_.Steady();
  MutexLock l(mu_);
  if (const auto it = servers_.find({server, credentials}); it != servers_.end()) {
    it->second.used = now;
    return it->second.transport;
  }
  ForgetUnused(now);
  if (servers_.size() >= options_.max_servers) {
    return Error{
        ErrorCode::kUnavailable,
        fmt::format("metrics are read from {} servers, and from no more", servers_.size())};
  }
  auto source = TRY(CredentialsFor(credentials, server));
  std::shared_ptr<kube::HttpTransport> transport = TRY(kube::RestTransport::Make(
      {.server = server, .user_agent = options_.user_agent, .max_requests = 4, .max_waiting = 16},
      std::make_shared<kube::CredentialCache>(std::move(source), clock_), clock_));
  servers_.emplace(std::pair(server, credentials), Server{.transport = transport, .used = now});
  return transport;
}

}  // namespace backfill::observe
