// How a Backfill comes by its plan: it is made here, or where a file is the source, on a cluster,
// by a worker that has the file before it (ADR 25).
#include <array>
#include <string>

#include "operator/reconcile/deciding.h"

namespace backfill::reconcile {
namespace {

using api::ConditionStatus;
using api::Phase;
using namespace std::chrono_literals;

constexpr Duration kQuietPatience = 10min;

// "812 MB": three digits are enough for who waits.
std::string Bytes(std::uint64_t bytes) {
  static constexpr std::array kUnits = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  std::uint64_t scaled = bytes, rest = 0;
  std::size_t unit = 0;
  while (scaled >= 1000 && unit + 1 < kUnits.size()) {
    rest = scaled % 1000;
    scaled /= 1000;
    ++unit;
  }
  std::string text = std::to_string(scaled);
  if (unit > 0 && scaled < 100) text += "." + std::to_string(rest / 100);
  return text + " " + kUnits[unit];
}

std::string Times(std::uint64_t n) { return n == 1 ? "once" : std::to_string(n) + " times"; }

}  // namespace

bool Deciding::WindDownPlanning() {
  const ObservedPlanning& seen = o_.planning;
  if (!seen.open && seen.pool.alive == 0 && !seen.pool.remains) return true;
  // Nothing depends on a word of its worker any more.
  if (seen.open) Do(CloseStage{Stage::kPlan});
  if (seen.pool.alive > 0 || seen.pool.desired > 0 || seen.pool.remains)
    Do(StopWorkers{Stage::kPlan});
  out_.observe_soon = true;
  return false;
}

bool Deciding::NotPlanned() {
  if (b_.status.plan) {
    (void)WindDownPlanning();  // what comes next need not wait for it
    return false;
  }
  status_.SetPhase(Phase::kPlanning);
  status_.ClearActivity();
  Ready(ConditionStatus::kUnknown, "Planning");
  if (o_.last_error && o_.last_error->code == ErrorCode::kInvalid) {
    status_.Set("Planned", ConditionStatus::kFalse, "PlanFailed", o_.last_error->message);
    const auto trouble = TroubleOfActions();
    const bool refused = trouble && trouble->needs_person;
    Stalled(refused ? trouble->reason : "InvalidSpec", o_.last_error->message);
    (void)WindDownPlanning();
    out_.settled = true;
    return true;
  }
  if (o_.plans_in_worker) return PlanInWorker();
  (void)WindDownPlanning();  // of a source that it had before
  Reconciling("Planning", "cutting the source into shards");
  Do(MakePlan{});
  out_.observe_soon = true;
  return true;
}

bool Deciding::PlanInWorker() {
  const ObservedPlanning& seen = o_.planning;
  out_.observe_soon = true;
  if (seen.open && seen.open->ended && !seen.open->outdated) {
    Reconciling("Planning", "writing the plan");
    Do(MakePlan{});
    return true;
  }
  // What it reads is not what is asked for now, or it has failed and would only say so again: also
  // to one who has asked to try anew while it was ending.
  const bool over = seen.open ? seen.open->outdated
                              : seen.pool.alive > 0 && (o_.last_error || seen.pool.desired == 0);
  if (over) {
    Reconciling("Planning", "the worker that read the source ends; another one begins anew");
    (void)WindDownPlanning();
    return true;
  }
  if (seen.pool.config_error || std::cmp_greater_equal(seen.pool.failures, o_.crash_limit)) {
    const std::string why = seen.pool.config_error
                                ? seen.pool.last_failure
                                : "the worker that reads the source has failed " +
                                      Times(seen.pool.failures) + ": " + seen.pool.last_failure;
    Stalled(seen.pool.config_error ? "WorkerConfigError" : "WorkersUnavailable", why);
    status_.Set("Planned", ConditionStatus::kFalse, "PlanFailed", why);
    (void)WindDownPlanning();
    out_.observe_soon = true;
    return true;
  }
  Reconciling("Planning", "a worker reads the source");
  status_.Set("Planned", ConditionStatus::kUnknown, "Planning", ReadSoFar());
  if (!seen.open) Do(OpenStage{Stage::kPlan});
  Do(ScaleWorkers{Stage::kPlan, 1});
  return true;
}

std::string Deciding::ReadSoFar() const {
  const ObservedPlanning& seen = o_.planning;
  std::string text = "waits for its worker";
  if (seen.open && seen.open->connected) {
    text = "read " + Bytes(seen.open->bytes_read);
    if (seen.open->bytes_total) text += " of " + Bytes(*seen.open->bytes_total);
    text += ", " + std::to_string(seen.open->records) + " records";
  }
  if (seen.pool.failures > 0) {
    text += "; its worker has failed " + Times(seen.pool.failures) + ": " + seen.pool.last_failure;
  }
  return text;
}

std::optional<Deciding::Trouble> Deciding::QuietPlanning() const {
  const auto& open = o_.planning.open;
  if (b_.status.plan || !open || open->ended || open->quiet_for < kQuietPatience)
    return std::nullopt;
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(open->quiet_for).count();
  return Trouble{"SourceUnavailable",
                 "its worker has read nothing more for " + std::to_string(minutes) + " minutes"};
}

}  // namespace backfill::reconcile
