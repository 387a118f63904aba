#include <string_view>
#include <utility>

#include "operator/api/conditions.h"
#include "operator/reconcile/deciding.h"

namespace backfill::reconcile {
namespace {

using api::ConditionStatus;
using namespace std::chrono_literals;

constexpr Duration kErrorPatience = 10min;  // of a retried error, before a person is asked

bool Says(const Error& error, std::string_view part) {
  return error.message.find(part) != std::string::npos;
}

// Who refused what, as far as a store's error tells it: it has one code for several of these. All
// stores say "too large"; "exceeded quota" are the words of Kubernetes, which gives it no cause.
std::string ReasonOf(const Error& error, bool of_source) {
  if (error.code == ErrorCode::kInvalid && Says(error, "too large")) return "TooLarge";
  if (error.code == ErrorCode::kPermission || error.code == ErrorCode::kUnauthenticated)
    return Says(error, "exceeded quota") ? "QuotaExceeded" : "Forbidden";
  return of_source ? "SourceUnavailable" : "StoreUnavailable";
}

}  // namespace

void Deciding::ShowPendingError() {
  const std::optional<Trouble> trouble = PendingTrouble();
  if (!trouble || (status_.Has("Stalled") && !o_.unseen)) return;
  out_.settled = false;
  out_.observe_soon = true;
  if (trouble->needs_person || HasLasted(kErrorPatience)) {
    Stalled(trouble->reason, trouble->message);
    return;
  }
  Ready(ConditionStatus::kFalse, trouble->reason, trouble->message);
  status_.Clear("Stalled");
  // What it waits for is the next try. What ends is still ending.
  if (status_.ReasonOf("Reconciling") == "Planning") status_.Clear("Reconciling");
}

std::optional<Deciding::Trouble> Deciding::PendingTrouble() const {
  for (const ObservedStage* stage : {&o_.dry_run, &o_.run}) {
    if (!stage->open || !stage->open->error) continue;
    const Error& error = *stage->open->error;
    if (error.code == ErrorCode::kConflict) return std::nullopt;  // LeadershipLost()
    const std::string reason = ReasonOf(error, !b_.status.plan);
    return Trouble{reason, error.message, reason == "TooLarge"};
  }
  if (auto trouble = TroubleOfActions()) return trouble;
  if (auto trouble = TroubleOfWorkers()) return trouble;
  if (auto trouble = QuietPlanning()) return trouble;
  return UnreadableSource();
}

std::optional<Deciding::Trouble> Deciding::TroubleOfActions() const {
  const std::optional<Error>& error = o_.unseen         ? o_.unseen
                                      : o_.last_error   ? o_.last_error
                                      : !b_.status.plan ? o_.planning_error
                                                        : StageInUse().ledger_error;
  if (!error) return std::nullopt;
  // What is done where a worker plans are calls to the store, but for what the worker says.
  const bool said_by_worker = o_.planning_error && o_.planning_error->message == error->message;
  const std::string reason =
      ReasonOf(*error, !b_.status.plan && (said_by_worker || !o_.plans_in_worker));
  return Trouble{reason, error->message, reason == "TooLarge"};
}

std::optional<Deciding::Trouble> Deciding::TroubleOfWorkers() const {
  const PoolStatus& pool = b_.status.plan ? StageInUse().pool : o_.planning.pool;
  if (!pool.trouble) return std::nullopt;
  return Trouble{pool.trouble->reason, pool.trouble->message,
                 pool.trouble->reason == "NameConflict"};
}

std::optional<Deciding::Trouble> Deciding::UnreadableSource() const {
  const ObservedStage& stage = StageInUse();
  if (!stage.open || !stage.open->source_error || FindPause()) return std::nullopt;
  return Trouble{"SourceUnavailable", stage.open->source_error->message};
}

bool Deciding::HasLasted(Duration patience) const {
  const api::Condition* ready = api::FindCondition(b_.status, "Ready");
  if (ready == nullptr || ready->status != ConditionStatus::kFalse) return false;
  const std::optional<WallTime> since = ParseWallTime(ready->last_transition_time);
  return since && now_ - *since >= patience;
}

void Deciding::HoldBack() {
  if (!o_.retry_later) return;
  // Workers that are there already are served, and whatever makes less of a load is done at once.
  const auto waits = [this](const Action& action) {
    if (const auto* open = std::get_if<OpenStage>(&action)) {
      if (open->stage == Stage::kPlan) return o_.last_error || o_.planning.pool.alive == 0;
      return (open->stage == Stage::kRun ? o_.run : o_.dry_run).pool.alive == 0;
    }
    return !std::holds_alternative<ConfigureStage>(action) &&
           !std::holds_alternative<StopWorkers>(action) &&
           !std::holds_alternative<CloseStage>(action);
  };
  if (std::erase_if(out_.actions, waits) == 0 || o_.last_error) return;
  // It failed under an earlier leader. Nothing of that is known here but what the status says.
  for (const char* type : {"Ready", "Reconciling", "Stalled", "Planned"}) status_.Keep(type);
  if (b_.status.phase) status_.SetPhase(*b_.status.phase);
  out_.settled = false;
}

}  // namespace backfill::reconcile
