#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "cli/human.h"
#include "cli/people.h"
#include "cli/plan.h"
#include "cli/source_file.h"
#include "cli/terminal_text.h"
#include "operator/api/budget_presets.h"
#include "operator/api/codec_throttle.h"

namespace backfill::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string Dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// Block style; strings in quotes, as JSON writes them, which YAML reads as the same.
void AppendYaml(const Json& node, int indent, std::string& out) {
  for (const auto& [name, value] : node.items()) {
    out +=
        std::string(static_cast<std::size_t>(indent), ' ') + (node.is_array() ? "- " : name + ": ");
    if (!value.is_structured() || value.empty()) {
      out += Dump(value, -1) + "\n";
    } else {
      out.back() = '\n';
      AppendYaml(value, indent + 2, out);
    }
  }
}

std::string SourceText(const api::Source& source) {
  if (const auto* range = std::get_if<api::RangeSource>(&source)) {
    return fmt::format("integers from {} up to, not including, {}", Grouped(range->start),
                       Grouped(range->end));
  }
  if (const auto* failures = std::get_if<api::FailuresOfSource>(&source)) {
    const std::string of = "the records that failed in " + failures->name;
    return failures->classes.empty()
               ? of
               : fmt::format("{} ({})", of, fmt::join(failures->classes, ", "));
  }
  if (const auto* file = std::get_if<api::FileSource>(&source)) return SourceFileText(*file);
  return "the keys listed in the file";
}

std::string BadRowsText(const plan::FileFacts& file) {
  if (file.bad_records == 0) return "none";
  std::string kinds;
  for (const auto& [fault, count] : file.bad_by_fault)
    kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", Grouped(count), fault);
  return fmt::format("{} ({}); they fail without being sent", Grouped(file.bad_records), kinds);
}

std::string DuplicatesText(const plan::FileFacts& file) {
  if (file.duplicate_keys == 0) return file.duplicates_exact ? "none" : "none among those compared";
  return fmt::format("{}{}, sent each time under the same Idempotency-Key",
                     file.duplicates_exact ? "" : "about ", Grouped(file.duplicate_keys));
}

Json FileJson(const plan::FileFacts& file) {
  Json kinds = Json::object();
  for (const auto& [fault, count] : file.bad_by_fault) kinds[fault] = count;
  return {{"bytes", file.bytes},
          {"badRecords", file.bad_records},
          {"badRecordsByKind", kinds},
          {"badRecordSamples", file.bad_samples},
          {"duplicateKeys", file.duplicate_keys},
          {"duplicatesEstimated", !file.duplicates_exact}};
}

std::string TargetText(const api::HttpTarget& target) { return target.method + " " + target.url; }

std::string ModeText(const PlanPreview& p) {
  if (!p.backfill.spec.dry_run) return "for real: records are changed";
  const auto& probe = p.backfill.spec.target.dry_run;
  if (!probe) return "dry run: nothing is sent";
  return fmt::format("dry run: sends {} {} instead of the target's request", probe->method,
                     probe->url);
}

std::string FailureText(const api::FailurePolicy& policy) {
  return fmt::format("tolerates {} and {} % of all; beyond either it {}",
                     Plural(static_cast<std::uint64_t>(policy.max_failed_records), "failed record"),
                     policy.max_failed_percent,
                     policy.on_exceeded == api::OnExceeded::kPause ? "pauses" : "fails");
}

// Requests that can be under way in one moment, and what the target gets in a second. A real run
// sends no request without a token of the rate, also when it sends it again.
std::string PeakText(const PlanPreview& p) {
  std::string text = Plural(p.PeakRequests(), "request") + " at once";
  if (!p.SendsRequests()) return "none: nothing is sent (for real: " + text + ")";
  const auto& rate = p.backfill.spec.throttle.max_records_per_second;
  if (rate) text += ", " + Grouped(*rate) + " records a second with those sent again";
  return text;
}

// "cpu: at most 0.80, aims at 0.95 of it, critical at 0.9 (Utilization sets critical 0.9, target
// 0.95)"
std::string BudgetTerms(const api::Budget& given) {
  const api::Budget budget = api::Filled(given);
  std::string text = budget.name + ": ";
  text += budget.max.empty() ? "at least " + budget.min : "at most " + budget.max;
  text += ", aims at " + budget.target + " of it";
  if (!budget.critical.empty()) text += ", critical at " + budget.critical;
  if (budget.preset) {
    std::string sets;
    for (const api::PresetField& said : api::ByPreset(given))
      sets += fmt::format("{}{} {}", sets.empty() ? "" : ", ", said.field, said.value);
    text += fmt::format(" ({} sets {})", api::ToString(*budget.preset),
                        sets.empty() ? "nothing more" : sets);
  }
  if (!budget.enforce) return text + "; measured only";
  return budget.required ? text : text + "; not required";
}

