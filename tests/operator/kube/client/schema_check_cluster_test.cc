// R31 on a real API server: what it publishes of a CRD is what it does with objects.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "operator/kube/client/api_client.h"
#include "operator/kube/client/kube_config.h"
#include "operator/kube/client/rest_transport.h"
#include "operator/kube/client/schema_check.h"
#include "tests/cluster/control_plane.h"
#include "tests/e2e/process.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using cluster::ControlPlane;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class SchemaCheckClusterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<ControlPlane> shared = ControlPlane::Shared();
    if (!shared.ok()) GTEST_SKIP() << shared.error().message;
    plane_.emplace(std::move(shared).value());
    const auto access = LoadKubeConfig({.files = {plane_->kubeconfig()}});
    ASSERT_TRUE(access.ok()) << access.error().message;
    auto transport = RestTransport::Make(OptionsFor(*access, {.user_agent = "schema-check"}),
                                         MakeCredentials(*access, clock_), clock_);
    ASSERT_TRUE(transport.ok()) << transport.error().message;
    transport_ = std::move(transport).value();
    client_.emplace(*transport_, nullptr);
  }

  // Another test may be installing the same.
  void Install(const std::string& crd) {
    std::string said;
    EXPECT_TRUE(e2e::TimeUntil(30s, [&] {
      const Result<std::string> applied = plane_->Apply(crd);
      said = applied.ok() ? "" : applied.error().message;
      return said.find("AlreadyExists") == std::string::npos;
    }));
    EXPECT_EQ(said, "");
  }
  // Once the server describes the kind, which is some time after it was installed.
  std::vector<std::string> Missing(const ResourceType& type,
                                   const std::vector<std::string>& fields) {
    std::optional<Result<std::vector<std::string>>> missing;
    EXPECT_TRUE(e2e::TimeUntil(30s, [&] {
      const auto document = client_->Call({.target = OpenApiPath(type)}, "reading schemas",
                                          {.deadline = clock_.Steady() + 20s});
      if (document.ok()) missing = MissingFields(*document, type, fields);
      return missing && missing->ok();
    })) << (missing ? missing->error().message : "there is no document");
    return missing && missing->ok() ? **missing : std::vector<std::string>{"(all)"};
  }
  // What is left of an object that is written.
  nlohmann::json Written(const ResourceType& type, const nlohmann::json& object) {
    auto stored = client_->Call({.method = HttpMethod::kPost,
                                 .target = PathOf(type, "default"),
                                 .content_type = "application/json",
                                 .body = object.dump()},
                                "writing", {.deadline = clock_.Steady() + 20s});
    EXPECT_TRUE(stored.ok()) << stored.error().message;
    return nlohmann::json::parse(stored.ok() ? *stored : "null", nullptr, false);
  }

  const SystemClock clock_;
  std::optional<ControlPlane> plane_;
  std::unique_ptr<RestTransport> transport_;
  std::optional<ApiClient> client_;
};

TEST_F(SchemaCheckClusterTest, R31_TheProductsCrdsHaveWhatIsWritten) {
  for (const char* plural : {"backfills", "backfillledgers"})
    Install(e2e::ReadFile(std::string(BACKFILL_CRDS) + "/backfill.dev_" + plural + ".yaml"));
  const ResourceType backfills{"backfill.dev", "v1alpha1", "backfills", "Backfill"};
  EXPECT_THAT(
      Missing(backfills,
              {"metadata.finalizers", "metadata.annotations.any", "metadata.ownerReferences.uid",
               "spec.throttle.maxRecordsPerSecond", "spec.target.http.url",
               "status.observedGeneration", "status.phase", "status.plan", "status.progress",
               "status.conditions.type", "status.conditions.lastTransitionTime"}),
      IsEmpty());
  EXPECT_THAT(
      Missing(backfills, {"spec.throttle.ofAnotherVersion", "status.phase",
                          "status.phase.ofAnotherVersion", "epoch"}),
      ElementsAre("spec.throttle.ofAnotherVersion", "status.phase.ofAnotherVersion", "epoch"));
  const ResourceType ledgers{"backfill.dev", "v1alpha1", "backfillledgers", "BackfillLedger"};
  EXPECT_THAT(Missing(ledgers, {"epoch", "seq", "chunks", "writer", "data", "spec"}),
              ElementsAre("spec"));
}

TEST_F(SchemaCheckClusterTest, R31_WhatIsMissingIsWhatTheServerDrops) {
  const std::string group = cluster::UniqueName("schema") + ".example.dev";
  Install(R"({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "samples.)" +
          group + R"("},
    "spec": {"group": ")" +
          group + R"(", "scope": "Namespaced",
      "names": {"kind": "Sample", "plural": "samples", "singular": "sample"},
      "versions": [{"name": "v1", "served": true, "storage": true,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {
          "type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
            "known": {"type": "object", "properties": {"a": {"type": "string"}}},
            "map": {"type": "object", "additionalProperties": {
              "type": "object", "properties": {"a": {"type": "string"}}}},
            "list": {"type": "array", "items": {
              "type": "object", "properties": {"a": {"type": "string"}}}},
            "plain": {"type": "object"},
            "any": {"x-kubernetes-preserve-unknown-fields": true},
            "embedded": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {
              "a": {"type": "string"}}}}}}}}}]}})");
  const ResourceType samples{group, "v1", "samples", "Sample"};
  // Every field there is, with the path of each.
  const nlohmann::json both{{"a", "x"}, {"b", "x"}};
  nlohmann::json object{{"apiVersion", group + "/v1"},
                        {"kind", "Sample"},
                        {"metadata", {{"name", "one"}, {"labels", {{"a", "x"}}}, {"b", "x"}}},
                        {"spec",
                         {{"known", both},
                          {"map", {{"key", both}}},
                          {"list", nlohmann::json::array({both})},
                          {"plain", both},
                          {"any", both},
                          {"other", both},
                          {"embedded",
                           {{"apiVersion", "v1"},
                            {"kind", "Other"},
                            {"metadata", {{"name", "one"}, {"b", "x"}}},
                            {"a", "x"},
                            {"b", "x"}}}}},
                        {"b", "x"}};
  std::vector<std::string> fields;
  std::vector<std::string> pointers;
  const nlohmann::json flat = object.flatten();
  for (const auto& [pointer, value] : flat.items()) {
    pointers.push_back(pointer);
    std::string field = pointer.substr(1);
    if (const std::size_t first = field.find("/0/"); first != std::string::npos)
      field.replace(first, 3, "/");
    std::ranges::replace(field, '/', '.');
    fields.push_back(std::move(field));
  }
  const std::vector<std::string> missing = Missing(samples, fields);

  const nlohmann::json written = Written(samples, object);
  std::vector<std::string> dropped;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (!written.contains(nlohmann::json::json_pointer(pointers[i]))) dropped.push_back(fields[i]);
  }
  EXPECT_EQ(missing, dropped);
  EXPECT_THAT(missing, ElementsAre("b", "metadata.b", "spec.embedded.b", "spec.embedded.metadata.b",
                                   "spec.known.b", "spec.list.b", "spec.map.key.b", "spec.plain.a",
                                   "spec.plain.b"));
}

}  // namespace
}  // namespace backfill::kube
