#include "cli/status_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/ending.h"
#include "cli/human.h"
#include "cli/live_view.h"
#include "cli/people.h"
#include "cli/table.h"
#include "cli/terminal_text.h"
#include "cli/throttle_text.h"
#include "cli/why_not_faster.h"
#include "operator/api/decode.h"

namespace backfill::cli {
namespace {

std::string PhaseText(const api::Status& status) {
  return status.phase ? std::string(api::ToString(*status.phase)) : "Pending";
}

std::string Age(const std::string& time, WallTime now) {
  const std::optional<WallTime> t = ParseWallTime(time);
  return t ? Lasting(std::max(1.0, std::chrono::duration<double>(now - *t).count())) : "";
}

std::string CountText(const api::ProgressStatus& p) {
  return fmt::format("{} updated, {} unchanged, {} skipped, {} failed", Grouped(p.updated),
                     Grouped(p.unchanged), Grouped(p.skipped), Grouped(p.failed));
}

// What it waits for, such as a target that cannot be reached, is told by a Ready that is True.
bool SaysWhatItWaitsFor(const api::Condition& c, const api::Status& status) {
  return c.type == "Ready" && c.status == api::ConditionStatus::kTrue && !HasEnded(status);
}

// The last word of a runner that is gone: what it measured then is no longer so.
api::Status WithoutActivity(api::Status status) {
  for (api::Condition& c : status.conditions)
    if (SaysWhatItWaitsFor(c, status)) c.message.clear();
  status.rate.reset();
  status.throttle.reset();
  status.workers.reset();
  status.eta.clear();
  return status;
}

std::string RunnerText(const StatusView& view) {
  if (!view.runner) return "nothing";
  const auto* process = std::get_if<RunnerInfo>(&*view.runner);
  if (process == nullptr) return "";  // the operator, as everything on a cluster
  if (process->pid == 0) return "a process that has just begun";
  return fmt::format("process {} since {}", process->pid, process->since);
}

Color ColorOf(api::ConditionStatus status, std::string_view type) {
  const bool good_when_true =
      type != "Stalled" && type != "Paused" && type != "Throttled" && type != "Reconciling";
  switch (status) {
    case api::ConditionStatus::kTrue:
      return good_when_true ? Color::kGreen : Color::kYellow;
    case api::ConditionStatus::kFalse:
      return good_when_true ? Color::kRed : Color::kNone;
    case api::ConditionStatus::kUnknown:
      return Color::kDim;
  }
  return Color::kNone;
}

std::string ConditionTable(const api::Status& status, const StatusView& view) {
  Table table({"TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"});
  for (const api::Condition& c : status.conditions) {
    const std::string age = Age(c.last_transition_time, view.now);
    table.Add({{Printable(c.type)},
               {std::string(api::ToString(c.status)), ColorOf(c.status, c.type)},
               {Printable(c.reason)},
               {age},
               {Printable(c.message)}});
  }
  return table.Render("  ", view.color);
}

void AppendProgress(const api::Status& status, const StatusView& view, std::string& out) {
  const auto line = [&out](std::string_view name, const std::string& value) {
    if (!value.empty()) out += fmt::format("{:<14}{}\n", std::string(name) + ":", value);
  };
  if (status.plan) {
    line("Plan",
         fmt::format(
             "{} in {}, {}", Plural(status.plan->records, "record"),
             Plural(static_cast<std::uint64_t>(std::max<std::int64_t>(0, status.plan->shards)),
                    "shard"),
             Printable(status.plan->hash)));
    if (status.plan->bad_records > 0) {
      line("Bad rows",
           fmt::format("{}, which fail without being sent", Grouped(status.plan->bad_records)));
    }
    if (status.plan->duplicate_keys > 0) {
      line("Duplicates", fmt::format("{}{} with the key of an earlier one",
                                     status.plan->duplicates_estimated ? "about " : "",
                                     Plural(status.plan->duplicate_keys, "record")));
    }
  }
  const api::ProgressStatus* progress = ProgressOf(status);
  if (status.plan && progress != nullptr) {
    constexpr std::size_t kBar = 40;
    line("Progress",
         fmt::format("{} {}, {} of {}", ProgressBar(progress->records, status.plan->records, kBar),
                     Percent(progress->records, status.plan->records), Grouped(progress->records),
                     Plural(status.plan->records, "record")));
    line("Outcomes", CountText(*progress));
    if (progress->redone_at_most > 0) {
      line("Sent twice", fmt::format("at most {}, after workers were lost",
                                     Plural(progress->redone_at_most, "record")));
    }
  }
  if (status.dry_run && progress != &*status.dry_run) line("Dry run", CountText(*status.dry_run));
  line("Rate", RateText(status));
  line("Not faster", WhyNotFaster(status));
  line("Throttle", ThrottleText(status, view.now));
  if (status.throttle) {
    for (const api::BudgetStatus& budget : status.throttle->budgets)
      line("Budget", BudgetText(budget));
  }
  if (status.workers && status.workers->desired > 0) {
    line("Workers",
         fmt::format("{} of {} connected", status.workers->connected, status.workers->desired));
  }
  if (const std::string left = TimeLeft(status, view.now); !left.empty()) {
    line("ETA", fmt::format("{} ({})", Printable(status.eta), left));
  }
  for (const api::Condition& c : status.conditions)
    if (SaysWhatItWaitsFor(c, status)) line("Waits", Printable(c.message));
}

// What the other columns leave open.
void AppendWide(const api::Status& status, std::vector<Table::Cell>& row) {
  const api::ProgressStatus* progress = ProgressOf(status);
  std::string shards;
  if (status.plan && progress != nullptr)
    shards = fmt::format("{}/{}", progress->shards_done, status.plan->shards);
  std::string workers;
  if (status.workers && status.workers->desired > 0)
    workers = fmt::format("{}/{}", status.workers->connected, status.workers->desired);
  std::string plan;
  if (status.plan) {
    // Twelve digits tell any two apart.
    constexpr std::string_view kAlgorithm = "sha256:";
    const std::string_view hash = status.plan->hash;
    plan = hash.substr(hash.starts_with(kAlgorithm) ? kAlgorithm.size() : 0, 12);
  }
  std::string reason;
  for (const char* type : {"Stalled", "Ready"}) {
    const api::Condition* c = FindCondition(status, type);
    if (c != nullptr && reason.empty()) reason = c->reason;
  }
  row.push_back({shards});
  row.push_back({workers});
  row.push_back({Printable(plan)});
  row.push_back({Printable(reason)});
}

}  // namespace

std::string DescribeBackfill(const api::Backfill& backfill, const StatusView& view) {
  const api::Status status = view.runner ? backfill.status : WithoutActivity(backfill.status);
  const std::optional<Ending> ending = FindEnding(backfill);
  std::string out;
  const auto line = [&out](std::string_view name, const std::string& value) {
    if (!value.empty()) out += fmt::format("{:<14}{}\n", std::string(name) + ":", value);
  };
  line("Name", Printable(backfill.name));
  line("Namespace", Printable(backfill.ns));
  line("Description", Printable(backfill.spec.description));
  if (backfill.spec.owner) line("Owner", OwnerText(*backfill.spec.owner));
  line("Created", Printable(backfill.creation_time));
  line("Mode", backfill.spec.dry_run ? "dry run" : "for real");
  line("Target", Printable(backfill.spec.target.method + " " + backfill.spec.target.url));
  const Color color =
      IsTrue(status, "Stalled") || status.phase == api::Phase::kFailed ? Color::kRed : Color::kBold;
  line("Phase", Paint(PhaseText(status), color, view.color));
  line("Paused", PausedBy(backfill));
  line("Run by", RunnerText(view));
  AppendProgress(status, view, out);
  if (status.observed_generation != backfill.generation) {
    const char* const unseen = IsClusterOperator(view.runner)
                                   ? status.observed_generation < 0
                                         ? "no operator has seen it yet; is one running?"
                                         : "the operator has not seen the latest change yet"
                                   : "the latest change of its spec has not been seen by a runner "
                                     "yet";
    line("Note", unseen);
  }
  if (!status.conditions.empty()) out += "Conditions:\n" + ConditionTable(status, view);
  const bool waits =
      !view.runner || IsClusterOperator(view.runner) || (ending && *ending != Ending::kPaused);
  std::string next = waits ? NextStep(backfill, ending, view.place, "") : "";
  if (next.empty() && ending == Ending::kPaused && view.runner &&
      backfill.annotations.contains(api::kPausedAnnotation)) {
    next = "continue with: " + CommandFor("resume", backfill.name, view.place.In(backfill.ns));
  }
  if (!next.empty()) out += "Next:         " + next + "\n";
  return out;
}

std::string TabulateBackfills(const std::vector<ListedBackfill>& backfills,
                              const StatusView& view) {
  std::vector<std::string> header = {"NAMESPACE", "NAME", "PHASE", "DRY-RUN", "PROGRESS",
                                     "FAILED",    "RATE", "LEFT",  "AGE"};
  if (view.wide) header.insert(header.end(), {"SHARDS", "WORKERS", "PLAN", "REASON"});
  Table table(std::move(header));
  for (const auto& [b, is_run] : backfills) {
    const api::Status status = is_run ? b.status : WithoutActivity(b.status);
    const api::ProgressStatus* progress = ProgressOf(status);
    const bool counted = progress != nullptr && status.plan;
    std::vector<Table::Cell> row = {
        {Printable(b.ns)},
        {Printable(b.name)},
        {PhaseText(status), IsTrue(status, "Stalled") ? Color::kRed : Color::kNone},
        {b.spec.dry_run ? "true" : "false"},
        {counted ? Percent(progress->records, status.plan->records) : ""},
        {progress != nullptr ? Grouped(progress->failed) : ""},
        {status.rate ? PerSecond(status.rate->current) : ""},
        {TimeLeft(status, view.now)},
        {Age(b.creation_time, view.now)}};
    if (view.wide) AppendWide(status, row);
    table.Add(std::move(row));
  }
  return table.Render("", view.color);
}

}  // namespace backfill::cli
