#include "operator/kube/client/schema_check.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "operator/kube/client/json_fields.h"

namespace backfill::kube {
namespace {

// Schemas that are looked at for one field. Those of a hostile document refer to each other
// without end; a field that is not found by then is missing.
constexpr int kMaxLooks = 512;

constexpr std::string_view kRefPrefix = "#/components/schemas/";
constexpr const char* kKinds = "x-kubernetes-group-version-kind";
constexpr const char* kKeepsUnknown = "x-kubernetes-preserve-unknown-fields";

// nullptr: there is none.
const nlohmann::json* Member(const nlohmann::json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(name);
  return it == object.end() ? nullptr : &*it;
}

bool IsText(const nlohmann::json* value, std::string_view text) {
  return value != nullptr && value->is_string() && value->get_ref<const std::string&>() == text;
}

bool IsTrue(const nlohmann::json* value) {
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

bool Describes(const nlohmann::json& schema, const ResourceType& type) {
  const nlohmann::json* kinds = Member(schema, kKinds);
  if (kinds == nullptr || !kinds->is_array()) return false;
  for (const nlohmann::json& kind : *kinds) {
    if (IsText(Member(kind, "group"), type.group) &&
        IsText(Member(kind, "version"), type.version) && IsText(Member(kind, "kind"), type.kind)) {
      return true;
    }
  }
  return false;
}

// One search, for one field.
class Search {
 public:
  explicit Search(const nlohmann::json& schemas) : schemas_(schemas) {}

  // Whether what is left of the path is below `schema`.
  bool Finds(const nlohmann::json& schema, std::string_view path) {
    if (path.empty()) return true;
    if (++looks_ > kMaxLooks) return false;
    if (const nlohmann::json* target = Referred(schema)) return Finds(*target, path);
    const nlohmann::json* parts = Member(schema, "allOf");
    if (parts != nullptr && parts->is_array()) {
      for (const nlohmann::json& part : *parts) {
        if (Finds(part, path)) return true;
        if (looks_ > kMaxLooks) return false;
      }
    }
    const nlohmann::json* items = Member(schema, "items");
    if (items != nullptr && Finds(*items, path)) return true;
    return FindsMember(schema, path);
  }

 private:
  bool FindsMember(const nlohmann::json& schema, std::string_view path) {
    const std::size_t dot = path.find('.');
    const std::string_view name = path.substr(0, dot);
    const std::string_view rest =
        dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
    const nlohmann::json* properties = Member(schema, "properties");
    // Below a property that is known, unknown ones are dropped again.
    if (properties != nullptr) {
      if (const nlohmann::json* property = Member(*properties, name)) return Finds(*property, rest);
    }
    if (IsTrue(Member(schema, kKeepsUnknown))) return true;
    const nlohmann::json* values = Member(schema, "additionalProperties");
    if (values == nullptr) return false;
    return IsTrue(values) || (values->is_object() && Finds(*values, rest));
  }

  const nlohmann::json* Referred(const nlohmann::json& schema) const {
    const nlohmann::json* ref = Member(schema, "$ref");
    if (ref == nullptr || !ref->is_string()) return nullptr;
    const std::string_view target = ref->get_ref<const std::string&>();
    if (!target.starts_with(kRefPrefix)) return nullptr;
    return Member(schemas_, target.substr(kRefPrefix.size()));
  }

  const nlohmann::json& schemas_;
  int looks_ = 0;
};

}  // namespace

std::string OpenApiPath(const ResourceType& type) {
  if (type.group.empty()) return fmt::format("/openapi/v3/api/{}", type.version);
  return fmt::format("/openapi/v3/apis/{}/{}", type.group, type.version);
}

Result<std::vector<std::string>> MissingFields(std::string_view openapi, const ResourceType& type,
                                               const std::vector<std::string>& fields) {
  const std::string doing = fmt::format("looking for the fields of {}", type.kind);
  const nlohmann::json document = TRY(ParseJson(openapi).Annotate(doing));
  const nlohmann::json* components = Member(document, "components");
  const nlohmann::json* schemas = components ? Member(*components, "schemas") : nullptr;
  if (schemas == nullptr || !schemas->is_object())
    return Error{ErrorCode::kInvalid, doing + ": not an OpenAPI document"};
  for (const nlohmann::json& schema : *schemas) {
    if (!Describes(schema, type)) continue;
    std::vector<std::string> missing;
    for (const std::string& field : fields) {
      const bool named = !field.empty() && !field.ends_with('.');
      if (!named || !Search(*schemas).Finds(schema, field)) missing.push_back(field);
    }
    return missing;
  }
  return Error{ErrorCode::kNotFound,
               fmt::format("{}: the server does not describe that kind of {}/{}", doing, type.group,
                           type.version)};
}

}  // namespace backfill::kube
