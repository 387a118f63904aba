#include <algorithm>
#include <array>
#include <limits>

#include "operator/api/schema.h"

namespace backfill::api {
namespace {

using Kind = Node::Kind;
using Done = backfill::Status;  // api::Status is that of a Backfill

// std::regex recurses by the length of the text, so what it may see is bounded by maxLength.
constexpr Integer kMaxPatternLength = 512;

constexpr std::array kNotInterpreted = {"x-kubernetes-list-type", "x-kubernetes-list-map-keys"};

Error Wrong(const std::string& keyword, const Node& node) {
  return Error{ErrorCode::kInvalid, "the schema has a " + keyword +
                                        " that is not understood, on line " +
                                        std::to_string(node.line)};
}

Result<Schema::Type> ReadType(const Node& node) {
  if (node.text == "object") return Schema::Type::kObject;
  if (node.text == "array") return Schema::Type::kArray;
  if (node.text == "string") return Schema::Type::kString;
  if (node.text == "integer") return Schema::Type::kInteger;
  if (node.text == "number") return Schema::Type::kNumber;
  if (node.text == "boolean") return Schema::Type::kBoolean;
  return Wrong("type", node);
}

Result<std::vector<std::string>> ReadStrings(const std::string& keyword, const Node& node) {
  std::vector<std::string> strings;
  for (const Node& item : node.items) {
    if (!item.Is(Kind::kString)) return Wrong(keyword, item);
    strings.push_back(item.text);
  }
  return strings;
}

Result<std::vector<CelRule>> ReadRules(const Node& node) {
  std::vector<CelRule> rules;
  for (const Node& item : node.items) {
    CelRule rule;
    for (const Member& member : item.members) {
      if (member.key == "rule")
        rule.rule = member.value.text;
      else if (member.key == "message")
        rule.message = member.value.text;
      else if (member.key == "messageExpression")
        rule.message_expression = member.value.text;
      else if (member.key == "fieldPath")
        rule.field_path = member.value.text;
      else if (member.key != "reason")
        return Wrong(member.key, member.value);
    }
    if (rule.rule.empty() || rule.message.empty()) return Wrong("rule", item);
    rules.push_back(std::move(rule));
  }
  return rules;
}

// int32 and int64 are limits, too.
Done ReadFormat(const Node& node, Schema& schema) {
  schema.format = node.text;
  const bool wide = node.text == "int64";
  if (!wide && node.text != "int32") {
    return node.text == "password" ? Done(Ok{}) : Done(Wrong("format", node));
  }
  const Integer low =
      wide ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int32_t>::min();
  const Integer high =
      wide ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int32_t>::max();
  schema.minimum = std::max(schema.minimum.value_or(low), low);
  schema.maximum = std::min(schema.maximum.value_or(high), high);
  return Ok{};
}

Done ReadLimit(const Node& node, const std::string& keyword, std::optional<Integer>& limit) {
  if (!node.Is(Kind::kInteger)) return Wrong(keyword, node);
  limit = node.integer;
  return Ok{};
}

Done ReadKeyword(const std::string& keyword, const Node& node, Schema& schema);

Result<std::unique_ptr<Schema>> ReadNested(const Node& node) {
  return std::make_unique<Schema>(TRY(ReadSchema(node)));
}

Done ReadKeyword(const std::string& keyword, const Node& node, Schema& schema) {
  if (std::ranges::count(kNotInterpreted, keyword) > 0) return Ok{};
  if (keyword == "type") {
    schema.type = TRY(ReadType(node));
  } else if (keyword == "title") {
    schema.title = node.text;
  } else if (keyword == "description") {
    schema.description = node.text;
  } else if (keyword == "format") {
    return ReadFormat(node, schema);
  } else if (keyword == "properties") {
    for (const Member& member : node.members) {
      schema.properties.push_back({member.key, TRY(ReadSchema(member.value))});
    }
  } else if (keyword == "required") {
    schema.required = TRY(ReadStrings(keyword, node));
  } else if (keyword == "enum") {
    schema.values = TRY(ReadStrings(keyword, node));
  } else if (keyword == "additionalProperties") {
    schema.additional = TRY(ReadNested(node));
  } else if (keyword == "items") {
    schema.items = TRY(ReadNested(node));
  } else if (keyword == "x-kubernetes-preserve-unknown-fields") {
    schema.preserve_unknown = node.boolean;
  } else if (keyword == "x-kubernetes-validations") {
    schema.rules = TRY(ReadRules(node));
  } else if (keyword == "default") {
    schema.default_value = node;
  } else if (keyword == "pattern") {
    schema.pattern.emplace(node.text, std::regex::ECMAScript | std::regex::optimize);
  } else if (keyword == "minimum") {
    return ReadLimit(node, keyword, schema.minimum);
  } else if (keyword == "maximum") {
    return ReadLimit(node, keyword, schema.maximum);
  } else if (keyword == "minLength") {
    return ReadLimit(node, keyword, schema.min_length);
  } else if (keyword == "maxLength") {
    return ReadLimit(node, keyword, schema.max_length);
  } else if (keyword == "minItems") {
    return ReadLimit(node, keyword, schema.min_items);
  } else if (keyword == "maxItems") {
    return ReadLimit(node, keyword, schema.max_items);
  } else if (keyword == "maxProperties") {
    return ReadLimit(node, keyword, schema.max_properties);
  } else {
    return Wrong(keyword, node);
  }
  return Ok{};
}

}  // namespace

const Schema* Schema::Property(std::string_view name) const {
  const auto found = std::ranges::find(properties, name, &Field::name);
  return found == properties.end() ? nullptr : &found->schema;
}

Result<Schema> ReadSchema(const Node& node) {
  if (node.Find("type") == nullptr) return Wrong("missing type", node);
  Schema schema;
  try {
    // `format` tightens the limits, so it comes last.
    for (const Member& member : node.members) {
      if (member.key != "format") TRY(ReadKeyword(member.key, member.value, schema));
    }
    if (const Node* format = node.Find("format")) TRY(ReadKeyword("format", *format, schema));
  } catch (const std::regex_error& e) {
    return Wrong("pattern (" + std::string(e.what()) + ")", node);
  }
  if (schema.pattern && schema.max_length.value_or(kMaxPatternLength + 1) > kMaxPatternLength) {
    return Wrong("pattern without a maxLength of at most 512", node);
  }
  return schema;
}

}  // namespace backfill::api
