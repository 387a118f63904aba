#include "cli/why_not_faster.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "cli/human.h"
#include "cli/terminal_text.h"
#include "cli/throttle_text.h"
#include "operator/api/conditions.h"

namespace backfill::cli {
namespace {

// What the governor says of itself, with what it is about.
std::string Because(std::string_view what, const std::string& reason) {
  return std::string(what) + (reason.empty() ? "" : ": " + Printable(reason));
}

std::string BindingBudget(const api::ThrottleStatus& throttle) {
  const auto binding =
      std::ranges::find(throttle.budgets, throttle.binding_budget, &api::BudgetStatus::name);
  if (binding != throttle.budgets.end()) return "the budget " + BudgetText(*binding);
  if (!throttle.binding_budget.empty()) return "the budget " + Printable(throttle.binding_budget);
  return Because("a budget", throttle.reason);
}

// What the workers say, as the condition Ready tells it.
std::string WhatWorkersSay(const api::Status& status) {
  const api::Condition* ready = api::FindCondition(status, "Ready");
  return ready != nullptr && ready->status == api::ConditionStatus::kTrue ? ready->message : "";
}

std::string OfTheWorkers(const api::Status& status) {
  const bool nobody = !status.workers || status.workers->connected == 0;
  if (nobody) return "no worker is connected";
  // A stage that sends nothing has no limit, and nobody waits for more.
  if (status.rate->limit <= 0) return "";
  const bool some = status.workers->connected < status.workers->desired;
  return some ? fmt::format("{} of {} workers are connected, and send as much as they can",
                            status.workers->connected, status.workers->desired)
              : "the workers send as much as they can; more of them, or more concurrency, would "
                "send "
                "more";
}

// Of a stage that is open, by what its rate is limited.
std::string ByWhatLimits(const api::Status& status) {
  static const api::ThrottleStatus kNone;
  const api::ThrottleStatus& throttle = status.throttle ? *status.throttle : kNone;
  const std::string& limit = status.rate->limited_by;
  if (limit == "Pause") return "it is paused";
  if (limit == "Max")
    return fmt::format("it may send {} and no more (throttle.maxRecordsPerSecond)",
                       PerSecond(status.rate->limit));
  if (limit == "Schedule") return Because("the schedule", throttle.reason);
  if (limit == "Override") return Because("a person has set the rate", throttle.reason);
  if (limit == "Budget") return BindingBudget(throttle);
  if (limit == "Group") return Because("others of its group have the rest", throttle.reason);
  if (limit == "Hold") return Because("a budget was critical", throttle.reason);
  if (limit == "MissingMetric") return Because("a metric cannot be read", throttle.reason);
  if (limit == "TargetLatency") return Because("the target is slow", WhatWorkersSay(status));
  if (limit == "TargetRefusals") return Because("the target refuses", WhatWorkersSay(status));
  if (limit == "TargetUnreachable") return "the target cannot be reached";
  if (limit == "Workers") return OfTheWorkers(status);
  return Printable(limit);  // of a newer operator
}

}  // namespace

std::string WhyNotFaster(const api::Status& status) {
  if (!status.phase) return "";
  switch (*status.phase) {
    case api::Phase::kPlanning:
      return "it is being planned: nothing is sent yet";
    case api::Phase::kDryRunning:
    case api::Phase::kRunning:
      return status.rate ? ByWhatLimits(status) : "";
    case api::Phase::kPending:
    case api::Phase::kAwaitingApproval:
    case api::Phase::kPaused:
    case api::Phase::kCompleted:
    case api::Phase::kFailed:
    case api::Phase::kCancelled:
      return "";
  }
  return "";
}

}  // namespace backfill::cli
