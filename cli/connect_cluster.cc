#include "cli/connect_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "operator/kube/client/kube_config.h"
#include "operator/kube/client/rest_transport.h"

namespace backfill::cli {
namespace {

constexpr int kHttpThreads = 2;
constexpr std::size_t kMaxNamed = 20;  // contexts in a message

struct Found {
  kube::ClusterAccess access;
  std::string context;
};

kube::KubeConfigRequest RequestFor(const ClusterChoice& choice) {
  kube::KubeConfigRequest request = kube::DefaultKubeConfig(kube::ProcessEnvironment());
  if (!choice.kubeconfig.empty()) request = {.files = {choice.kubeconfig}};
  request.context = choice.context;
  // Who says so in a kubeconfig of his own has asked for it; kubectl does not ask again.
  request.allow_insecure = true;
  return request;
}

Error NoKubeConfig(const kube::KubeConfigRequest& request) {
  std::vector<std::string> files = request.files;
  if (files.size() > kMaxNamed) files.resize(kMaxNamed);
  return {ErrorCode::kNotFound,
          fmt::format("there is no kubeconfig{}{}: name one with --kubeconfig or KUBECONFIG, or a "
                      "state directory with --state-dir",
                      files.empty() ? "" : " at ", fmt::join(files, ", "))};
}

Error WithContexts(Error error, const kube::KubeContexts& contexts) {
  std::vector<std::string> names = contexts.names;
  const bool cut = names.size() > kMaxNamed;
  if (cut) names.resize(kMaxNamed);
  error.message +=
      names.empty() ? "; it has none"
                    : fmt::format("; there are: {}{}", fmt::join(names, ", "), cut ? ", .." : "");
  return error;
}

Result<Found> Find(const ClusterChoice& choice) {
  const kube::KubeConfigRequest request = RequestFor(choice);
  const Result<kube::KubeContexts> contexts = kube::ListContexts(request);
  if (!contexts.ok()) {
    if (contexts.error().code != ErrorCode::kNotFound || !choice.kubeconfig.empty())
      return contexts.error();
    if (choice.context.empty()) {
      auto in_pod = kube::LoadInCluster(kube::ProcessEnvironment());
      if (in_pod.ok()) return Found{std::move(in_pod).value(), ""};
      if (in_pod.error().code != ErrorCode::kNotFound) return in_pod.error();
    }
    return NoKubeConfig(request);
  }
  const std::string context = choice.context.empty() ? contexts->current : choice.context;
  auto access = kube::LoadKubeConfig(request);
  if (access.ok()) return Found{std::move(access).value(), context};
  const bool known = std::ranges::find(contexts->names, context) != contexts->names.end();
  if (access.error().code == ErrorCode::kNotFound && !known)
    return WithContexts(access.error(), *contexts);
  return access.error();
}

}  // namespace

Result<Connection> ConnectCluster(const ClusterChoice& choice, const Clock& clock) {
  Found found = TRY(Find(choice));
  kube::StartHttpThreads(kHttpThreads);
  const auto credentials = kube::MakeCredentials(found.access, clock);
  const kube::RestOptions options =
      kube::OptionsFor(found.access, {.user_agent = "backfill-cli/" BACKFILL_VERSION});
  Connection connection;
  connection.facts = {
      .server = found.access.server, .context = std::move(found.context), .ns = found.access.ns};
  connection.calls = TRY(kube::RestTransport::Make(options, credentials, clock));
  connection.watches = TRY(kube::RestTransport::Make(options, credentials, clock));
  return connection;
}

}  // namespace backfill::cli
