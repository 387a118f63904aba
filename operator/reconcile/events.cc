#include "operator/reconcile/events.h"

#include <string_view>
#include <utility>

#include "base/utf8.h"
#include "operator/api/conditions.h"

namespace backfill::reconcile {
namespace {

using api::Condition;
using api::ConditionStatus;
using api::FindCondition;

constexpr std::size_t kMaxNote = 1024;

// Why there are not the workers that there should be; each is told as WorkersUnavailable.
constexpr std::string_view kOfWorkers[] = {"WorkersUnavailable", "QuotaExceeded", "ImagePullError",
                                           "WorkerConfigError"};

std::string Records(std::uint64_t n) {
  return std::to_string(n) + (n == 1 ? " record" : " records");
}

std::string Counts(const api::ProgressStatus& p) {
  return Records(p.records) + ": " + std::to_string(p.updated) + " updated, " +
         std::to_string(p.unchanged) + " unchanged, " + std::to_string(p.skipped) + " skipped, " +
         std::to_string(p.failed) + " failed";
}

std::string Because(const Condition& c) {
  return c.message.empty() ? c.reason : c.reason + ": " + c.message;
}

class Telling {
 public:
  Telling(const api::Status& before, const api::Status& after) : before_(before), after_(after) {}

  std::vector<BackfillEvent> All() {
    Plan();
    Progress();
    Pausing();
    Throttling();
    Trouble();
    Workers();
    TheEnd();
    return std::move(events_);
  }

 private:
  void Normal(std::string reason, std::string action, std::string note) {
    Add(false, std::move(reason), std::move(action), std::move(note));
  }
  void Warning(std::string reason, std::string action, std::string note) {
    Add(true, std::move(reason), std::move(action), std::move(note));
  }
  void Add(bool warning, std::string reason, std::string action, std::string note) {
    events_.push_back(
        {warning, std::move(reason), std::move(action), std::string(CutToBytes(note, kMaxNote))});
  }

  static bool Is(const api::Status& status, std::string_view type, ConditionStatus value) {
    const Condition* c = FindCondition(status, type);
    return c != nullptr && c->status == value;
  }
  // What has become so; nullptr: nothing has.
  [[nodiscard]] const Condition* Became(std::string_view type, ConditionStatus value) const {
    if (!Is(after_, type, value) || Is(before_, type, value)) return nullptr;
    return FindCondition(after_, type);
  }

  void Plan() {
    if (!after_.plan || before_.plan) return;
    Normal("PlanComputed", "Plan",
           std::to_string(after_.plan->shards) + " shards, " + Records(after_.plan->records) +
               ", " + after_.plan->hash);
  }

  void Progress() {
    if (after_.dry_run && !before_.dry_run)
      Normal("DryRunCompleted", "DryRun", Counts(*after_.dry_run));
    if (!after_.report.empty() && before_.report.empty())
      Normal("RunStarted", "Run", "the account of it is kept in ConfigMap " + after_.report);
    const std::uint64_t failed_before = before_.progress ? before_.progress->failed : 0;
    if (after_.progress && after_.progress->failed > 0 && failed_before == 0)
      Warning("RecordsFailing", "Run", Counts(*after_.progress));
  }

  void Pausing() {
    if (const Condition* c = Became("Paused", ConditionStatus::kTrue)) {
      // That it is paused for failures is told as what it is.
      if (c->reason != "FailureBudgetExceeded") Normal("Paused", "Pause", Because(*c));
    }
    if (Is(before_, "Paused", ConditionStatus::kTrue) &&
        Is(after_, "Paused", ConditionStatus::kFalse))
      Normal("Resumed", "Resume", "it goes on where it was");
  }

