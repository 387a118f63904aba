#include "operator/api/throttle_rules.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/template.h"
#include "base/time_zone.h"
#include "operator/api/codec.h"
#include "operator/api/excerpt.h"
#include "operator/api/promql_range.h"

namespace backfill::api {
namespace {

using namespace std::chrono_literals;
using Kind = Node::Kind;
using Millis = std::chrono::milliseconds;

// Of what has the form of a time: no month 13, no February 30th.
void CheckTime(const Node& map, const char* key, const std::string& path, Problems& problems) {
  const Node* node = map.At(key, Kind::kString);
  static constexpr std::size_t kForm = sizeof("2026-10-01T18:00:00Z") - 1;
  if (node == nullptr || node->text.size() != kForm || node->text.back() != 'Z') return;
  const auto time = ParseWallTime(node->text);
  if (!time || FormatWallTime(*time) != node->text)
    problems.Add(*node, Join(path, key), "there is no such time as " + Excerpt(node->text));
}

const Node* Budgets(const Node& root) { return root.At("spec.throttle.budgets", Kind::kList); }
std::string PathOf(std::size_t budget) { return JoinIndex("spec.throttle.budgets", budget); }

void CheckNames(const Node& root, Problems& problems) {
  const Node* budgets = Budgets(root);
  std::set<std::string> seen;
  for (std::size_t i = 0; budgets != nullptr && i < budgets->items.size(); ++i) {
    const Node* name = budgets->items[i].At("name", Kind::kString);
    if (name == nullptr || name->text.empty() || seen.insert(name->text).second) continue;
    problems.Add(*name, PathOf(i), "another budget has the name " + Excerpt(name->text) + ", too");
  }
}

// Of every record one name, which is as the metric has it.
void CheckPartitionBy(const Node& root, Problems& problems) {
  const std::string path = "spec.throttle.partitionBy";
  const Node* text = root.At(path, Kind::kString);
  if (text == nullptr || text->text.empty()) return;
  const auto parts = ParseTemplate(text->text);
  if (!parts.ok()) return problems.Add(*text, path, parts.error().message);
  const std::string format = root.TextAt("spec.source.file.format");
  bool of_record = false;
  for (const TemplatePart& part : *parts) {
    if (part.kind != TemplatePart::Kind::kPlaceholder) continue;
    const bool field = part.text.starts_with("fields.") && part.text != "fields.";
    of_record = of_record || field || part.text == "key";
    std::string wrong;
    if (field && (format.empty() || format == "Lines")) {
      wrong = "cannot be filled in: only records of a file with columns or members have fields";
    } else if (!field && part.text != "key" && part.text != "backfill.name" &&
               part.text != "backfill.uid") {
      wrong = "is unknown; known: {{key}}, {{fields.NAME}}, {{backfill.name}}, {{backfill.uid}}";
    } else if (!part.filter.empty()) {
      wrong = "takes no filter here: a partition's name is as the metric's label has it";
    }
    if (wrong.empty()) continue;
    problems.Add(*text, path,
                 "line " + std::to_string(part.line) + ", column " + std::to_string(part.column) +
                     ": {{" + part.text + "}} " + wrong);
    of_record = true;
  }
  if (!of_record)
    problems.Add(*text, path, "names the same partition for every record; use {{fields.NAME}}");
}

// None of its own sources has several values.
void CheckReduce(const Node& root, Problems& problems) {
  const Node* budgets = Budgets(root);
  for (std::size_t i = 0; budgets != nullptr && i < budgets->items.size(); ++i) {
    const Node& budget = budgets->items[i];
    const Node* reduce = budget.At("reduce", Kind::kString);
    if (reduce == nullptr || reduce->text == "None") continue;
    if (budget.Find("http") != nullptr || budget.Find("workers") != nullptr)
      problems.Add(*reduce, Join(PathOf(i), "reduce"), "is of prometheus and scrape alone");
  }
}

void CheckZone(const Node& root, Problems& problems) {
  const Node* zone = root.At("spec.schedule.timeZone", Kind::kString);
  if (zone == nullptr || zone->text.empty()) return;
  const bool a_name = std::ranges::all_of(zone->text, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '+' || c == '-' || c == '/';
  });
  if (!a_name) return;  // the schema has said so
  // Without a database nothing can be said; whoever runs it will.
  const auto found = TimeZone::Find(zone->text);
  if (!found.ok() && found.error().code == ErrorCode::kInvalid)
    problems.Add(*zone, "spec.schedule.timeZone", "there is no time zone " + Excerpt(zone->text));
}

// Tells before saturation, whatever it is; a latency tells when it is there.
bool IsLatency(const Node& budget) {
  return budget.TextAt("prometheus.query").find("quantile") != std::string::npos ||
         budget.TextAt("scrape.as") == "Quantile" ||
         budget.TextAt("workers.signal") == "LatencyP99" || budget.TextAt("preset") == "LatencyP99";
}

// Likewise; of a query nobody knows unless it is said.
bool IsErrorRatio(const Node& budget) {
  return budget.TextAt("preset") == "HttpErrorRatio" ||
         budget.TextAt("workers.signal") == "ErrorRatio";
}

void FindRisksOf(const Node& budget, const std::string& path, Problems& risks) {
  if (budget.TextAt("onMissing") == "Freeze") {
    risks.Add(*budget.Find("onMissing"), Join(path, "onMissing"),
              "with Freeze it goes on blindly for as long as the metric is missing");
  }
  const std::string query = budget.TextAt("prometheus.query");
  const auto range = LongestRange(query);
  if (!query.empty() && !range && budget.TextAt("prometheus.freshnessQuery").empty()) {
    risks.Add(*budget.At("prometheus.query"), path + ".prometheus.query",
              "without a range such as [1m] a value may be 5 minutes old and look fresh; give a "
              "freshnessQuery");
  }
  const Node* given = budget.At("timing.window", Kind::kString);
  const auto window = given != nullptr ? ParseDuration(given->text) : range;
  if (!window) return;
  const Node& at = given != nullptr ? *given : budget;
  const auto scrape = ParseDuration(budget.TextAt("timing.scrapeInterval")).value_or(15s);
  if (*window > 120s) {
    risks.Add(at, path,
              "its window of " + WriteDuration(*window) +
                  " is longer than 2m: the rate changes as slowly, and what hurts shows late");
  } else if (*window > Millis(0) && *window < 4 * scrape) {
    risks.Add(at, path,
              "its window of " + WriteDuration(*window) + " is shorter than 4 times the " +
                  WriteDuration(scrape) + " of timing.scrapeInterval: a missed scrape empties it");
  }
}

// A real run that nothing but its maximum slows down.
void FindUnguarded(const Node& root, Problems& risks) {
  const Node* dry_run = root.At("spec.dryRun", Kind::kBool);
  const Node* throttle = root.At("spec.throttle", Kind::kMap);
  if (dry_run == nullptr || dry_run->boolean || throttle == nullptr) return;
  const Node* budgets = Budgets(root);
  const bool guarded = root.TextAt("spec.throttle.mode") != "Observe" && budgets != nullptr &&
                       std::ranges::any_of(budgets->items, [](const Node& budget) {
                         return budget.IsTrueAt("required") && budget.IsTrueAt("enforce");
                       });
  if (guarded) return;
  if (throttle->Find("group") != nullptr) {
    risks.Add(*throttle, "spec.throttle",
              "no budget of its own is required and enforced: unless another member of its group "
              "has one, it sends as fast as maxRecordsPerSecond allows, however the target is");
    return;
  }
  risks.Add(*throttle, "spec.throttle",
            "no budget is required and enforced: it sends as fast as maxRecordsPerSecond allows, "
            "however the target is");
  const Node* backoff = root.At("spec.throttle.worker.latencyBackoff", Kind::kBool);
  if (backoff == nullptr || backoff->boolean) return;
  risks.Add(*backoff, "spec.throttle.worker.latencyBackoff",
            "workers do not look at the target's latency, nor does any budget at the target: only "
            "what it refuses slows them down");
}

}  // namespace

