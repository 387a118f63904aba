#include "operator/kube/client/kube_config.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "operator/kube/client/kube_config_file.h"
#include "operator/kube/client/server_url.h"

namespace backfill::kube {
namespace {

constexpr std::size_t kMaxFileBytes = 4 << 20;
constexpr std::size_t kMaxFiles = 64;

Error Invalid(std::string_view at, std::string_view why) {
  return {ErrorCode::kInvalid, fmt::format("{}: {}", at, why)};
}

// Of MIME's alphabet, with its padding; blanks are passed over, as files are wrapped.
Result<std::string> Base64(std::string_view text, const std::string& at) {
  std::string dense;
  for (const char c : text) {
    if (c != '\n' && c != '\r' && c != ' ' && c != '\t') dense += c;
  }
  const std::size_t data = std::min(dense.find('='), dense.size());
  const std::size_t padding = dense.size() - data;
  std::string out(dense.size() / 4 * 3, '\0');
  if (dense.size() % 4 != 0 || padding > 2 ||
      dense.find_first_not_of('=', data) != std::string::npos)
    return Invalid(at, "must be base64");
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),  // NOLINT: bytes
                                reinterpret_cast<const unsigned char*>(dense.data()),  // NOLINT
                                static_cast<int>(dense.size()));
  if (n < 0) return Invalid(at, "must be base64");
  out.resize(static_cast<std::size_t>(n) - padding);
  return out;
}

// A file, and what it says, relative to the kubeconfig.
std::string Beside(const std::string& config, const std::string& file) {
  if (file.empty() || file.front() == '/') return file;
  return (std::filesystem::path(config).parent_path() / file).string();
}

template <typename T>
struct Found {
  const T* value = nullptr;
  std::string at;      // for messages
  std::string config;  // the file that it stands in
};

template <typename T>
Result<Found<T>> Find(const std::vector<KubeConfigFile>& files,
                      std::map<std::string, KubeConfigFile::Named<T>> KubeConfigFile::* list,
                      std::string_view kind, const std::string& name) {
  for (const KubeConfigFile& file : files) {
    if (const auto it = (file.*list).find(name); it != (file.*list).end())
      return Found<T>{.value = &it->second.value, .at = it->second.at, .config = file.path};
  }
  return Error{ErrorCode::kNotFound,
               fmt::format("{}: there is no {} '{}'", files.front().path, kind, name)};
}

Status AddCluster(const Found<KubeConfigFile::Cluster>& cluster, bool allow_insecure,
                  ClusterAccess& out) {
  const KubeConfigFile::Cluster& c = *cluster.value;
  const std::string at = cluster.at + ".cluster";
  if (c.server.empty()) return Invalid(at, "server: must not be empty");
  TRY(ParseServerUrl(c.server).Annotate(at + ".server"));
  if (c.skip_tls_verify && !allow_insecure)
    return Invalid(at, "insecure-skip-tls-verify: would trust any server, and must be asked for");
  const bool has_authority = !c.authority_file.empty() || !c.authority_data.empty();
  if (c.skip_tls_verify && has_authority)
    return Invalid(at, "insecure-skip-tls-verify: an authority is given, too");
  out.server = c.server;
  out.tls_server_name = c.tls_server_name;
  out.proxy_url = c.proxy_url;
  out.skip_tls_verify = c.skip_tls_verify;
  // Data goes before files, as kubectl has it.
  out.files.ca_pem = TRY(Base64(c.authority_data, at + ".certificate-authority-data"));
  if (out.files.ca_pem.empty()) out.files.ca_file = Beside(cluster.config, c.authority_file);
  return Ok{};
}

// What a plugin is told of the cluster.
std::string ExecInfo(const KubeConfigFile::Exec& exec, const ClusterAccess& access,
                     const KubeConfigFile::Cluster& cluster) {
  nlohmann::json info = {{"kind", "ExecCredential"},
                         {"apiVersion", exec.api_version},
                         {"spec", {{"interactive", false}}}};
  if (exec.provide_cluster_info) {
    nlohmann::json& c = info["spec"]["cluster"];
    c = {{"server", access.server}};
    if (!access.tls_server_name.empty()) c["tls-server-name"] = access.tls_server_name;
    if (!access.proxy_url.empty()) c["proxy-url"] = access.proxy_url;
    if (access.skip_tls_verify) c["insecure-skip-tls-verify"] = true;
    if (!cluster.authority_data.empty()) c["certificate-authority-data"] = cluster.authority_data;
  }
  return info.dump();
}

