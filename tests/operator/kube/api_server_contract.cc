#include "tests/operator/kube/api_server_contract.h"

#include <fmt/format.h>

#include <future>

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;

std::string RootOf(const std::string& plural) {
  if (plural.starts_with("backfill")) return "/apis/backfill.dev/v1alpha1";
  if (plural == "jobs") return "/apis/batch/v1";
  if (plural == "leases") return "/apis/coordination.k8s.io/v1";
  return "/api/v1";
}

std::string KindOf(const std::string& plural) {
  return plural == "backfills" ? "Backfill" : "BackfillLedger";
}

nlohmann::json Custom(const std::string& plural, const std::string& name) {
  return {{"apiVersion", "backfill.dev/v1alpha1"},
          {"kind", KindOf(plural)},
          {"metadata", {{"name", name}}}};
}

}  // namespace

void ApiServerContractTest::SetUp() {
  std::string why_not;
  server_ = GetParam().make(why_not);
  if (server_ == nullptr) GTEST_SKIP() << why_not;
  const Reply made = Post("/api/v1/namespaces", {{"metadata", {{"generateName", "contract-"}}}});
  ns_ = made.Text("/metadata/name");
  ASSERT_EQ(made.status, 201) << made.body.dump();
}

void ApiServerContractTest::TearDown() {
  if (server_ != nullptr && !ns_.empty()) {
    Send(HttpMethod::kDelete, "/api/v1/namespaces/" + ns_);
  }
}

std::string ApiServerContractTest::Path(const std::string& plural, const std::string& name) const {
  return RootOf(plural) + "/namespaces/" + ns_ + "/" + plural + (name.empty() ? "" : "/" + name);
}

Reply ApiServerContractTest::Send(HttpMethod method, const std::string& target,
                                  const std::string& body, const std::string& content_type,
                                  const std::string& accept) {
  const HttpRequest request{.method = method,
                            .target = target,
                            .content_type = content_type,
                            .body = body,
                            .accept = accept};
  auto sent = std::async(std::launch::async, [&] {
    return server_->transport().Send(request, server_->clock().Steady() + 60s, {});
  });
  while (sent.wait_for(2ms) != std::future_status::ready) server_->LetTimePass();
  const Result<HttpResponse> result = sent.get();
  if (!result.ok()) {
    ADD_FAILURE() << target << ": " << result.error().message;
    return {};
  }
  Reply reply;
  reply.status = result->status;
  reply.body = nlohmann::json::parse(result->body, nullptr, false);
  reply.warnings = result->warnings;
  reply.retry_after = result->retry_after;
  return reply;
}

nlohmann::json ApiServerContractTest::Labelled(const std::string& name, const std::string& team) {
  return {{"metadata", {{"name", name}, {"labels", {{"team", team}}}}}};
}

nlohmann::json ApiServerContractTest::Backfill(const std::string& name) {
  nlohmann::json object = Custom("backfills", name);
  object["spec"] = {{"source", {{"range", {{"start", 0}, {"end", 10}}}}},
                    {"target", {{"http", {{"url", "http://orders/{{key}}"}}}}}};
  return object;
}

nlohmann::json ApiServerContractTest::Ledger(const std::string& name) {
  nlohmann::json object = Custom("backfillledgers", name);
  object.update({{"epoch", 1}, {"seq", 1}, {"chunks", 1}, {"writer", "0a"}, {"data", "AAAA"}});
  return object;
}

nlohmann::json ApiServerContractTest::Job(const std::string& name) {
  nlohmann::json object = Named(name);
  object["spec"] = {
      {"suspend", true},
      {"template",
       {{"spec",
         {{"restartPolicy", "Never"},
          {"containers", nlohmann::json::array({{{"name", "worker"}, {"image", "none"}}})}}}}}};
  return object;
}

std::vector<std::string> ApiServerContractTest::NamesIn(const Reply& list) {
  std::vector<std::string> names;
  if (!list.Has("/items")) ADD_FAILURE() << "not a list: " << list.body.dump();
  for (const nlohmann::json& item : list.body.value("items", nlohmann::json::array())) {
    names.push_back(item.at("metadata").at("name"));
  }
  return names;
}

std::string ApiServerContractTest::Quoted(const Reply& reply, const std::string& pointer) {
  std::string quoted;
  for (const char character : reply.Text(pointer)) {
    const auto c = static_cast<unsigned char>(character);
    quoted += std::isalnum(c) != 0 ? std::string(1, character) : fmt::format("%{:02X}", c);
  }
  return quoted;
}

}  // namespace backfill::kube
