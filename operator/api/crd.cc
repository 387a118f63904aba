#include "operator/api/crd.h"

#include <cstdlib>
#include <utility>

#include "operator/api/yaml_reader.h"

namespace backfill::api {
namespace {

Result<Node> ReadText(std::string_view text, const std::string& name) {
  Problems problems;
  auto node = ReadYaml(text, problems);
  const auto found = problems.Take(name, text);
  if (!found.empty()) return Error{ErrorCode::kInvalid, ToString(found.front())};
  if (!node) return Error{ErrorCode::kInvalid, name + ": is empty"};
  return std::move(*node);
}

// Only this version of this kind: a schema that says so gives the right message, too.
Schema Constant(const std::string& value) {
  Schema schema;
  schema.type = Schema::Type::kString;
  schema.title = value;
  schema.values = {value};
  return schema;
}

}  // namespace

Result<Crd> ReadCrd(std::string_view crd_text, std::string_view object_meta) {
  const Node root = TRY(ReadText(crd_text, "crd"));
  const Node* group = root.At("spec.group", Node::Kind::kString);
  const Node* kind = root.At("spec.names.kind", Node::Kind::kString);
  const Node* versions = root.At("spec.versions", Node::Kind::kList);
  if (group == nullptr || kind == nullptr || versions == nullptr || versions->items.size() != 1) {
    return Error{ErrorCode::kInvalid, "crd: needs a group, a kind and one version"};
  }
  const Node* name = versions->items.front().At("name", Node::Kind::kString);
  const Node* schema = versions->items.front().At("schema.openAPIV3Schema", Node::Kind::kMap);
  if (name == nullptr || schema == nullptr) {
    return Error{ErrorCode::kInvalid, "crd: the version needs a name and a schema"};
  }
  Crd crd{group->text + "/" + name->text, kind->text, TRY(ReadSchema(*schema))};
  const Node meta_root = TRY(ReadText(object_meta, "object_meta"));
  Schema meta = TRY(ReadSchema(meta_root));
  crd.schema.required = {"apiVersion", "kind", "metadata", "spec"};
  std::vector<Field> fields;
  fields.push_back({"apiVersion", Constant(crd.api_version)});
  fields.push_back({"kind", Constant(crd.kind)});
  fields.push_back({"metadata", std::move(meta)});
  for (Field& field : crd.schema.properties) {
    if (field.name == "spec" || field.name == "status") fields.push_back(std::move(field));
  }
  crd.schema.properties = std::move(fields);
  return crd;
}

const Crd& BackfillCrd() {
  static const Crd crd = [] {
    auto read = ReadCrd(CrdText(), ObjectMetaText());
    if (!read.ok()) std::abort();  // a test reads it, so a build with a bad one does not pass
    return std::move(read).value();
  }();
  return crd;
}

}  // namespace backfill::api
