#include "operator/kube/client/kube_config_file.h"

#include <fmt/format.h>

#include <utility>

#include "operator/kube/client/json_fields.h"
#include "operator/kube/client/yaml_document.h"

namespace backfill::kube {
namespace {

KubeConfigFile::Cluster ClusterOf(const JsonFields& f) {
  return {.server = f.String("server"),
          .tls_server_name = f.String("tls-server-name"),
          .proxy_url = f.String("proxy-url"),
          .authority_file = f.String("certificate-authority"),
          .authority_data = f.String("certificate-authority-data"),
          .skip_tls_verify = f.Bool("insecure-skip-tls-verify")};
}

KubeConfigFile::Exec ExecOf(const JsonFields& f) {
  KubeConfigFile::Exec exec{.api_version = f.String("apiVersion"),
                            .command = f.String("command"),
                            .interactive_mode = f.String("interactiveMode"),
                            .install_hint = f.String("installHint"),
                            .arguments = f.Strings("args"),
                            .environment = {},
                            .provide_cluster_info = f.Bool("provideClusterInfo")};
  for (const JsonFields& variable : f.Objects("env"))
    exec.environment[variable.String("name")] = variable.String("value");
  return exec;
}

KubeConfigFile::User UserOf(const JsonFields& f) {
  KubeConfigFile::User user{.token = f.String("token"),
                            .token_file = f.String("tokenFile"),
                            .certificate_file = f.String("client-certificate"),
                            .certificate_data = f.String("client-certificate-data"),
                            .key_file = f.String("client-key"),
                            .key_data = f.String("client-key-data"),
                            .has_exec = f.Has("exec"),
                            .exec = ExecOf(f.Object("exec")),
                            .unsupported = {}};
  for (const char* member :
       {"username", "password", "auth-provider", "as", "as-uid", "as-groups", "as-user-extra"}) {
    if (f.Has(member)) user.unsupported = member;
  }
  return user;
}

KubeConfigFile::Context ContextOf(const JsonFields& f) {
  return {.cluster = f.String("cluster"), .user = f.String("user"), .ns = f.String("namespace")};
}

}  // namespace

Result<KubeConfigFile> ParseKubeConfig(std::string_view text, const std::string& path) {
  const YamlDocument document = TRY(ParseYaml(text).Annotate(path));
  KubeConfigFile out;
  out.path = path;
  std::string problem;
  const JsonFields fields(document.value, "", problem);
  const auto at = [&](std::string_view what) {
    const int line = document.LineOf(std::string(what));
    return line > 0 ? fmt::format("{}: line {}: {}", path, line, what)
                    : fmt::format("{}: {}", path, what);
  };
  out.current_context = fields.String("current-context");
  // A name twice: the first counts, as between files.
  const auto read = [&](const char* list, const char* member, auto decode, auto& into) {
    int i = 0;
    for (const JsonFields& entry : fields.Objects(list)) {
      const std::string where = at(fmt::format("{}[{}]", list, i++));
      into.try_emplace(entry.String("name"), decode(entry.Object(member)), where);
    }
  };
  read("clusters", "cluster", ClusterOf, out.clusters);
  read("users", "user", UserOf, out.users);
  read("contexts", "context", ContextOf, out.contexts);
  if (problem.empty()) return out;
  const std::size_t end = problem.find(": must be");
  const int line = end == std::string::npos ? 0 : document.LineOf(problem.substr(0, end));
  return Error{ErrorCode::kInvalid, line > 0 ? fmt::format("{}: line {}: {}", path, line, problem)
                                             : fmt::format("{}: {}", path, problem)};
}

}  // namespace backfill::kube