void CheckThrottle(const Node& root, Problems& problems) {
  CheckNames(root, problems);
  CheckReduce(root, problems);
  CheckPartitionBy(root, problems);
  CheckZone(root, problems);
  if (const Node* override = root.At("spec.throttle.override", Kind::kMap))
    CheckOverride(*override, "spec.throttle.override", problems);
  const Node* blackouts = root.At("spec.schedule.blackouts", Kind::kList);
  for (std::size_t i = 0; blackouts != nullptr && i < blackouts->items.size(); ++i) {
    const std::string path = JoinIndex("spec.schedule.blackouts", i);
    CheckTime(blackouts->items[i], "from", path, problems);
    CheckTime(blackouts->items[i], "to", path, problems);
  }
}

void CheckOverride(const Node& override, const std::string& path, Problems& problems) {
  CheckTime(override, "until", path, problems);
}

void FindThrottleRisks(const Node& root, Problems& risks) {
  FindUnguarded(root, risks);
  if (root.IsTrueAt("spec.throttle.override.breakGlass")) {
    risks.Add(*root.At("spec.throttle.override"), "spec.throttle.override.breakGlass",
              "until its end no budget stops it, however bad it is for the target; only a pause or "
              "a blackout does");
  }
  const Node* budgets = Budgets(root);
  if (budgets == nullptr) return;
  bool leads = false;
  const Node* latency = nullptr;
  std::string latency_path;
  for (std::size_t i = 0; i < budgets->items.size(); ++i) {
    const Node& budget = budgets->items[i];
    FindRisksOf(budget, PathOf(i), risks);
    if (!budget.IsTrueAt("enforce")) continue;
    if (!IsLatency(budget)) {
      leads = leads || !IsErrorRatio(budget);
    } else if (latency == nullptr) {
      latency = &budget;
      latency_path = PathOf(i);
    }
  }
  if (latency != nullptr && !leads) {
    risks.Add(*latency, latency_path,
              "a latency says that it is too much when it is; put a budget beside it that tells "
              "before, such as utilisation or the length of a queue");
  }
}

}  // namespace backfill::api
