#include "operator/api/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/crd.h"
#include "operator/api/yaml_reader.h"
#include "tests/operator/api/cases.h"

namespace backfill::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Node Yaml(std::string_view text) {
  Problems problems;
  auto node = ReadYaml(text, problems);
  for (const Problem& problem : problems.Take("test", text)) ADD_FAILURE() << ToString(problem);
  return node.value_or(Node{});
}

std::vector<std::string> Judged(std::string_view schema, Node node) {
  const auto read = ReadSchema(Yaml(schema));
  if (!read.ok()) return {read.error().message};
  Problems problems;
  Validate(*read, node, problems);
  return Said(problems.Take("", ""));
}
std::vector<std::string> Judged(std::string_view schema, std::string_view text) {
  return Judged(schema, Yaml(text));
}

TEST(SchemaTest, TheEmbeddedCrdIsUnderstood) {
  const auto crd = ReadCrd(CrdText(), ObjectMetaText());
  ASSERT_TRUE(crd.ok()) << crd.error().message;
  EXPECT_EQ(crd->api_version, "backfill.dev/v1alpha1");
  EXPECT_EQ(crd->kind, "Backfill");
}

// A limit that is written down but not interpreted would protect the API server only.
TEST(SchemaTest, RefusesWhatItDoesNotInterpret) {
  EXPECT_THAT(Judged("{type: string, multipleOf: 2}", "{}"),
              ElementsAre("the schema has a multipleOf that is not understood, on line 1"));
  EXPECT_THAT(Judged("{type: text}", "{}"), ElementsAre(HasSubstr("type that is not understood")));
  EXPECT_THAT(Judged("{minimum: 1}", "{}"), ElementsAre(HasSubstr("missing type")));
  EXPECT_THAT(Judged("{type: integer, minimum: many}", "{}"), ElementsAre(HasSubstr("minimum")));
  EXPECT_THAT(Judged("{type: string, maxLength: 5, pattern: '('}", "{}"),
              ElementsAre(HasSubstr("pattern")));
  EXPECT_THAT(Judged("{type: string, pattern: a}", "{}"),
              ElementsAre(HasSubstr("pattern without a maxLength")));
  EXPECT_THAT(Judged("{type: string, format: date}", "{}"), ElementsAre(HasSubstr("format")));
}

// Every string, list and free map of what users write has a maximum, or the size of an object has
// none.
void ExpectBounds(const Schema& schema, const std::string& path) {
  const bool constant = !schema.values.empty();
  if (schema.type == Schema::Type::kString && !constant) {
    EXPECT_TRUE(schema.max_length.has_value()) << path;
  }
  if (schema.type == Schema::Type::kArray) {
    EXPECT_TRUE(schema.max_items.has_value()) << path;
  }
  if (schema.additional != nullptr) {
    EXPECT_TRUE(schema.max_properties.has_value()) << path;
    ExpectBounds(*schema.additional, path + "{}");
  }
  if (schema.items != nullptr) ExpectBounds(*schema.items, path + "[]");
  for (const auto& [name, property] : schema.properties) ExpectBounds(property, Join(path, name));
}
TEST(SchemaTest, EverythingHasAMaximum) { ExpectBounds(BackfillCrd().schema, ""); }

