#include "operator/report/run_report.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace backfill::report {
namespace {

using nlohmann::json;

constexpr char kReportLabel[] = "app.kubernetes.io/managed-by";
constexpr char kReportLabelValue[] = "backfill-operator";
constexpr char kReportKey[] = "report.json";

std::string ToString(RunResult result) {
  switch (result) {
    case RunResult::kStarted:
      return "Started";
    case RunResult::kCompleted:
      return "Completed";
    case RunResult::kFailed:
      return "Failed";
    case RunResult::kCancelled:
      return "Cancelled";
  }
  return "Started";
}

kube::ObjectRef Ref(const api::Backfill& backfill, std::string name) {
  return {std::string(kube::kConfigMapKind), backfill.ns, std::move(name)};
}

json OutcomeJson(const api::ProgressStatus& p) {
  return {{"records", p.records},
          {"updated", p.updated},
          {"unchanged", p.unchanged},
          {"skipped", p.skipped},
          {"failed", p.failed},
          {"shardsDone", p.shards_done},
          {"redoneAtMost", p.redone_at_most}};
}

// A ConfigMap's content: its data and whether it may still change. Target replies do not stand in
// it, but keys and rendered requests do: bytes that are not UTF-8 are replaced rather than refused.
std::string Content(const json& report, bool immutable) {
  json content = {
      {"data", {{kReportKey, report.dump(2, ' ', false, json::error_handler_t::replace)}}}};
  if (immutable) content["immutable"] = true;
  return content.dump();
}

// Where there are none nothing is said.
void AddFileFacts(std::uint64_t bad_records, std::uint64_t duplicate_keys, json& report) {
  if (bad_records > 0) report["badRecords"] = bad_records;
  if (duplicate_keys > 0) report["duplicateKeys"] = duplicate_keys;
}

json ToJson(const ThrottleTimeline& timeline) {
  json changes = json::array();
  for (const api::ThrottleChange& c : timeline.changes)
    changes.push_back({{"time", c.time},
                       {"state", c.state},
                       {"limitedBy", c.limited_by},
                       {"budget", c.budget},
                       {"reason", c.reason},
                       {"recordsPerSecond", c.rate}});
  return {{"changes", changes}, {"leftOut", timeline.left_out}};
}

json ToJson(const RunReport& r) {
  json report = {{"backfillUid", r.backfill_uid},
                 {"planHash", r.plan_hash},
                 {"result", ToString(r.result)},
                 {"started", r.started},
                 {"ended", r.ended},
                 {"outcome", OutcomeJson(r.outcome)}};
  AddFileFacts(r.bad_records, r.duplicate_keys, report);
  if (!r.throttling.changes.empty()) report["throttling"] = ToJson(r.throttling);
  return report;
}

Result<json> ParseData(const kube::Object& object) {
  const Error not_a_report{ErrorCode::kInvalid,
                           "ConfigMap " + object.ref.name + " is not a report of a backfill"};
  const auto label = object.labels.find(kReportLabel);
  if (label == object.labels.end() || label->second != kReportLabelValue) return not_a_report;
  const json content = json::parse(object.content, nullptr, /*allow_exceptions=*/false);
  if (!content.is_object()) return not_a_report;
  const auto data = content.find("data");
  if (data == content.end() || !data->is_object() || !data->contains(kReportKey) ||
      !(*data)[kReportKey].is_string())
    return not_a_report;
  json report =
      json::parse((*data)[kReportKey].get<std::string>(), nullptr, /*allow_exceptions=*/false);
  if (!report.is_object()) return not_a_report;
  return report;
}

std::string Text(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}
std::uint64_t Number(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_number_unsigned() ? it->get<std::uint64_t>() : 0;
}

ThrottleTimeline TimelineFrom(const json& report) {
  ThrottleTimeline timeline;
  const auto throttling = report.find("throttling");
  if (throttling == report.end() || !throttling->is_object()) return timeline;
  timeline.left_out = Number(*throttling, "leftOut");
  const auto changes = throttling->find("changes");
  if (changes == throttling->end() || !changes->is_array()) return timeline;
  std::vector<api::ThrottleChange> all;
  for (const json& c : *changes) {
    if (!c.is_object()) continue;
    const auto rate = c.find("recordsPerSecond");
    all.push_back({.time = Text(c, "time"),
                   .state = Text(c, "state"),
                   .limited_by = Text(c, "limitedBy"),
                   .budget = Text(c, "budget"),
                   .reason = Text(c, "reason"),
                   .rate = rate != c.end() && rate->is_number() ? rate->get<double>() : 0});
  }
  Append(timeline, all);  // others may have made it longer
  return timeline;
}

Result<RunReport> FromJson(const json& report, const std::string& name) {
  RunReport r;
  r.backfill_uid = Text(report, "backfillUid");
  r.plan_hash = Text(report, "planHash");
  const std::string result = Text(report, "result");
  if (result == "Started") {
    r.result = RunResult::kStarted;
  } else if (result == "Completed") {
    r.result = RunResult::kCompleted;
  } else if (result == "Failed") {
    r.result = RunResult::kFailed;
  } else if (result == "Cancelled") {
    r.result = RunResult::kCancelled;
  } else {
    return Error{ErrorCode::kInvalid, "ConfigMap " + name + " has an unknown result"};
  }
  r.started = Text(report, "started");
  r.ended = Text(report, "ended");
  r.bad_records = Number(report, "badRecords");
  r.duplicate_keys = Number(report, "duplicateKeys");
  r.throttling = TimelineFrom(report);
  if (const auto outcome = report.find("outcome");
      outcome != report.end() && outcome->is_object()) {
    r.outcome.records = Number(*outcome, "records");
    r.outcome.updated = Number(*outcome, "updated");
    r.outcome.unchanged = Number(*outcome, "unchanged");
    r.outcome.skipped = Number(*outcome, "skipped");
    r.outcome.failed = Number(*outcome, "failed");
    r.outcome.redone_at_most = Number(*outcome, "redoneAtMost");
  }
  return r;
}

struct Stored {
  kube::Object object;
  RunReport report;
};

Result<Stored> ReadOurs(kube::ObjectStore& store, const api::Backfill& backfill) {
  kube::Object object =
      TRY(store.Get(Ref(backfill, RunReportName(backfill.name))).Annotate("reading the report"));
  const json data = TRY(ParseData(object));
  RunReport report = TRY(FromJson(data, object.ref.name));
  if (report.backfill_uid != backfill.uid)
    return Error{ErrorCode::kConflict, "the report belongs to another backfill"};
  return Stored{.object = std::move(object), .report = std::move(report)};
}

}  // namespace

