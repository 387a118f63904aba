#include "tests/operator/kube/cluster/server_access.h"

#include <charconv>
#include <string_view>
#include <utility>

#include "operator/kube/client/kube_config.h"

namespace backfill::kube {
namespace {

constexpr std::string_view kLoopback = "https://127.0.0.1:";

}  // namespace

Result<ServerAccess> ReadAccess(const std::filesystem::path& kubeconfig) {
  ClusterAccess cluster = TRY(LoadKubeConfig({.files = {kubeconfig.string()}}));
  ServerAccess access{.port = 0, .credentials = std::move(cluster.files)};
  const std::string_view server = cluster.server;
  if (!server.starts_with(kLoopback))
    return Error{ErrorCode::kInvalid, "the server is not on loopback: " + cluster.server};
  const char* end = server.data() + server.size();
  if (std::from_chars(server.data() + kLoopback.size(), end, access.port).ptr != end)
    return Error{ErrorCode::kInvalid, "the server has no port: " + cluster.server};
  return access;
}

Result<std::unique_ptr<RestTransport>> Connect(const ServerAccess& access, std::string user_agent,
                                               const Clock& clock,
                                               std::optional<std::uint16_t> through) {
  RestOptions options;
  options.server = std::string(kLoopback) + std::to_string(through.value_or(access.port));
  options.user_agent = std::move(user_agent);
  return RestTransport::Make(
      std::move(options),
      std::make_shared<CredentialCache>(MakeFileCredentials(access.credentials), clock), clock);
}

}  // namespace backfill::kube
