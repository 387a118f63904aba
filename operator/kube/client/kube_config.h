#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "operator/kube/client/credential_cache.h"
#include "operator/kube/client/exec_credentials.h"
#include "operator/kube/client/rest_transport.h"

// Where the API server is and who we are there (R36). Files are read by these functions only; what
// they point to (tokens, certificates) is read again by the credentials made of them.
namespace backfill::kube {

struct ClusterAccess {
  std::string server = {};
  std::string tls_server_name = {};
  std::string proxy_url = {};
  bool skip_tls_verify = false;
  std::string ns = {};  // of the context, or of our pod; "" is for the caller to decide
  CredentialFiles files = {};
  std::optional<ExecPlugin> exec = {};
};

// The environment, as std::getenv; nothing: there is no such variable.
using Environment = std::function<std::optional<std::string>(const char* name)>;
Environment ProcessEnvironment();

// In a pod: KUBERNETES_SERVICE_HOST and _PORT, and the files of the service account.
// kNotFound: this is no pod. kInvalid; kUnauthenticated: a file cannot be read.
Result<ClusterAccess> LoadInCluster(
    const Environment& environment,
    const std::string& account = "/var/run/secrets/kubernetes.io/serviceaccount");

struct KubeConfigRequest {
  std::vector<std::string> files = {};  // of several, the first that says something counts
  bool must_exist = true;               // all of them; else those that do not are passed over
  std::string context = {};             // "": current-context
  bool allow_insecure = false;          // a kubeconfig that checks no certificate is refused else
};

// KUBECONFIG, split at colons, or else ~/.kube/config, none of which must exist.
KubeConfigRequest DefaultKubeConfig(const Environment& environment);

// kNotFound: there is no file, no context, or what it refers to. kInvalid, with file, line and
// field. Secrets are in no message.
Result<ClusterAccess> LoadKubeConfig(const KubeConfigRequest& request);

// Where a program belongs that was told nothing: what KUBECONFIG names, else the cluster whose pod
// this is, else ~/.kube/config, as controller-runtime looks for it.
Result<ClusterAccess> FindCluster(const Environment& environment);

struct KubeContexts {
  std::string current;             // that of the request, else current-context; "": none is chosen
  std::vector<std::string> names;  // in order, each once
};
// What can be chosen from. Errors as LoadKubeConfig() of files that are not there or cannot be
// read.
Result<KubeContexts> ListContexts(const KubeConfigRequest& request);

// One for all transports to a cluster, so that a program runs once for all of them.
std::shared_ptr<CredentialCache> MakeCredentials(const ClusterAccess& access, const Clock& clock);

// `base`, with what the access says.
RestOptions OptionsFor(const ClusterAccess& access, RestOptions base = {});

}  // namespace backfill::kube