Json BudgetsTree(const std::vector<api::Budget>& budgets) {
  Json list = Json::array();
  for (const api::Budget& given : budgets) {
    const api::Budget budget = api::Filled(given);
    Json& tree = list.emplace_back(Json{{"name", budget.name}});
    tree[budget.max.empty() ? "min" : "max"] = budget.max.empty() ? budget.min : budget.max;
    if (!budget.critical.empty()) tree["critical"] = budget.critical;
    tree["target"] = budget.target;
    tree["required"] = budget.required;
    tree["enforce"] = budget.enforce;
    tree["onNoTraffic"] = api::ToString(*budget.on_no_traffic);
    tree["reduce"] = api::ToString(*budget.reduce);
    if (!budget.preset) continue;
    tree["preset"] = api::ToString(*budget.preset);
    Json sets = Json::array();
    for (const api::PresetField& said : api::ByPreset(given)) sets.push_back(said.field);
    tree["setByPreset"] = std::move(sets);
  }
  return list;
}

Json SamplesTree(const std::vector<RequestSample>& samples) {
  Json list = Json::array();
  for (const RequestSample& s : samples)
    list.push_back(Json{{"key", s.key}, {"request", s.request}});
  return list;
}

Json AgainstTree(const PlanComparison& against) {
  Json changes = Json::array();
  for (const SpecChange& change : against.changes) {
    const SpecChange shown = Shown(change);
    changes.push_back(Json{{"path", shown.path}, {"before", shown.before}, {"after", shown.after}});
  }
  return {{"file", against.file}, {"changes", changes}};
}

Json OwnerTree(const std::optional<api::Owner>& owner) {
  if (!owner) return {};
  return {{"team", owner->team}, {"contact", owner->contact}, {"runbook", owner->runbook}};
}

Json StakeholdersTree(const std::vector<api::Stakeholder>& stakeholders) {
  Json list = Json::array();
  for (const api::Stakeholder& s : stakeholders)
    list.push_back(Json{{"name", s.name}, {"contact", s.contact}, {"impact", s.impact}});
  return list;
}

Json ToTree(const PlanPreview& p) {
  const api::Spec& spec = p.backfill.spec;
  const auto seconds = [](std::optional<double> s) { return s ? Json(*s) : Json(); };
  Json tree;
  tree["name"] = p.backfill.name;
  tree["namespace"] = p.backfill.ns;
  tree["description"] = spec.description;
  tree["owner"] = OwnerTree(spec.owner);
  tree["stakeholders"] = StakeholdersTree(spec.stakeholders);
  tree["dryRun"] = spec.dry_run;
  tree["target"] = {{"method", spec.target.method}, {"url", spec.target.url}};
  if (spec.dry_run && spec.target.dry_run) {
    tree["dryRunRequest"] = {{"method", spec.target.dry_run->method},
                             {"url", spec.target.dry_run->url}};
  }
  tree["records"] = p.records;
  if (p.file) tree["file"] = FileJson(*p.file);
  tree["shards"] = p.shards;
  tree["recordsPerShard"] = p.records_per_shard;
  const auto& rate = spec.throttle.max_records_per_second;
  tree["maxRecordsPerSecond"] = rate ? Json(*rate) : Json();
  if (!spec.throttle.budgets.empty()) tree["budgets"] = BudgetsTree(spec.throttle.budgets);
  tree["durationSeconds"] = seconds(p.Seconds());
  tree["worstCase"] = {{"attempts", p.WorstAttempts()},
                       {"durationSeconds", seconds(p.WorstSeconds())}};
  tree["workers"] = {{"replicas", spec.workers.replicas},
                     {"concurrency", spec.workers.concurrency},
                     {"batchSize", spec.workers.batch_size}};
  tree["peakLoad"] = {{"requests", p.PeakRequests()},
                      {"recordsPerSecond", rate ? Json(*rate) : Json()}};
  tree["failurePolicy"] = {
      {"attempts", spec.failure_policy.attempts},
      {"maxFailedRecords", spec.failure_policy.max_failed_records},
      {"maxFailedPercent", spec.failure_policy.max_failed_percent},
      {"onExceeded",
       spec.failure_policy.on_exceeded == api::OnExceeded::kPause ? "Pause" : "Fail"}};
  tree["planHash"] = p.hash;
  tree["warnings"] = p.warnings;
  tree["samples"] = SamplesTree(p.samples);
  if (p.against) tree["against"] = AgainstTree(*p.against);
  return tree;
}

}  // namespace

