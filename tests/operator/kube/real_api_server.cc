#include "tests/operator/kube/real_api_server.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

#include "operator/api/json.h"
#include "operator/api/node.h"
#include "operator/api/yaml_reader.h"
#include "operator/kube/client/kube_config.h"
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
  const auto access = LoadKubeConfig({.files = {kubeconfig}});
  if (!access.ok()) {
    why_not = access.error().message;
    if (access.error().code != ErrorCode::kNotFound) ADD_FAILURE() << why_not;
    return nullptr;
  }
  const Clock& clock = RealApiServer::SharedClock();
  auto transport = RestTransport::Make(OptionsFor(*access, {.user_agent = "contract-test"}),
                                       MakeCredentials(*access, clock), clock);
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
