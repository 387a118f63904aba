#include <fmt/format.h>

#include "cli/markdown.h"
#include "cli/people.h"
#include "cli/plan.h"

namespace backfill::cli {
namespace {

std::string ChangesSection(const PlanComparison& against) {
  if (against.changes.empty())
    return "\n## Changes\n\nNone: the same as " + MarkdownCode(against.file) + ".\n";
  std::vector<std::vector<std::string>> rows;
  for (const SpecChange& change : against.changes) {
    const SpecChange shown = Shown(change);
    rows.push_back(
        {MarkdownCode(shown.path), MarkdownCode(shown.before), MarkdownCode(shown.after)});
  }
  return "\n## Changes\n\nAgainst " + MarkdownCode(against.file) + ":\n\n" +
         MarkdownTable({"Field", "Before", "After"}, rows);
}

std::string PeopleSection(const api::Spec& spec) {
  const bool owned = spec.owner && *spec.owner != api::Owner{};
  if (!owned && spec.stakeholders.empty()) return "";
  std::string out = "\n## People\n\n";
  if (owned) out += "Owner: " + MarkdownText(OwnerText(*spec.owner)) + "\n";
  if (spec.stakeholders.empty()) return out;
  std::vector<std::vector<std::string>> rows;
  for (const api::Stakeholder& s : spec.stakeholders)
    rows.push_back({MarkdownText(s.name), MarkdownText(s.contact), MarkdownText(s.impact)});
  if (owned) out += "\n";
  return out + MarkdownTable({"Stakeholder", "Contact", "Impact"}, rows);
}

std::string RisksSection(const std::vector<std::string>& warnings) {
  std::string out = "\n## Risks\n\n";
  if (warnings.empty()) return out + "None was found.\n";
  for (const std::string& warning : warnings) out += "- " + MarkdownText(warning) + "\n";
  return out;
}

std::string SamplesSection(const PlanPreview& p) {
  if (p.samples.empty()) return "";
  std::string out = "\n## Requests\n\n";
  out += p.backfill.spec.dry_run ? "The first, as they would be sent for real:\n"
                                 : "The first, as they are sent:\n";
  for (const RequestSample& sample : p.samples) out += "\n" + MarkdownBlock(sample.request);
  return out;
}

}  // namespace

std::string PlanToMarkdown(const PlanPreview& p) {
  const api::Spec& spec = p.backfill.spec;
  std::string out = fmt::format("# Backfill {} (namespace {})\n", MarkdownText(p.backfill.name),
                                MarkdownText(p.backfill.ns));
  if (!spec.description.empty()) out += "\n" + MarkdownText(spec.description) + "\n";
  std::vector<std::vector<std::string>> rows;
  for (const PlanRow& row : PlanRows(p)) {
    const bool machine = row.name == "Target" || row.name == "Plan hash";
    rows.push_back({row.name, machine ? MarkdownCode(row.value) : MarkdownText(row.value)});
  }
  out += "\n" + MarkdownTable({"", ""}, rows);
  out += PeopleSection(spec);
  if (p.against) out += ChangesSection(*p.against);
  out += RisksSection(p.warnings);
  out += SamplesSection(p);
  return out;
}

}  // namespace backfill::cli
