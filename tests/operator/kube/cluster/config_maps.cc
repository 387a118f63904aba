#include "tests/operator/kube/cluster/config_maps.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kube/cache/kinds.h"
#include "operator/kube/client/api_object.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;

constexpr ResourceType kNamespaces{
    .group = "", .version = "v1", .plural = "namespaces", .kind = "Namespace", .namespaced = false};

}  // namespace

ConfigMaps::ConfigMaps(std::unique_ptr<HttpTransport> direct, std::string ns)
    : direct_(std::move(direct)), ns_(std::move(ns)) {
  Send({.method = HttpMethod::kPost,
        .target = PathOf(kNamespaces),
        .content_type = "application/json",
        .body = R"({"metadata":{"name":")" + ns_ + R"("}})"},
       201);
}

ConfigMaps::~ConfigMaps() {
  const SystemClock clock;
  (void)direct_->Send({.method = HttpMethod::kDelete, .target = PathOf(kNamespaces, "", ns_)},
                      clock.Steady() + 5s, {});  // a server that is down has lost it anyway
}

void ConfigMaps::Create(const std::string& name) {
  Send({.method = HttpMethod::kPost,
        .target = PathOf(kConfigMaps, ns_),
        .content_type = "application/json",
        .body = R"({"metadata":{"name":")" + name + R"(","labels":{"made-by":"test"}}})"},
       201);
  there_[name] = 0;
}

void ConfigMaps::Change(const std::string& name) {
  Send({.method = HttpMethod::kPatch,
        .target = PathTo(name),
        .content_type = "application/merge-patch+json",
        .body = R"({"data":{"changes":")" + std::to_string(++changes_) + R"("}})"},
       200);
  ++there_[name];
}

void ConfigMaps::Delete(const std::string& name) {
  Send({.method = HttpMethod::kDelete, .target = PathTo(name)}, 200);
  there_.erase(name);
}

void ConfigMaps::Stir() {
  const std::string name = "stirred-" + std::to_string(random_() % 8);
  if (!there_.contains(name)) {
    Create(name);
  } else if (random_() % 3 == 0) {
    Delete(name);
  } else {
    Change(name);
  }
}

std::map<std::string, std::string> ConfigMaps::List() {
  const std::string text =
      Send({.target = PathOf(kConfigMaps, ns_) + "?labelSelector=made-by%3Dtest"}, 200);
  const nlohmann::json list = nlohmann::json::parse(text, nullptr, false);
  std::map<std::string, std::string> versions;
  if (!list.is_object()) return versions;
  for (const nlohmann::json& item : list.at("items")) {
    const nlohmann::json& meta = item.at("metadata");
    versions[meta.at("name")] = meta.at("resourceVersion");
  }
  return versions;
}

std::string ConfigMaps::Send(HttpRequest request, int expected) {
  const SystemClock clock;
  const Result<HttpResponse> response = direct_->Send(request, clock.Steady() + 20s, {});
  const std::string doing = std::string(ToString(request.method)) + " " + request.target;
  if (!response.ok()) {
    ADD_FAILURE() << doing << ": " << response.error().message;
    return "";
  }
  EXPECT_EQ(response->status, expected) << doing << ": " << response->body;
  return response->body;
}

std::string ConfigMaps::PathTo(const std::string& name) const {
  return PathOf(kConfigMaps, ns_, name);
}

}  // namespace backfill::kube
