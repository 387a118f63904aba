#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "cli/ending.h"
#include "cli/human.h"
#include "cli/markdown.h"
#include "cli/people.h"
#include "cli/report.h"
#include "cli/table.h"
#include "cli/terminal_text.h"
#include "operator/api/decode.h"

namespace backfill::cli {
namespace {

using Json = nlohmann::ordered_json;
using Rows = std::vector<std::pair<std::string, std::string>>;  // names and values, not printable

std::string ResultText(const api::Backfill& b) {
  const std::optional<Ending> ending = FindEnding(b);
  if (!ending) return "has not ended";
  switch (*ending) {
    case Ending::kCompleted:
      return "completed";
    case Ending::kDryRunDone:
      return "dry run done; no record was changed";
    case Ending::kFailed: {
      const api::Condition* why = FindCondition(b.status, "Succeeded");
      return "failed: " + (why->message.empty() ? why->reason : why->message);
    }
    case Ending::kStalled:
      return "has not ended; needs a person: " + FindCondition(b.status, "Stalled")->message;
    case Ending::kPaused:
      return "has not ended; is paused";
  }
  return "";
}

std::string FailuresText(const Account& account) {
  std::string text;
  for (const auto& [name, count] : account.failures)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", Grouped(count), name);
  return text;
}

std::optional<double> Seconds(const Account& account) {
  const auto from = ParseWallTime(account.started);
  const auto to = ParseWallTime(account.ended);
  if (!from || !to) return std::nullopt;
  return std::max(0.0, std::chrono::duration<double>(*to - *from).count());
}

Rows Facts(const Account& account) {
  const api::Backfill& b = account.backfill;
  Rows rows;
  const auto row = [&rows](const char* name, const std::string& value) {
    if (!value.empty()) rows.emplace_back(name, value);
  };
  row("Result", ResultText(b));
  row("Mode", b.spec.dry_run ? "dry run" : "for real");
  row("Target", b.spec.target.method + " " + b.spec.target.url);
  row("Started", account.started);
  row("Ended", account.ended);
  if (const auto seconds = Seconds(account)) row("Took", Lasting(*seconds) + ", pauses included");
  if (b.status.plan) {
    row("Planned", fmt::format("{} in {}", Plural(b.status.plan->records, "record"),
                               Plural(static_cast<std::uint64_t>(b.status.plan->shards), "shard")));
  }
  if (const api::ProgressStatus* p = ProgressOf(b.status)) {
    row("Outcome",
        fmt::format("{} updated, {} unchanged, {} skipped, {} failed", Grouped(p->updated),
                    Grouped(p->unchanged), Grouped(p->skipped), Grouped(p->failed)));
    row("Redone", p->redone_at_most == 0 ? "none"
                                         : fmt::format("at most {}, after workers were lost",
                                                       Plural(p->redone_at_most, "record")));
  }
  row("Failures", FailuresText(account));
  return rows;
}

std::string DroppedText(const InterventionLog& log) {
  if (log.dropped == 0) return "";
  return Plural(log.dropped, "earlier one") + " left out";
}

std::string LeftOutText(const report::ThrottleTimeline& timeline) {
  if (timeline.left_out == 0) return "";
  return Plural(timeline.left_out, "change") +
         fmt::format(" left out after the first {}", report::kFirstThrottleChanges);
}

// What the governor did, a row for each change; not printable.
std::vector<std::vector<std::string>> ThrottlingRows(const report::ThrottleTimeline& timeline) {
  std::vector<std::vector<std::string>> rows;
  for (const api::ThrottleChange& c : timeline.changes)
    rows.push_back({c.time, c.state, PerSecond(c.rate), c.limited_by, c.budget, c.reason});
  return rows;
}

// The declared work as a file, without what was done to it and without credentials.
api::Backfill Declared(const api::Backfill& backfill) {
  api::Backfill declared;
  declared.name = backfill.name;
  declared.ns = backfill.ns;
  declared.spec = backfill.spec;
  const auto hide = [](std::map<std::string, std::string>& headers) {
    for (auto& [name, value] : headers) value = "(hidden)";
  };
  hide(declared.spec.target.headers);
  if (declared.spec.target.dry_run) hide(declared.spec.target.dry_run->headers);
  return declared;
}

Rows Origin(const Account& account) {
  Rows rows;
  rows.emplace_back("Version", "backfill " + account.version);
  if (account.backfill.status.plan)
    rows.emplace_back("Plan hash", account.backfill.status.plan->hash);
  return rows;
}

}  // namespace

std::string ReportToText(const Account& account) {
  const api::Backfill& b = account.backfill;
  std::string out;
  const auto line = [&out](std::string_view name, const std::string& printable) {
    out += fmt::format("{:<14}{}\n", std::string(name) + ":", printable);
  };
  line("Name", Printable(b.name + " (namespace " + b.ns + ")"));
  if (!b.spec.description.empty()) line("Description", Printable(b.spec.description));
  if (b.spec.owner && *b.spec.owner != api::Owner{}) line("Owner", OwnerText(*b.spec.owner));
  for (const api::Stakeholder& s : b.spec.stakeholders) line("Stakeholder", StakeholderText(s));
  for (const auto& [name, value] : Facts(account)) line(name, Printable(value));
  out += "Interventions:";
  if (account.interventions.entries.empty()) {
    out += " none\n";
  } else {
    out += "\n";
    Table table({"TIME", "BY", "WHAT", "DETAIL"});
    for (const Intervention& i : account.interventions.entries)
      table.Add(
          {{Printable(i.time)}, {Printable(i.by)}, {Printable(i.what)}, {Printable(i.detail)}});
    out += table.Render("  ", false);
    if (const std::string dropped = DroppedText(account.interventions); !dropped.empty())
      out += "  (" + dropped + ")\n";
  }
  if (!account.throttling.changes.empty()) {
    out += "Throttling:\n";
    Table table({"FROM", "STATE", "RATE", "LIMITED BY", "BUDGET", "WHY"});
    for (const std::vector<std::string>& row : ThrottlingRows(account.throttling)) {
      std::vector<Table::Cell> cells;
      for (const std::string& text : row) cells.push_back({Printable(text)});
      table.Add(cells);
    }
    out += table.Render("  ", false);
    if (const std::string left_out = LeftOutText(account.throttling); !left_out.empty())
      out += "  (" + left_out + ")\n";
  }
  out += "To reproduce:\n";
  for (const auto& [name, value] : Origin(account))
    out += fmt::format("  {:<12}{}\n", name + ":", Printable(value));
  out += "  File, without the values of headers:\n";
  out += PrintableLines(api::ToYaml(Declared(b)));
  return out;
}

std::string ReportToMarkdown(const Account& account) {
  const api::Backfill& b = account.backfill;
  std::string out =
      fmt::format("# Report of {} (namespace {})\n", MarkdownText(b.name), MarkdownText(b.ns));
  if (!b.spec.description.empty()) out += "\n" + MarkdownText(b.spec.description) + "\n";
  std::vector<std::vector<std::string>> rows;
  const auto add = [&rows](const std::string& name, const std::string& value) {
    const bool machine = name == "Target" || name == "Plan hash";
    rows.push_back({name, machine ? MarkdownCode(value) : MarkdownText(value)});
  };
  for (const auto& [name, value] : Facts(account)) add(name, value);
  if (b.spec.owner && *b.spec.owner != api::Owner{}) add("Owner", OwnerText(*b.spec.owner));
  for (const api::Stakeholder& s : b.spec.stakeholders) add("Stakeholder", StakeholderText(s));
  out += "\n" + MarkdownTable({"", ""}, rows);
  out += "\n## Interventions\n\n";
  if (account.interventions.entries.empty()) {
    out += "None.\n";
  } else {
    rows.clear();
    for (const Intervention& i : account.interventions.entries)
      rows.push_back(
          {MarkdownText(i.time), MarkdownText(i.by), MarkdownText(i.what), MarkdownText(i.detail)});
    out += MarkdownTable({"Time", "By", "What", "Detail"}, rows);
    if (const std::string dropped = DroppedText(account.interventions); !dropped.empty())
      out += "\n" + dropped + "\n";
  }
  if (!account.throttling.changes.empty()) {
    rows = ThrottlingRows(account.throttling);
    for (std::vector<std::string>& row : rows)
      for (std::string& text : row) text = MarkdownText(text);
    out += "\n## Throttling\n\n" +
           MarkdownTable({"From", "State", "Rate", "Limited by", "Budget", "Why"}, rows);
    if (const std::string left_out = LeftOutText(account.throttling); !left_out.empty())
      out += "\n" + left_out + "\n";
  }
  rows.clear();
  for (const auto& [name, value] : Origin(account)) add(name, value);
  out += "\n## To reproduce\n\n" + MarkdownTable({"", ""}, rows);
  out += "\nThe file, without the values of headers:\n\n" + MarkdownBlock(api::ToYaml(Declared(b)));
  return out;
}

std::string ReportToJson(const Account& account) {
  const api::Backfill& b = account.backfill;
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? Json() : Json(text);
  };
  Json tree;
  tree["name"] = b.name;
  tree["namespace"] = b.ns;
  tree["uid"] = b.uid;
  tree["result"] = ResultText(b);
  tree["dryRun"] = b.spec.dry_run;
  tree["started"] = text_or_null(account.started);
  tree["ended"] = text_or_null(account.ended);
  const std::optional<double> seconds = Seconds(account);
  tree["seconds"] = seconds ? Json(*seconds) : Json();
  if (b.status.plan) {
    tree["plan"] = {{"hash", b.status.plan->hash},
                    {"records", b.status.plan->records},
                    {"shards", b.status.plan->shards}};
  }
  if (const api::ProgressStatus* p = ProgressOf(b.status)) {
    tree["outcome"] = {{"records", p->records},     {"updated", p->updated},
                       {"unchanged", p->unchanged}, {"skipped", p->skipped},
                       {"failed", p->failed},       {"redoneAtMost", p->redone_at_most}};
  }
  tree["failures"] = Json(account.failures);
  Json interventions = Json::array();
  for (const Intervention& i : account.interventions.entries)
    interventions.push_back(
        Json{{"time", i.time}, {"by", i.by}, {"what", i.what}, {"detail", i.detail}});
  tree["interventions"] = interventions;
  tree["interventionsLeftOut"] = account.interventions.dropped;
  Json throttling = Json::array();
  for (const api::ThrottleChange& c : account.throttling.changes)
    throttling.push_back(Json{{"time", c.time},
                              {"state", c.state},
                              {"limitedBy", c.limited_by},
                              {"budget", c.budget},
                              {"reason", c.reason},
                              {"recordsPerSecond", c.rate}});
  tree["throttling"] = throttling;
  tree["throttlingLeftOut"] = account.throttling.left_out;
  tree["version"] = account.version;
  tree["file"] = Json::parse(api::ToJson(Declared(b)), nullptr, false);
  return PrintableLines(tree.dump(2, ' ', false, Json::error_handler_t::replace)) + "\n";
}

}  // namespace backfill::cli
