#include "cli/spec_fields.h"

#include <algorithm>
#include <string_view>

#include "cli/terminal_text.h"
#include "operator/api/crd.h"

namespace backfill::cli {
namespace {

using api::Schema;
using Kind = api::Node::Kind;

// Of what has one that is worth a word.
std::string DefaultOf(const Schema& schema) {
  if (!schema.default_value) return "";
  const api::Node& value = *schema.default_value;
  if (value.Is(Kind::kBool)) return value.boolean ? "true" : "false";
  if (value.Is(Kind::kInteger)) return api::ToString(value.integer);
  return value.Is(Kind::kString) ? value.text : "";
}

std::string ValueOf(const Schema& schema) {
  // Their fields follow.
  if (schema.type == Schema::Type::kObject && !schema.properties.empty()) return "";
  std::string text = api::Allowed(schema);
  if (schema.title.empty() && schema.values.empty() && schema.max_length)
    text += " of at most " + api::ToString(*schema.max_length) + " characters";
  if (schema.max_properties) text += ", at most " + api::ToString(*schema.max_properties);
  if (schema.max_items) text += " of at most " + api::ToString(*schema.max_items);
  if (schema.items != nullptr && schema.items->properties.empty())
    text += ", each " + ValueOf(*schema.items);
  if (const std::string usual = DefaultOf(schema); !usual.empty()) text += "; default " + usual;
  return text;
}

class Lines {
 public:
  explicit Lines(std::size_t columns) : columns_(columns) {}

  void AddFields(const Schema& schema, const std::string& path) {
    for (const api::Field& field : schema.properties) {
      const bool required = std::ranges::count(schema.required, field.name) > 0;
      AddField(field.schema, path.empty() ? field.name : path + "." + field.name, required);
    }
  }
  std::string Take() { return std::move(out_); }

 private:
  void AddField(const Schema& schema, const std::string& path, bool required) {
    const std::string value = ValueOf(schema);
    Add(path + (required ? " (required)" : "") + (value.empty() ? "" : ": " + value), 2);
    Add(schema.description, 6);
    AddFields(schema, path);
    if (schema.items != nullptr) AddFields(*schema.items, path + "[]");
  }
  void Add(std::string_view text, std::size_t indent) {
    constexpr std::size_t kMostLines = 20;
    if (text.empty()) return;
    for (const std::string& line : Wrap(text, columns_ - indent, kMostLines))
      out_ += std::string(indent, ' ') + line + "\n";
  }

  const std::size_t columns_;
  std::string out_;
};

}  // namespace

std::string DescribeSpecFields(std::size_t columns) {
  Lines lines(columns);
  if (const Schema* spec = api::BackfillCrd().schema.Property("spec")) lines.AddFields(*spec, "");
  return lines.Take();
}

}  // namespace backfill::cli
