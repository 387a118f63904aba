#include "tests/operator/kube/real_api_server.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

#include "operator/api/json.h"
#include "operator/api/node.h"
#include "operator/api/yaml_reader.h"
#include "operator/kube/client/credentials.h"
#include "operator/kube/client/rest_transport.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using api::Node;

std::string ReadFile(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::optional<Node> ReadYamlFile(const std::string& path) {
  api::Problems problems;
  return api::ReadYaml(ReadFile(path), problems);
}

std::string Base64Decoded(const std::string& text) {
  std::string out(3 * text.size() / 4 + 3, '\0');
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(text.data()),
                                static_cast<int>(text.size()));
  out.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  while (!out.empty() && out.back() == '\0') out.pop_back();  // of the padding
  return out;
}

std::string TextIn(const Node& node, std::string_view list, std::string_view path) {
  const Node* items = node.At(list, Node::Kind::kList);
  if (items == nullptr || items->items.empty()) return "";
  const Node* text = items->items.front().At(path, Node::Kind::kString);
  return text == nullptr ? "" : text->text;
}

class RealApiServer final : public ApiServerUnderTest {
 public:
  explicit RealApiServer(std::unique_ptr<RestTransport> transport)
      : transport_(std::move(transport)) {}
  HttpTransport& transport() override { return *transport_; }
  const Clock& clock() override { return clock_; }
  void LetTimePass() override {}  // it does

  // Clocks outlive what uses them.
  static const SystemClock& SharedClock() {
    static const SystemClock clock;
    return clock;
  }

 private:
  const SystemClock clock_;
  std::unique_ptr<RestTransport> transport_;
};

int StatusOf(HttpTransport& transport, HttpMethod method, const std::string& target,
             const std::string& body = "") {
  const auto response = transport.Send({.method = method,
                                        .target = target,
                                        .content_type = body.empty() ? "" : "application/json",
                                        .body = body},
                                       std::chrono::steady_clock::now() + 30s, {});
  if (!response.ok()) return 0;
  return response->status;
}

// Whether the kinds are served in the end. Somebody else may install them at the same time.
bool InstallCrds(HttpTransport& transport) {
  const std::string definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
  for (const char* plural : {"backfills", "backfillledgers"}) {
    const auto crd = ReadYamlFile(std::string(BACKFILL_CRDS) + "/backfill.dev_" + plural + ".yaml");
    if (!crd) return false;
    const std::string body = api::WriteJson(*crd, -1, api::MemberOrder::kAsGiven);
    const int status = StatusOf(transport, HttpMethod::kPost, definitions, body);
    if (status != 201 && status != 409) return false;
    const std::string collection = std::string("/apis/backfill.dev/v1alpha1/") + plural;
    const auto give_up = std::chrono::steady_clock::now() + 30s;
    while (StatusOf(transport, HttpMethod::kGet, collection) != 200) {
      if (std::chrono::steady_clock::now() > give_up) return false;
    }
  }
  return true;
}

}  // namespace

std::unique_ptr<ApiServerUnderTest> MakeRealApiServer(std::string& why_not) {
  const char* kubeconfig = std::getenv("BACKFILL_TEST_KUBECONFIG");
  if (kubeconfig == nullptr) {
    why_not = "BACKFILL_TEST_KUBECONFIG names no API server";
    return nullptr;
  }
  const auto config = ReadYamlFile(kubeconfig);
  if (!config) {
    why_not = std::string(kubeconfig) + " cannot be read: there is no API server";
    return nullptr;
  }
  CredentialFiles files;
  files.ca_pem = Base64Decoded(TextIn(*config, "clusters", "cluster.certificate-authority-data"));
  files.certificate_pem = Base64Decoded(TextIn(*config, "users", "user.client-certificate-data"));
  files.key_pem = Base64Decoded(TextIn(*config, "users", "user.client-key-data"));
  auto transport = RestTransport::Make(
      {.server = TextIn(*config, "clusters", "cluster.server"), .user_agent = "contract-test"},
      MakeFileCredentials(std::move(files)), RealApiServer::SharedClock());
  if (!transport.ok()) {
    ADD_FAILURE() << transport.error().message;
    return nullptr;
  }
  auto server = std::make_unique<RealApiServer>(std::move(transport).value());
  if (!InstallCrds(server->transport())) {
    ADD_FAILURE() << "the CRDs cannot be installed";
    return nullptr;
  }
  return server;
}

}  // namespace backfill::kube
