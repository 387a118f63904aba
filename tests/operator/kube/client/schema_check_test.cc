// R31: which fields a server would drop.
#include "operator/kube/client/schema_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace backfill::kube {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr ResourceType kSample{
    .group = "example.dev", .version = "v1", .plural = "samples", .kind = "Sample"};

// As a server publishes a CRD, with those of its own types that the kind refers to.
constexpr const char* kDocument = R"({
  "openapi": "3.0.0",
  "paths": {"/apis/example.dev/v1/samples": {}},
  "components": {"schemas": {
    "dev.example.v1.SampleList": {
      "type": "object",
      "properties": {"items": {"type": "array", "items": {"$ref": "#/components/schemas/dev.example.v1.Sample"}}},
      "x-kubernetes-group-version-kind": [{"group": "example.dev", "kind": "SampleList", "version": "v1"}]},
    "dev.example.v1.Sample": {
      "type": "object",
      "properties": {
        "metadata": {"allOf": [{"$ref": "#/components/schemas/ObjectMeta"}]},
        "spec": {"type": "object", "properties": {
          "throttle": {"type": "object", "properties": {"maxRecordsPerSecond": {"type": "integer"}}},
          "steps": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
          "byTeam": {"type": "object", "additionalProperties": {
            "type": "object", "properties": {"limit": {"type": "integer"}}}},
          "plain": {"type": "object"},
          "properties": {"type": "string"},
          "any": {"x-kubernetes-preserve-unknown-fields": true},
          "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
            "known": {"type": "object", "properties": {"a": {"type": "string"}}}}}}}},
      "x-kubernetes-group-version-kind": [{"group": "example.dev", "kind": "Sample", "version": "v1"}]},
    "ObjectMeta": {"type": "object", "properties": {
      "finalizers": {"type": "array", "items": {"type": "string"}},
      "labels": {"type": "object", "additionalProperties": {"type": "string"}}}}}}})";

std::vector<std::string> MissingIn(const std::string& document,
                                   const std::vector<std::string>& fields) {
  const auto missing = MissingFields(document, kSample, fields);
  EXPECT_TRUE(missing.ok()) << missing.error().message;
  return missing.ok() ? *missing : std::vector<std::string>{"(nothing was looked at)"};
}
std::vector<std::string> Missing(const std::vector<std::string>& fields) {
  return MissingIn(kDocument, fields);
}
// A document whose only kind has this schema.
std::string WithSchema(nlohmann::json schema, nlohmann::json others = nlohmann::json::object()) {
  schema["x-kubernetes-group-version-kind"] = {
      {{"group", "example.dev"}, {"version", "v1"}, {"kind", "Sample"}}};
  others["Sample"] = std::move(schema);
  return nlohmann::json{{"components", {{"schemas", std::move(others)}}}}.dump();
}

TEST(SchemaCheckTest, R31_FieldsThatTheSchemaHasAreNotMissing) {
  EXPECT_THAT(Missing({"spec", "spec.throttle", "spec.throttle.maxRecordsPerSecond"}), IsEmpty());
}

TEST(SchemaCheckTest, R31_FieldsOfANewerSchemaAreMissingInTheOrderAsked) {
  EXPECT_THAT(Missing({"status.phase", "spec.throttle", "spec.throttle.burst", "spec.dryRun"}),
              ElementsAre("status.phase", "spec.throttle.burst", "spec.dryRun"));
}

TEST(SchemaCheckTest, NamesAreWholeAndTheirCaseCounts) {
  EXPECT_THAT(Missing({"spec.thrott", "spec.throttles", "spec.Throttle", "throttle"}),
              ElementsAre("spec.thrott", "spec.throttles", "spec.Throttle", "throttle"));
}

TEST(SchemaCheckTest, WordsOfTheDocumentAreNoFields) {
  EXPECT_THAT(Missing({"type", "properties", "spec.properties", "spec.throttle.properties",
                       "spec.properties.throttle", "spec.steps.items"}),
              ElementsAre("type", "properties", "spec.throttle.properties",
                          "spec.properties.throttle", "spec.steps.items"));
}

TEST(SchemaCheckTest, ListsHaveNoNameAndMapsTakeAny) {
  EXPECT_THAT(Missing({"spec.steps.name", "spec.steps.image", "spec.byTeam.payments",
                       "spec.byTeam.payments.limit", "spec.byTeam.payments.burst"}),
              ElementsAre("spec.steps.image", "spec.byTeam.payments.burst"));
}

