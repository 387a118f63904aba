#include <string>

#include "operator/kube/client/exec_credentials.h"
#include "operator/kube/client/kube_config_file.h"
#include "operator/kube/client/server_url.h"
#include "tests/fuzz/feedback.h"

// A kubeconfig, and what its program prints: read, or refused in words that give no secret away.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace backfill;
  using fuzz::Require, fuzz::Saw;
  const std::string_view text = fuzz::View(data, size);
  const auto keeps_secrets = [](const Error& e) {
    Require(!e.message.empty() && e.message.size() <= 1024, "a refusal has bounded words");
    Require(e.message.find("s3cret") == std::string::npos, "it gives no secret away");
    Saw(e.message);
  };
  if (const auto config = kube::ParseKubeConfig(text, "f"); config.ok()) {
    Saw("a kubeconfig");
    for (const auto& [name, user] : config->users) {
      Require(user.at.starts_with("f: "), "where it stands is known");
      if (user.value.has_exec) Saw("exec");
      if (!user.value.token.empty()) Saw("token");
      if (!user.value.unsupported.empty()) Saw(user.value.unsupported);
    }
    for (const auto& [name, cluster] : config->clusters) {
      const auto url = kube::ParseServerUrl(cluster.value.server);
      if (url.ok()) {
        Require(kube::ParseServerUrl(url->Origin() + url->prefix).ok(), "it is still a URL");
        Saw("cluster");
      }
    }
  } else {
    Require(config.error().code == ErrorCode::kInvalid, "what is wrong is the file");
    Require(config.error().message.starts_with("f: "), "it is named");
    keeps_secrets(config.error());
  }
  const auto said = kube::ParseExecCredential(text, "client.authentication.k8s.io/v1");
  if (said.ok()) {
    Require(!said->token.empty() || !said->certificate_pem.empty(), "it says who we are");
    Saw("exec credential");
  } else {
    keeps_secrets(said.error());
  }
  return 0;
}
