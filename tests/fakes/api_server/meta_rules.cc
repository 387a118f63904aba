#include "tests/fakes/api_server/meta_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace backfill::fakes {
namespace {

constexpr std::size_t kMaxNameBytes = 253;
constexpr std::size_t kMaxLabelBytes = 63;
constexpr std::size_t kMaxAnnotationBytes = std::size_t{256} << 10;

bool IsAlnum(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

// 1 to 63 letters, digits, '-', '_' and '.', the latter three only inside.
bool IsLabelText(std::string_view text) {
  return !text.empty() && text.size() <= kMaxLabelBytes && IsAlnum(text.front()) &&
         IsAlnum(text.back()) && std::ranges::all_of(text, [](char c) {
           return IsAlnum(c) || c == '-' || c == '_' || c == '.';
         });
}

// backfill.dev/paused
bool IsQualifiedName(std::string_view key) {
  const std::size_t slash = key.find('/');
  if (slash == std::string_view::npos) return IsLabelText(key);
  return IsObjectName(key.substr(0, slash)) && IsLabelText(key.substr(slash + 1));
}

kube::ApiCause InvalidValue(std::string field, const std::string& value, std::string_view why) {
  return {.reason = "FieldValueInvalid",
          .field = std::move(field),
          .message = fmt::format("Invalid value: {}: {}", Dump(Json(value)), why)};
}

constexpr std::string_view kKeyRule =
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
constexpr std::string_view kValueRule =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    "or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
constexpr std::string_view kNameRule =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

using IsType = bool (*)(const Json&);
bool IsString(const Json& json) { return json.is_string(); }

// Absent and null are fine.
bool Holds(const Json& object, const char* field, IsType is) {
  const auto it = object.find(field);
  return it == object.end() || it->is_null() || is(*it);
}

bool IsOwner(const Json& json) {
  const IsType is_bool = [](const Json& flag) { return flag.is_boolean(); };
  return json.is_object() && Holds(json, "uid", IsString) && Holds(json, "name", IsString) &&
         Holds(json, "controller", is_bool) && Holds(json, "blockOwnerDeletion", is_bool);
}

bool IsMapOfTexts(const Json& json) {
  return json.is_object() && std::ranges::all_of(json, IsString);
}

}  // namespace

bool HasShape(const Json& object) {
  if (!object.is_object()) return false;
  const Json* meta = At(object, {"metadata"});
  if (meta == nullptr || !meta->is_object()) return false;
  return Holds(object, "immutable", [](const Json& flag) { return flag.is_boolean(); }) &&
         Holds(*meta, "name", IsString) && Holds(*meta, "generateName", IsString) &&
         Holds(*meta, "namespace", IsString) && Holds(*meta, "uid", IsString) &&
         Holds(*meta, "resourceVersion", IsString) && Holds(*meta, "labels", IsMapOfTexts) &&
         Holds(*meta, "annotations", IsMapOfTexts) &&
         Holds(*meta, "finalizers",
               [](const Json& list) {
                 return list.is_array() && std::ranges::all_of(list, IsString);
               }) &&
         Holds(*meta, "ownerReferences", [](const Json& list) {
           return list.is_array() && std::ranges::all_of(list, IsOwner);
         });
}

bool IsObjectName(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes) return false;
  const auto simple = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  char before = '.';
  for (const char c : name) {
    if (!simple(c) && c != '-' && c != '.') return false;
    if (c == '.' && !simple(before)) return false;
    if (c == '-' && before == '.') return false;
    before = c;
  }
  return simple(before);
}

std::vector<kube::ApiCause> CheckMeta(const Json& object) {
  std::vector<kube::ApiCause> causes;
  const std::string name = TextAt(object, {"metadata", "name"});
  if (!IsObjectName(name)) causes.push_back(InvalidValue("metadata.name", name, kNameRule));
  if (const Json* labels = At(object, {"metadata", "labels"}); labels != nullptr) {
    for (const auto& [key, value] : labels->items()) {
      if (!IsQualifiedName(key)) causes.push_back(InvalidValue("metadata.labels", key, kKeyRule));
      const std::string text = value.is_string() ? value.get<std::string>() : Dump(value);
      if (!text.empty() && !IsLabelText(text)) {
        causes.push_back(InvalidValue("metadata.labels", text, kValueRule));
      }
    }
  }
  int controllers = 0;
  if (const Json* owners = At(object, {"metadata", "ownerReferences"}); owners != nullptr) {
    for (const Json& owner : *owners) {
      if (TextAt(owner, {"uid"}).empty()) {
        causes.push_back(InvalidValue("metadata.ownerReferences.uid", "", "must not be empty"));
      }
      const Json* controls = At(owner, {"controller"});
      if (controls != nullptr && *controls == true) ++controllers;
    }
  }
  if (controllers > 1) {
    causes.push_back(InvalidValue("metadata.ownerReferences", "",
                                  "Only one reference can have Controller set to true"));
  }
  std::size_t bytes = 0;
  if (const Json* annotations = At(object, {"metadata", "annotations"}); annotations != nullptr) {
    for (const auto& [key, value] : annotations->items()) {
      std::string lower = key;
      std::ranges::transform(lower, lower.begin(),
                             [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      if (!IsQualifiedName(lower)) {
        causes.push_back(InvalidValue("metadata.annotations", key, kKeyRule));
      }
      bytes += key.size() + (value.is_string() ? value.get_ref<const std::string&>().size() : 0);
    }
  }
  if (bytes > kMaxAnnotationBytes) {
    causes.push_back({.reason = "FieldValueTooLong",
                      .field = "metadata.annotations",
                      .message = "Too long: may not be more than 262144 bytes"});
  }
  return causes;
}

std::string RandomSuffix(std::uint64_t random) {
  static constexpr std::string_view kCharacters = "bcdfghjklmnpqrstvwxz2456789";
  std::string suffix;
  for (int i = 0; i < 5; ++i) {
    suffix += kCharacters[random % kCharacters.size()];
    random /= kCharacters.size();
  }
  return suffix;
}

std::string UidOf(std::uint64_t high, std::uint64_t low) {
  std::string uid = fmt::format("{:016x}{:016x}", high, low);
  uid[12] = '4';
  uid[16] = "89ab"[low % 4];
  for (const std::size_t at : {8U, 13U, 18U, 23U}) uid.insert(at, 1, '-');
  return uid;
}

}  // namespace backfill::fakes