Status AddExec(const Found<KubeConfigFile::User>& user, const KubeConfigFile::Cluster& cluster,
               ClusterAccess& out) {
  const KubeConfigFile::Exec& exec = user.value->exec;
  const std::string at = user.at + ".user.exec";
  if (exec.api_version != "client.authentication.k8s.io/v1" &&
      exec.api_version != "client.authentication.k8s.io/v1beta1")
    return Invalid(at, "apiVersion: must be client.authentication.k8s.io/v1 or /v1beta1");
  if (exec.command.empty()) return Invalid(at, "command: must not be empty");
  if (exec.interactive_mode == "Always")
    return Invalid(at, "interactiveMode: Always cannot be had, as nobody answers");
  if (!exec.interactive_mode.empty() && exec.interactive_mode != "Never" &&
      exec.interactive_mode != "IfAvailable")
    return Invalid(at, "interactiveMode: must be Never, IfAvailable or Always");
  for (const auto& [name, value] : exec.environment) {
    if (name.empty() || name.find('=') != std::string::npos)
      return Invalid(at, "env: a variable needs a name without '='");
  }
  ExecPlugin plugin{.command = {.program = exec.command,
                                .arguments = exec.arguments,
                                .environment = exec.environment},
                    .api_version = exec.api_version,
                    .install_hint = exec.install_hint.substr(0, 512)};
  // With a slash it is a path from the kubeconfig, without one a name to look for.
  if (exec.command.find('/') != std::string::npos)
    plugin.command.program = Beside(user.config, exec.command);
  plugin.command.environment["KUBERNETES_EXEC_INFO"] = ExecInfo(exec, out, cluster);
  out.exec = std::move(plugin);
  return Ok{};
}

Status AddUser(const Found<KubeConfigFile::User>& user, const KubeConfigFile::Cluster& cluster,
               ClusterAccess& out) {
  const KubeConfigFile::User& u = *user.value;
  const std::string at = user.at + ".user";
  if (!u.unsupported.empty()) return Invalid(at, u.unsupported + ": is not supported");
  if (u.has_exec && (!u.token.empty() || !u.token_file.empty()))
    return Invalid(at, "exec: a token is given, too");
  out.files.token_file = Beside(user.config, u.token_file);
  if (u.token_file.empty()) out.files.token = u.token;
  out.files.certificate_pem = TRY(Base64(u.certificate_data, at + ".client-certificate-data"));
  if (out.files.certificate_pem.empty())
    out.files.certificate_file = Beside(user.config, u.certificate_file);
  out.files.key_pem = TRY(Base64(u.key_data, at + ".client-key-data"));
  if (out.files.key_pem.empty()) out.files.key_file = Beside(user.config, u.key_file);
  return u.has_exec ? AddExec(user, cluster, out) : Status(Ok{});
}

Result<std::vector<KubeConfigFile>> ReadFiles(const KubeConfigRequest& request) {
  std::vector<KubeConfigFile> files;
  for (const std::string& path : request.files) {
    if (path.empty()) continue;
    if (files.size() == kMaxFiles) return Invalid(path, "one kubeconfig too many");
    if (!request.must_exist && ::access(path.c_str(), F_OK) != 0) continue;
    const std::string text = TRY(ReadSmallFile(path, kMaxFileBytes));
    files.push_back(TRY(ParseKubeConfig(text, path)));
  }
  if (files.empty()) return Error{ErrorCode::kNotFound, "there is no kubeconfig"};
  return files;
}

}  // namespace

