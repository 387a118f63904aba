#include "cli/spec_changes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/interventions.h"
#include "cli/terminal_text.h"
#include "operator/api/decode.h"

namespace backfill::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string Written(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// A list is one value: an index would say little about what changed in it.
void Flatten(const Json& node, const std::string& path,
             std::vector<std::pair<std::string, std::string>>& out) {
  if (!node.is_object()) {
    out.emplace_back(path, Written(node));
    return;
  }
  for (const auto& [name, child] : node.items())
    Flatten(child, fmt::format("{}.{}", path, name), out);
}

std::vector<std::pair<std::string, std::string>> Fields(const api::Backfill& backfill) {
  // What ToJson() writes is ours and nests as deep as the schema does.
  const Json whole = Json::parse(api::ToJson(backfill), nullptr, false);
  std::vector<std::pair<std::string, std::string>> fields;
  if (const auto spec = whole.find("spec"); spec != whole.end()) Flatten(*spec, "spec", fields);
  return fields;
}

void CompareMaps(const std::string& path, const std::map<std::string, std::string>& before,
                 const std::map<std::string, std::string>& after,
                 std::vector<SpecChange>& changes) {
  for (const auto& [name, value] : after) {
    const auto old = before.find(name);
    if (old != before.end() && old->second == value) continue;
    std::string where = path;
    where.append(".").append(name);
    changes.push_back(
        {std::move(where), old == before.end() ? "" : Written(old->second), Written(value)});
  }
}

}  // namespace

std::vector<SpecChange> FindSpecChanges(const api::Backfill& before, const api::Backfill& after) {
  std::vector<SpecChange> changes;
  CompareMaps("metadata.labels", before.labels, after.labels, changes);
  CompareMaps("metadata.annotations", before.annotations, after.annotations, changes);
  const auto old_fields = Fields(before);
  const auto new_fields = Fields(after);
  std::map<std::string, std::string> old_values(old_fields.begin(), old_fields.end());
  for (const auto& [path, value] : new_fields) {
    const auto old = old_values.find(path);
    const std::string old_value = old == old_values.end() ? "" : old->second;
    if (old != old_values.end()) old_values.erase(old);
    if (old_value != value) changes.push_back({path, old_value, value});
  }
  for (const auto& [path, value] : old_fields) {
    if (old_values.contains(path)) changes.push_back({path, value, ""});
  }
  return changes;
}

api::Backfill Merged(const api::Backfill& stored, const api::Backfill& declared) {
  api::Backfill merged = stored;
  merged.spec = declared.spec;
  for (const auto& [name, value] : declared.annotations) {
    // A file that was printed from a store tells of the past; the log goes on from what is stored.
    if (name != kInterventionsAnnotation) merged.annotations[name] = value;
  }
  for (const auto& [name, value] : declared.labels) merged.labels[name] = value;
  return merged;
}

SpecChange Shown(const SpecChange& change) {
  constexpr std::size_t kMaxValue = 200;
  // Headers are where credentials stand.
  const bool secret = change.path.find(".headers.") != std::string::npos;
  const auto shown = [secret](const std::string& value) -> std::string {
    if (value.empty()) return "(not set)";
    return secret ? "(hidden)" : Fit(Printable(value), kMaxValue);
  };
  return {Printable(change.path), shown(change.before), shown(change.after)};
}

std::string ToString(const SpecChange& change) {
  const SpecChange shown = Shown(change);
  return fmt::format("{}: {} -> {}", shown.path, shown.before, shown.after);
}

}  // namespace backfill::cli
