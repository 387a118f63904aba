#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace backfill::kube {

// A kubeconfig, as it says it; paths and data as they stand there. What is not read is passed over,
// as kubectl does.
struct KubeConfigFile {
  struct Cluster {
    std::string server, tls_server_name, proxy_url, authority_file, authority_data;
    bool skip_tls_verify = false;
  };
  struct Exec {
    std::string api_version, command, interactive_mode, install_hint;
    std::vector<std::string> arguments;
    std::map<std::string, std::string> environment;
    bool provide_cluster_info = false;
  };
  struct User {
    std::string token, token_file;
    std::string certificate_file, certificate_data, key_file, key_data;
    bool has_exec = false;
    Exec exec;
    std::string unsupported;  // a member that says we are somebody in a way that we do not know
  };
  struct Context {
    std::string cluster, user, ns;
  };
  template <typename T>
  struct Named {
    T value;
    std::string at;  // "<file>: line 7: users[0]", for messages
  };

  std::string path;  // of the file
  std::string current_context;
  std::map<std::string, Named<Cluster>> clusters;
  std::map<std::string, Named<User>> users;
  std::map<std::string, Named<Context>> contexts;
};

// kInvalid, with file, line and field. Pure.
Result<KubeConfigFile> ParseKubeConfig(std::string_view text, const std::string& path);

}  // namespace backfill::kube