std::string RunReportName(const std::string& backfill) { return backfill + "-report"; }
std::string DryRunReportName(const std::string& backfill) { return backfill + "-dry-run-report"; }

Result<RunReport> ReportStore::Read(const api::Backfill& backfill) {
  const std::string name = RunReportName(backfill.name);
  const kube::Object object = TRY(store_.Get(Ref(backfill, name)));
  const json data = TRY(ParseData(object));
  return FromJson(data, name);
}

Status ReportStore::Begin(const api::Backfill& backfill, WallTime now) {
  RunReport report;
  report.backfill_uid = backfill.uid;
  report.plan_hash = backfill.status.plan ? backfill.status.plan->hash : "";
  report.started = FormatWallTime(now);
  if (backfill.status.plan) {
    report.bad_records = backfill.status.plan->bad_records;
    report.duplicate_keys = backfill.status.plan->duplicate_keys;
  }
  kube::Object object;
  object.ref = Ref(backfill, RunReportName(backfill.name));
  object.labels[kReportLabel] = kReportLabelValue;
  object.content = Content(ToJson(report), /*immutable=*/false);
  (void)TRY(store_.Create(object, kube::Durability::kPower).Annotate("writing the report"));
  return Ok{};
}

Status ReportStore::AddThrottling(const api::Backfill& backfill,
                                  const std::vector<api::ThrottleChange>& changes) {
  auto [object, report] = TRY(ReadOurs(store_, backfill));
  if (report.result != RunResult::kStarted)
    return Error{ErrorCode::kConflict, "the report already says " + ToString(report.result)};
  Append(report.throttling, changes);
  object.content = Content(ToJson(report), /*immutable=*/false);
  (void)TRY(store_.Update(object, kube::Durability::kProcess).Annotate("writing the report"));
  return Ok{};
}

Status ReportStore::Finish(const api::Backfill& backfill, RunResult result,
                           const api::ProgressStatus& outcome, WallTime now) {
  auto [object, report] = TRY(ReadOurs(store_, backfill));
  if (report.result == result) return Ok{};
  if (report.result != RunResult::kStarted)
    return Error{ErrorCode::kConflict, "the report already says " + ToString(report.result)};
  report.result = result;
  report.ended = FormatWallTime(now);
  report.outcome = outcome;
  object.content = Content(ToJson(report), /*immutable=*/true);
  (void)TRY(store_.Update(object, kube::Durability::kPower).Annotate("writing the report"));
  return Ok{};
}

Status ReportStore::WriteDryRun(const api::Backfill& backfill, const api::ProgressStatus& outcome,
                                const std::vector<Sample>& samples, WallTime now) {
  json list = json::array();
  for (const Sample& s : samples) list.push_back({{"key", s.key}, {"request", s.request}});
  json report = {{"backfillUid", backfill.uid},
                 {"planHash", backfill.status.plan ? backfill.status.plan->hash : ""},
                 {"ended", FormatWallTime(now)},
                 {"outcome", OutcomeJson(outcome)},
                 {"samples", list}};
  if (backfill.status.plan) {
    AddFileFacts(backfill.status.plan->bad_records, backfill.status.plan->duplicate_keys, report);
  }
  kube::Object object;
  object.ref = Ref(backfill, DryRunReportName(backfill.name));
  object.labels[kReportLabel] = kReportLabelValue;
  object.owner_uid = backfill.uid;
  object.content = Content(report, /*immutable=*/false);
  auto created = store_.Create(object, kube::Durability::kProcess);
  if (created.ok()) return Ok{};
  if (created.error().code != ErrorCode::kConflict)
    return created.error().Annotate("writing the dry run's report");
  kube::Object current =
      TRY(store_.Get(object.ref));  // of an earlier attempt, or of an earlier Backfill of the name
  current.labels = object.labels;
  current.content = object.content;
  (void)TRY(
      store_.Update(current, kube::Durability::kProcess).Annotate("writing the dry run's report"));
  return Ok{};
}

Result<std::vector<Sample>> ReportStore::ReadSamples(const api::Backfill& backfill) {
  const kube::Object object = TRY(store_.Get(Ref(backfill, DryRunReportName(backfill.name))));
  const json report = TRY(ParseData(object));
  std::vector<Sample> samples;
  if (const auto list = report.find("samples"); list != report.end() && list->is_array()) {
    for (const json& s : *list)
      if (s.is_object()) samples.push_back({Text(s, "key"), Text(s, "request")});
  }
  return samples;
}

}  // namespace backfill::report