Environment ProcessEnvironment() {
  return [](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets any
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

Result<ClusterAccess> LoadInCluster(const Environment& environment, const std::string& account) {
  const auto host = environment("KUBERNETES_SERVICE_HOST");
  const auto port = environment("KUBERNETES_SERVICE_PORT");
  if (!host || host->empty() || !port || port->empty())
    return Error{ErrorCode::kNotFound, "not in a pod: KUBERNETES_SERVICE_HOST is not set"};
  // A literal IPv6 address cannot be connected to; the certificate has this name, too (R36).
  const bool ipv6 = host->find(':') != std::string::npos;
  ClusterAccess access{
      .server = fmt::format("https://{}:{}", ipv6 ? "kubernetes.default.svc" : *host, *port),
      .files = {.token_file = account + "/token", .ca_file = account + "/ca.crt"}};
  TRY(ParseServerUrl(access.server).Annotate("KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT"));
  if (const auto ns = ReadSmallFile(account + "/namespace", 256); ns.ok())
    access.ns = ns->substr(0, ns->find_first_of(" \r\n"));
  return access;
}

KubeConfigRequest DefaultKubeConfig(const Environment& environment) {
  KubeConfigRequest request{.must_exist = false};
  if (const auto list = environment("KUBECONFIG"); list && !list->empty()) {
    for (std::size_t at = 0; at <= list->size();) {
      const std::size_t end = std::min(list->find(':', at), list->size());
      if (end > at) request.files.push_back(list->substr(at, end - at));
      at = end + 1;
    }
  } else if (const auto home = environment("HOME"); home && !home->empty()) {
    request.files.push_back(*home + "/.kube/config");
  }
  return request;
}

Result<ClusterAccess> LoadKubeConfig(const KubeConfigRequest& request) {
  const std::vector<KubeConfigFile> files = TRY(ReadFiles(request));
  std::string name = request.context;
  for (const KubeConfigFile& file : files) {
    if (name.empty()) name = file.current_context;
  }
  if (name.empty())
    return Error{ErrorCode::kNotFound, fmt::format("{}: current-context: must not be empty, unless "
                                                   "a context is chosen",
                                                   files.front().path)};
  const auto context = TRY(Find(files, &KubeConfigFile::contexts, "context", name));
  const auto cluster = TRY(Find(files, &KubeConfigFile::clusters, "cluster", context.value->cluster)
                               .Annotate(context.at));
  ClusterAccess access{.ns = context.value->ns};
  TRY(AddCluster(cluster, request.allow_insecure, access));
  if (context.value->user.empty()) return access;  // kubectl proxy asks for nobody
  const auto user =
      TRY(Find(files, &KubeConfigFile::users, "user", context.value->user).Annotate(context.at));
  TRY(AddUser(user, *cluster.value, access));
  return access;
}

Result<ClusterAccess> FindCluster(const Environment& environment) {
  const auto named = environment("KUBECONFIG");
  if (!named || named->empty()) {
    Result<ClusterAccess> access = LoadInCluster(environment);
    if (access.ok() || access.error().code != ErrorCode::kNotFound) return access;
  }
  return LoadKubeConfig(DefaultKubeConfig(environment));
}

Result<KubeContexts> ListContexts(const KubeConfigRequest& request) {
  const std::vector<KubeConfigFile> files = TRY(ReadFiles(request));
  KubeContexts contexts{.current = request.context, .names = {}};
  std::set<std::string> names;
  for (const KubeConfigFile& file : files) {
    if (contexts.current.empty()) contexts.current = file.current_context;
    for (const auto& [name, context] : file.contexts) names.insert(name);
  }
  contexts.names.assign(names.begin(), names.end());
  return contexts;
}

std::shared_ptr<CredentialCache> MakeCredentials(const ClusterAccess& access, const Clock& clock) {
  return std::make_shared<CredentialCache>(access.exec
                                               ? MakeExecCredentials(*access.exec, access.files)
                                               : MakeFileCredentials(access.files),
                                           clock);
}

RestOptions OptionsFor(const ClusterAccess& access, RestOptions base) {
  base.server = access.server;
  base.tls_server_name = access.tls_server_name;
  base.proxy_url = access.proxy_url;
  base.skip_tls_verify = access.skip_tls_verify;
  return base;
}

}  // namespace backfill::kube
