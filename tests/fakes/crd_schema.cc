#include "tests/fakes/crd_schema.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "operator/api/cel_twins.h"
#include "operator/api/crd.h"
#include "operator/api/json.h"
#include "operator/api/node.h"
#include "operator/api/schema.h"
#include "operator/api/yaml_reader.h"

namespace backfill::fakes {
namespace {

using api::Node;
using api::Schema;

bool IsMeta(std::string_view name) {
  return name == "apiVersion" || name == "kind" || name == "metadata";
}

// Drops what the schema does not know. `root`: the parts that every object has stay.
void Prune(const Schema& schema, Node& node, const std::string& path, bool root,
           std::vector<std::string>& unknown) {
  if (schema.items != nullptr) {
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      Prune(*schema.items, node.items[i], api::JoinIndex(path, i), false, unknown);
    }
  }
  std::erase_if(node.members, [&](api::Member& member) {
    if (root && IsMeta(member.key)) return false;
    const Schema* property = schema.Property(member.key);
    if (property == nullptr) property = schema.additional.get();
    const std::string at = api::Join(path, member.key);
    if (property == nullptr) {
      if (schema.preserve_unknown || !node.Is(Node::Kind::kMap)) return false;
      unknown.push_back(at);
      return true;
    }
    // A null where there is a default is as good as absent.
    if (member.value.Is(Node::Kind::kNull) && property->default_value) return true;
    Prune(*property, member.value, at, false, unknown);
    return false;
  });
}

class CrdSchema final : public ObjectSchema {
 public:
  explicit CrdSchema(const Schema& schema) : schema_(schema) {}
  CrdSchema(std::unique_ptr<Schema> owned) : owned_(std::move(owned)), schema_(*owned_) {}

  [[nodiscard]] SchemaVerdict Judge(std::string_view object,
                                    std::string_view before) const override {
    SchemaVerdict verdict{.object = std::string(object), .unknown = {}, .causes = {}};
    auto parsed = api::ParseJsonObject(object);
    if (!parsed.ok()) return verdict;
    Node root = std::move(parsed).value();
    Prune(schema_, root, "", true, verdict.unknown);
    // Rules see no metadata but the name, and the schema is not asked about the rest.
    const Node meta = SwapMeta(root);
    api::Problems structure;
    api::Validate(schema_, root, structure);
    FindDuplicates(root, structure);
    AddCauses(structure, "Invalid value: ", verdict);
    if (verdict.causes.empty()) {
      api::Problems rules;
      api::CheckRules(schema_, root, rules);
      if (auto old = api::ParseJsonObject(before); !before.empty() && old.ok()) {
        api::CheckTransition(schema_, root, *old, rules);
      }
      AddCauses(rules, "Invalid value: \"object\": ", verdict);
    }
    if (Node* there = root.Find("metadata")) *there = meta;
    verdict.object = api::WriteJson(root, -1, api::MemberOrder::kAsGiven);
    return verdict;
  }

 private:
  [[nodiscard]] Node SwapMeta(Node& root) const {
    Node* meta = root.Find("metadata");
    if (meta == nullptr) return Node::Map();
    Node name_only = Node::Map();
    const Schema* known = schema_.Property("metadata");
    const Node* name = meta->Find("name");
    if (name != nullptr && known != nullptr && known->Property("name") != nullptr) {
      name_only.Add("name", *name);
    }
    return std::exchange(*meta, std::move(name_only));
  }

  // As x-kubernetes-list-map-keys says, which api::Schema does not keep.
  static void FindDuplicates(const Node& root, api::Problems& problems) {
    const Node* budgets = root.At("spec.throttle.budgets", Node::Kind::kList);
    std::set<std::string> seen;
    for (std::size_t i = 0; budgets != nullptr && i < budgets->items.size(); ++i) {
      const Node* name = budgets->items[i].At("name", Node::Kind::kString);
      if (name != nullptr && !seen.insert(name->text).second)
        problems.Add(*name, api::JoinIndex("spec.throttle.budgets", i), "Duplicate value");
    }
  }

  static void AddCauses(api::Problems& problems, const std::string& prefix,
                        SchemaVerdict& verdict) {
    for (const api::Problem& problem : problems.Take("", "")) {
      verdict.causes.push_back({.reason = "FieldValueInvalid",
                                .field = problem.path,
                                .message = prefix + problem.message});
    }
  }

  std::unique_ptr<Schema> owned_;
  const Schema& schema_;
};

}  // namespace

std::shared_ptr<const ObjectSchema> BackfillSchema() {
  return std::make_shared<CrdSchema>(api::BackfillCrd().schema);
}

std::shared_ptr<const ObjectSchema> SchemaOfCrd(std::string_view crd_yaml) {
  api::Problems problems;
  const auto root = api::ReadYaml(crd_yaml, problems);
  const Node* versions = root ? root->At("spec.versions", Node::Kind::kList) : nullptr;
  if (versions == nullptr || versions->items.empty()) std::abort();
  const Node* text = versions->items.front().At("schema.openAPIV3Schema", Node::Kind::kMap);
  if (text == nullptr) std::abort();
  auto schema = api::ReadSchema(*text);
  if (!schema.ok()) std::abort();
  return std::make_shared<CrdSchema>(std::make_unique<Schema>(std::move(schema).value()));
}

}  // namespace backfill::fakes
