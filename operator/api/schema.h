#pragma once

#include <memory>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "operator/api/node.h"

namespace backfill::api {

// A rule of x-kubernetes-validations. The CEL text itself is not interpreted: cel_twins.h has a
// function for each.
struct CelRule {
  std::string rule;
  std::string message;
  std::string message_expression;
  std::string field_path;  // ".spec.source", relative to where the rule stands
};

struct Field;

// The subset of OpenAPI that the CRD uses, as read from it.
struct Schema {
  enum class Type { kObject, kArray, kString, kInteger, kNumber, kBoolean };
  Type type = Type::kObject;
  std::string title;        // in words what a value must be
  std::string description;  // what it means; decides nothing
  std::string format;
  std::vector<Field> properties;
  std::vector<std::string> required;
  std::unique_ptr<Schema> additional;  // of the values of a free map
  bool preserve_unknown = false;
  std::unique_ptr<Schema> items;
  std::vector<std::string> values;  // enum
  std::optional<std::regex> pattern;
  std::optional<Integer> minimum, maximum;
  std::optional<Integer> min_length, max_length;  // in characters
  std::optional<Integer> min_items, max_items;
  std::optional<Integer> max_properties;
  std::optional<Node> default_value;
  std::vector<CelRule> rules;

  [[nodiscard]] const Schema* Property(std::string_view name) const;
};

struct Field {
  std::string name;
  Schema schema;
};

// kInvalid for any keyword that is not interpreted: a limit that is only written down protects
// nothing.
Result<Schema> ReadSchema(const Node& node);

// Checks structure, types and limits of `node` and fills in defaults. Reports every problem. Rules
// are not run.
void Validate(const Schema& schema, Node& node, Problems& problems);

// Shortens strings and lists, clamps numbers to what the schema allows, and replaces what cannot be
// printed: for what the product itself writes and must be able to read again.
void CutToSchema(const Schema& schema, Node& node);

// In words what a value must be: "a whole number from 1 to 3000".
std::string Allowed(const Schema& schema);

}  // namespace backfill::api