TEST(SchemaTest, DefaultsAreFilledInAtEveryDepth) {
  const auto schema = ReadSchema(Yaml(R"(
type: object
properties:
  a: {type: object, default: {}, properties: {b: {type: integer, default: 7}, c: {type: string}}}
  d: {type: object, properties: {e: {type: integer, default: 8}}}
)"));
  ASSERT_TRUE(schema.ok()) << schema.error().message;
  Problems problems;
  Node empty = Node::Map();
  Validate(*schema, empty, problems);
  EXPECT_TRUE(SameValue(empty, Yaml("{a: {b: 7}}")));
  Node given = Yaml("{a: {b: 1}, d: {}}");
  Validate(*schema, given, problems);
  EXPECT_TRUE(SameValue(given, Yaml("{a: {b: 1}, d: {e: 8}}")));
  EXPECT_TRUE(problems.empty());
}

TEST(SchemaTest, IntegersAreExactAtTheEndsOfTheirFormat) {
  const char* const schema = "{type: object, properties: {size: {type: integer, format: int64}}}";
  EXPECT_THAT(Judged(schema, "{size: 9223372036854775807}"), IsEmpty());
  EXPECT_THAT(Judged(schema, "{size: 9223372036854775808}"),
              ElementsAre("size: must be at most 9223372036854775807, is 9223372036854775808"));
  EXPECT_THAT(Judged(schema, "{size: -9223372036854775808}"), IsEmpty());
  EXPECT_THAT(Judged(schema, "{size: -9223372036854775809}"),
              ElementsAre("size: must be at least -9223372036854775808, is -9223372036854775809"));
  const char* const wide = "{type: object, properties: {size: {type: integer, minimum: 0}}}";
  EXPECT_THAT(Judged(wide, "{size: 18446744073709551615}"), IsEmpty());
}

TEST(SchemaTest, LengthsCountCharacters) {
  const char* const schema = "{type: object, properties: {s: {type: string, maxLength: 3}}}";
  EXPECT_THAT(Judged(schema, "{s: äöü}"), IsEmpty());
  EXPECT_THAT(Judged(schema, "{s: äöüß}"),
              ElementsAre("s: must be at most 3 characters long, is 4"));
}

TEST(SchemaTest, ListsAndFreeMapsAreBounded) {
  const char* const list =
      "{type: array, minItems: 1, maxItems: 2, items: {type: integer, minimum: 5}}";
  EXPECT_THAT(Judged(list, "[5, 4]"), ElementsAre("[1]: must be at least 5, is 4"));
  EXPECT_THAT(Judged(list, "[1, 2, 3]"), ElementsAre("must have at most 2 items, has 3"));
  EXPECT_THAT(Judged(list, "[]"), ElementsAre("must have at least 1 items, has 0"));
  const char* const map =
      "{type: object, maxProperties: 1, additionalProperties: {type: string, maxLength: 1}}";
  EXPECT_THAT(Judged(map, "{a: bb}"), ElementsAre(HasSubstr("a: must be at most 1 characters")));
  EXPECT_THAT(Judged(map, "{a: b, c: d}"), ElementsAre("must have at most 1 entries, has 2"));
}

TEST(SchemaTest, PatternsSeeOnlyTextsOfBoundedLength) {
  const char* const schema =
      "{type: object, properties: {s: {type: string, maxLength: 512, pattern: '^(a|b)+$'}}}";
  Node node = Node::Map();
  node.Add("s", Node::String(std::string(3'000'000, 'a')));
  EXPECT_THAT(Judged(schema, node), ElementsAre(HasSubstr("at most 512 characters")));
  Node number = Node::Map();
  number.Add("s", Yaml(std::string(1'000'000, '1')));
  const auto said = Judged(schema, number);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_LT(said.front().size(), 200U);
}

TEST(SchemaTest, ValuesThatMayBeSecretAreNotRepeated) {
  const char* const schema =
      "{type: object, maxProperties: 5, additionalProperties: {type: string, format: password, "
      "maxLength: 9, enum: [a]}}";
  for (const std::string& said : Judged(schema, "{x: hunter2}")) {
    EXPECT_THAT(said, testing::Not(HasSubstr("hunter2")));
  }
}

TEST(SchemaTest, MoreProblemsThanAnybodyReadsAreCountedOnly) {
  std::string text = "{";
  for (int i = 0; i < 1000; ++i) text += "x" + std::to_string(i) + ": 1, ";
  const auto said = Judged("{type: object, properties: {a: {type: boolean}}}", text + "}");
  ASSERT_EQ(said.size(), Problems::kMaxProblems + 1);
  EXPECT_EQ(said.back(), "and 900 more problems");
}

TEST(SchemaTest, WhatIsCutToTheSchemaObeysIt) {
  const auto schema = ReadSchema(Yaml(R"(
type: object
properties:
  s: {type: string, maxLength: 4}
  size: {type: integer, minimum: 0, maximum: 9}
  l: {type: array, maxItems: 2, items: {type: string, maxLength: 1}}
)"));
  ASSERT_TRUE(schema.ok());
  Node node = Yaml("{s: \"a\\nbää\", size: -5, l: [aa, b, c]}");
  CutToSchema(*schema, node);
  EXPECT_TRUE(SameValue(node, Yaml("{s: a b, size: 0, l: [a, b]}"))) << node.Find("s")->text;
}

}  // namespace
}  // namespace backfill::api