// A request as a block of lines that stands out, without the empty ones at its end.
std::string Indented(const std::string& request) {
  std::string out;
  std::string_view left = request;
  while (left.ends_with('\n')) left.remove_suffix(1);
  while (!left.empty()) {
    const std::string_view line = left.substr(0, left.find('\n'));
    if (!line.empty()) out += "  " + Printable(line);
    out += '\n';
    left.remove_prefix(std::min(left.size(), line.size() + 1));
  }
  return out;
}

std::vector<PlanRow> PlanRows(const PlanPreview& p) {
  const api::Spec& spec = p.backfill.spec;
  std::vector<PlanRow> rows;
  const auto row = [&rows](std::string name, std::string value) {
    rows.push_back({std::move(name), std::move(value)});
  };
  row("Mode", ModeText(p));
  row("Target", TargetText(spec.target));
  row("Source", SourceText(spec.source));
  row("Records", Grouped(p.records));
  if (p.file) {
    row("Bad rows", BadRowsText(*p.file));
    for (const std::string& sample : p.file->bad_samples) row("Bad row", sample);
    row("Duplicate keys", DuplicatesText(*p.file));
  }
  row("Shards", p.shards == 0 ? "none"
                              : fmt::format("{} of up to {}", Grouped(p.shards),
                                            Plural(p.records_per_shard, "record")));
  row("Rate", spec.throttle.max_records_per_second
                  ? fmt::format("at most {} records a second",
                                Grouped(*spec.throttle.max_records_per_second))
                  : "no limit");
  for (const api::Budget& budget : spec.throttle.budgets) row("Budget", BudgetTerms(budget));
  const std::optional<double> seconds = p.Seconds();
  row("Duration", seconds ? Lasting(*seconds) + " at that rate" : "as fast as the workers go");
  std::string worst = fmt::format("every record tried {}: {} attempts",
                                  spec.failure_policy.attempts == 1
                                      ? "once"
                                      : fmt::format("{} times", spec.failure_policy.attempts),
                                  Grouped(p.WorstAttempts()));
  if (const auto longest = p.WorstSeconds()) worst += ", " + Lasting(*longest);
  row("Worst case", worst);
  row("Workers",
      fmt::format("{}, each up to {} at a time, {} a request", spec.workers.replicas,
                  Plural(static_cast<std::uint64_t>(spec.workers.concurrency), "request"),
                  Plural(static_cast<std::uint64_t>(spec.workers.batch_size), "record")));
  row("Peak load", PeakText(p));
  row("Failures", FailureText(spec.failure_policy));
  row("Plan hash", p.hash);
  return rows;
}

std::string PlanToText(const PlanPreview& p) {
  const api::Spec& spec = p.backfill.spec;
  std::string out;
  const auto line = [&out](std::string_view name, const std::string& value) {
    out += fmt::format("{:<16}{}\n", std::string(name) + ":", value);
  };
  line("Name",
       fmt::format("{} (namespace {})", Printable(p.backfill.name), Printable(p.backfill.ns)));
  if (!spec.description.empty()) line("Description", Printable(spec.description));
  if (spec.owner && *spec.owner != api::Owner{}) line("Owner", OwnerText(*spec.owner));
  for (const api::Stakeholder& s : spec.stakeholders) line("Stakeholder", StakeholderText(s));
  for (const PlanRow& row : PlanRows(p)) line(row.name, Printable(row.value));
  if (p.against) {
    out += p.against->changes.empty() ? "\nThe same as " + p.against->file + "\n"
                                      : "\nDiffers from " + p.against->file + ":\n";
    for (const SpecChange& change : p.against->changes) out += "  " + ToString(change) + "\n";
  }
  if (!p.samples.empty()) {
    out += spec.dry_run ? "\nThe first requests, as they would be sent for real:\n"
                        : "\nThe first requests, as they are sent:\n";
  }
  for (const RequestSample& sample : p.samples) out += "\n" + Indented(sample.request);
  if (!p.warnings.empty()) out += "\n";
  for (const std::string& w : p.warnings) out += w + "\n";
  return out;
}

std::string PlanToJson(const PlanPreview& preview) {
  return PrintableLines(Dump(ToTree(preview), 2)) + "\n";
}

std::string PlanToYaml(const PlanPreview& preview) {
  std::string out;
  AppendYaml(ToTree(preview), 0, out);
  return PrintableLines(out);
}

}  // namespace backfill::cli
