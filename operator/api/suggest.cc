#include "operator/api/suggest.h"

#include <utility>

#include "operator/api/lower.h"
#include "operator/api/yaml_scalar.h"

namespace backfill::api {
namespace {

constexpr std::size_t kMaxWordBytes = 64;

void Collect(const Schema& schema, const std::string& path, std::string_view name,
             std::vector<std::string>& found) {
  for (const auto& [key, property] : schema.properties) {
    const std::string below = Join(path, key);
    if (key == name) found.push_back(path);
    if (below != "status") Collect(property, below, name, found);
  }
}

}  // namespace

std::optional<std::string> FindField(const Schema& root, std::string_view name) {
  std::vector<std::string> found;
  Collect(root, "", name, found);
  if (found.size() != 1 || found.front().empty()) return std::nullopt;
  return found.front();
}

std::string HowToWrite(const Schema& schema, std::string_view text) {
  const Node plain = PlainScalar(std::string(text));
  const std::string lower = text.size() <= kMaxWordBytes ? Lower(text) : "";
  bool fits = false;
  switch (schema.type) {
    case Schema::Type::kBoolean:
      if (lower == "yes" || lower == "on" || lower == "y") return "; write true";
      if (lower == "no" || lower == "off" || lower == "n") return "; write false";
      fits = plain.Is(Node::Kind::kBool);
      break;
    case Schema::Type::kInteger:
      fits = plain.Is(Node::Kind::kInteger);
      break;
    case Schema::Type::kNumber:
      fits = plain.Is(Node::Kind::kInteger) || plain.Is(Node::Kind::kFloat);
      break;
    case Schema::Type::kObject:
    case Schema::Type::kArray:
    case Schema::Type::kString:
      break;
  }
  return fits ? "; remove the quotes" : "";
}

}  // namespace backfill::api