TEST(SchemaCheckTest, FollowsWhereTheDocumentRefersTo) {
  EXPECT_THAT(Missing({"metadata.finalizers", "metadata.labels.team", "metadata.lables"}),
              ElementsAre("metadata.lables"));
}

TEST(SchemaCheckTest, WhatIsKeptUnknownIsNotMissingButKnownFieldsAreCheckedInsideOfIt) {
  EXPECT_THAT(Missing({"spec.any.a.b", "spec.open.anything.at.all", "spec.open.known.a",
                       "spec.open.known.b", "spec.plain.a"}),
              ElementsAre("spec.open.known.b", "spec.plain.a"));
}

TEST(SchemaCheckTest, WhatIsNoPathIsMissing) {
  EXPECT_THAT(Missing({"", ".", "spec.", ".spec", "spec..throttle"}),
              ElementsAre("", ".", "spec.", ".spec", "spec..throttle"));
}

TEST(SchemaCheckTest, AKindThatIsNotInItIsNotFound) {
  for (const ResourceType& other : {ResourceType{"example.dev", "v2", "samples", "Sample"},
                                    ResourceType{"example.com", "v1", "samples", "Sample"},
                                    ResourceType{"example.dev", "v1", "others", "Other"}}) {
    const auto missing = MissingFields(kDocument, other, {"spec"});
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
    EXPECT_THAT(missing.error().message, HasSubstr(std::string(other.kind)));
  }
}

TEST(SchemaCheckTest, WhatIsNoSuchDocumentIsInvalid) {
  const std::string deep = std::string(R"({"a":)") + std::string(5000, '[');
  for (const std::string& text :
       {std::string(), std::string("404 page not found"), std::string("[]"), std::string("{}"),
        std::string(R"({"components":[]})"), std::string(R"({"components":{"schemas":[1]}})"),
        deep}) {
    const auto missing = MissingFields(text, kSample, {"spec"});
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().code, ErrorCode::kInvalid) << text.substr(0, 60);
  }
}

TEST(SchemaCheckTest, SchemasOfAnotherShapeHaveNothing) {
  for (const char* schema :
       {R"({})", R"({"properties":[]})", R"({"properties":{"speck":{}}})", R"({"allOf":{"a":1}})",
        R"({"allOf":[1,null,"x"]})", R"({"$ref":7})", R"({"$ref":"#/components/schemas/None"})",
        R"({"$ref":"http://elsewhere/x"})", R"({"items":[]})", R"({"additionalProperties":false})",
        R"({"x-kubernetes-preserve-unknown-fields":"true"})"}) {
    EXPECT_THAT(MissingIn(WithSchema(nlohmann::json::parse(schema)), {"spec"}), ElementsAre("spec"))
        << schema;
  }
  EXPECT_THAT(MissingIn(WithSchema({{"properties", {{"spec", 7}}}}), {"spec", "spec.a"}),
              ElementsAre("spec.a"));
}

TEST(SchemaCheckTest, SchemasThatReferToEachOtherEnd) {
  const nlohmann::json to_sample{{"$ref", "#/components/schemas/Sample"}};
  EXPECT_THAT(MissingIn(WithSchema(to_sample), {"spec"}), ElementsAre("spec"));
  // Twice as many with each level.
  const nlohmann::json twice{{"allOf", {to_sample, to_sample}}, {"items", to_sample}};
  EXPECT_THAT(MissingIn(WithSchema(twice), {"spec", "spec.a"}), ElementsAre("spec", "spec.a"));
  nlohmann::json wide = nlohmann::json::array({to_sample});
  for (int i = 0; i < 500'000; ++i) wide.push_back(0);
  EXPECT_THAT(MissingIn(WithSchema({{"allOf", std::move(wide)}}), {"a", "b", "c"}),
              ElementsAre("a", "b", "c"));
  // As a tree refers to itself: each level takes a name.
  const nlohmann::json tree{{"properties", {{"child", to_sample}, {"leaf", {{"type", "string"}}}}}};
  EXPECT_THAT(MissingIn(WithSchema(tree), {"child.child.child.leaf", "child.child.leav"}),
              ElementsAre("child.child.leav"));
}

TEST(SchemaCheckTest, TheDocumentIsThatOfGroupAndVersion) {
  EXPECT_EQ(OpenApiPath(kSample), "/openapi/v3/apis/example.dev/v1");
  EXPECT_EQ(OpenApiPath({"", "v1", "configmaps", "ConfigMap"}), "/openapi/v3/api/v1");
}

}  // namespace
}  // namespace backfill::kube
