#include "cli/plan_changes.h"

#include <algorithm>
#include <array>
#include <map>
#include <ostream>
#include <string_view>
#include <utility>

#include "cli/backfill_file.h"
#include "cli/terminal_text.h"
#include "operator/api/json.h"
#include "operator/api/yaml_reader.h"

namespace backfill::cli {
namespace {

using Kind = api::Node::Kind;
using Fields = std::vector<std::pair<std::string, std::string>>;

// Not compared: what is only shown, and what follows from what is compared.
constexpr std::array<std::string_view, 6> kNotCompared = {
    "warnings", "samples", "against", "peakLoad", "durationSeconds", "worstCase"};
// What the spec does not say, but follows from it.
constexpr std::array<std::string_view, 6> kFollows = {"name",   "namespace",       "records",
                                                      "shards", "recordsPerShard", "planHash"};

template <typename List>
bool Has(const List& list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

void Flatten(const api::Node& node, const std::string& path, Fields& out) {
  if (!node.Is(Kind::kMap)) {
    out.emplace_back(path, api::WriteJson(node, -1, api::MemberOrder::kAsGiven));
    return;
  }
  for (const api::Member& member : node.members)
    Flatten(member.value, api::Join(path, member.key), out);
}

// The compared fields of a plan; of its top level only those that `wanted` takes.
template <typename Wanted>
Fields FieldsOf(const api::Node& tree, const Wanted& wanted) {
  Fields fields;
  for (const api::Member& member : tree.members)
    if (wanted(member.key)) Flatten(member.value, member.key, fields);
  return fields;
}

std::vector<SpecChange> Compare(const Fields& before, const Fields& after) {
  std::map<std::string, std::string> left(before.begin(), before.end());
  std::vector<SpecChange> changes;
  for (const auto& [path, value] : after) {
    const auto old = left.extract(path);
    const std::string was = old.empty() ? "" : old.mapped();
    if (was != value) changes.push_back({path, was, value});
  }
  for (const auto& [path, value] : left) changes.push_back({path, value, ""});
  return changes;
}

api::Node TreeOf(const PlanPreview& preview) {
  api::Problems none;  // what PlanToJson() writes is JSON
  return api::ReadYaml(PlanToJson(preview), none).value_or(api::Node::Map());
}

bool IsPlan(const api::Node& root) { return root.At("planHash", Kind::kString) != nullptr; }

}  // namespace

std::optional<OldPlan> LoadOldPlan(const std::string& file, const Place& place,
                                   const Environment& env) {
  Streams& streams = env.streams;
  const Result<std::string> text = ReadInput(file, streams.in);
  if (!text.ok()) {
    streams.err << "error: " << text.error().message << "\n";
    return std::nullopt;
  }
  api::Problems problems;
  std::optional<api::Node> root = api::ReadYaml(*text, problems);
  if (root && problems.empty() && IsPlan(*root)) return OldPlan{file, std::move(*root), {}};
  std::optional<LoadedFile> loaded = DecodeFile(*text, file, place.ns, streams);
  if (!loaded) {
    streams.err
        << "--against takes a file made by plan -o json or -o yaml, or an older file of the "
           "backfill\n";
    return std::nullopt;
  }
  const Result<PlanPreview> preview = PreviewPlan(loaded->backfill, place, env);
  if (!preview.ok()) {
    streams.err << "error: " << ShownFile(file) << ": " << Printable(preview.error().message)
                << "\n";
    return std::nullopt;
  }
  return OldPlan{file, TreeOf(*preview), std::move(loaded->backfill)};
}

std::vector<SpecChange> FindPlanChanges(const OldPlan& old, const PlanPreview& now) {
  const api::Node tree = TreeOf(now);
  if (!old.backfill) {
    const auto compared = [](std::string_view key) { return !Has(kNotCompared, key); };
    return Compare(FieldsOf(old.tree, compared), FieldsOf(tree, compared));
  }
  std::vector<SpecChange> changes = FindSpecChanges(*old.backfill, now.backfill);
  const auto follows = [](std::string_view key) { return Has(kFollows, key); };
  for (SpecChange& change : Compare(FieldsOf(old.tree, follows), FieldsOf(tree, follows)))
    changes.push_back(std::move(change));
  return changes;
}

}  // namespace backfill::cli