  void Throttling() {
    const Condition* c = FindCondition(after_, "Throttled");
    const Condition* last = FindCondition(before_, "Throttled");
    if (c != nullptr && c->status == ConditionStatus::kTrue &&
        (last == nullptr || last->status != c->status || last->reason != c->reason)) {
      // That others overload the target is told as what it does.
      const bool named = c->reason != "TargetOverloadedByOthers";
      Warning(named ? c->reason : "Throttled", "Throttle", named ? c->message : Because(*c));
    }
    const auto overridden = [](const api::Status& status) {
      return status.throttle && status.throttle->state == "Overridden";
    };
    const api::ThrottleStatus was = before_.throttle.value_or(api::ThrottleStatus{});
    const api::ThrottleStatus is = after_.throttle.value_or(api::ThrottleStatus{});
    const auto begins = [](const std::string& then, const std::string& now) {
      return !now.empty() && now != then;
    };
    if (begins(was.glass_broken_until, is.glass_broken_until)) {
      Warning("GlassBroken", "Throttle", is.reason);
    } else if (overridden(after_) && !overridden(before_)) {
      Normal("RateOverridden", "Throttle", is.reason);
    }
    if (begins(was.glass_refused_until, is.glass_refused_until))
      Warning("OverrideRefused", "Throttle", is.reason);
    const auto hot = [](const api::ThrottleStatus& status) {
      return status.slowest_partition && status.slowest_partition->hot
                 ? status.slowest_partition->name
                 : std::string();
    };
    if (begins(hot(was), hot(is))) {
      Warning("HotPartition", "Throttle",
              "partition " + hot(is) +
                  " may be sent less than half of what the others may, for 10 minutes now");
    }
    if (Is(before_, "Throttled", ConditionStatus::kTrue) &&
        Is(after_, "Throttled", ConditionStatus::kFalse))
      Normal("ThrottleReleased", "Throttle", "the target is within its budgets again");
  }

  // What holds it up, once for as long as the reason is the same, however often it is tried.
  void Trouble() {
    const Condition* ready = FindCondition(after_, "Ready");
    if (ready == nullptr || ready->status != ConditionStatus::kFalse || HasEnded(after_)) return;
    const Condition* last = FindCondition(before_, "Ready");
    if (last != nullptr && last->status == ConditionStatus::kFalse && last->reason == ready->reason)
      return;
    for (const std::string_view reason : kOfWorkers) {
      if (ready->reason == reason) {
        Warning("WorkersUnavailable", "ScaleWorkers", Because(*ready));
        return;
      }
    }
    Warning(ready->reason, "Reconcile", ready->message);
  }

  void Workers() {
    if (const Condition* c = FindCondition(after_, "Reconciling");
        c != nullptr && c->message == kDrainTimedOut) {
      const Condition* last = FindCondition(before_, "Reconciling");
      if (last == nullptr || last->message != c->message)
        Warning("DrainTimeout", "Delete", c->message);
    }
    if (!after_.workers || !before_.workers) return;
    const int from = before_.workers->desired, to = after_.workers->desired;
    if (from > 0 && to > 0 && from != to)
      Normal("WorkersScaled", "ScaleWorkers",
             "from " + std::to_string(from) + " to " + std::to_string(to));
  }

  void TheEnd() {
    if (Became("Verified", ConditionStatus::kFalse) != nullptr)
      Warning("VerificationMismatch", "Verify", Because(*FindCondition(after_, "Verified")));
    const std::string counts = after_.progress ? "; " + Counts(*after_.progress) : "";
    if (const Condition* c = Became("Succeeded", ConditionStatus::kTrue))
      Normal("Completed", "Finish", c->reason + counts);
    if (const Condition* c = Became("Succeeded", ConditionStatus::kFalse))
      Warning("Failed", "Finish", Because(*c) + counts);
  }

  const api::Status& before_;
  const api::Status& after_;
  std::vector<BackfillEvent> events_;
};

}  // namespace

std::vector<BackfillEvent> EventsOf(const api::Status& before, const api::Status& after) {
  return Telling(before, after).All();
}

}  // namespace backfill::reconcile
