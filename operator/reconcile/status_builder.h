#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "operator/api/backfill.h"
#include "operator/api/conditions.h"
#include "operator/reconcile/stage_host.h"
#include "operator/reconcile/worker_pool.h"

namespace backfill::reconcile {

// Builds the next status from the last one: every condition is stamped with the generation that was
// observed, and lastTransitionTime moves with a condition's status only (KEP-1623). Pure.
class StatusBuilder {
 public:
  StatusBuilder(const api::Backfill& backfill, WallTime now);

  void SetPhase(api::Phase phase) { status_.phase = phase; }
  // Messages and reasons in words are cut to 160 bytes.
  void Set(std::string_view type, api::ConditionStatus value, std::string_view reason,
           std::string_view message = "");
  // Reconciling and Stalled exist only while True, and never both.
  void Clear(std::string_view type);
  // As it was in the last status, or absent.
  void Keep(std::string_view type);
  // What the last status says is so still, of the generation that is observed now.
  void Restamp();
  // Those that every status has and this one lacks, as of an object that was never seen.
  void FillUp();
  // Succeeded, while it is open: the phase says why, or that it is a dry run.
  void SetUndecided(bool dry_run);
  [[nodiscard]] bool Has(std::string_view type) const;
  [[nodiscard]] std::string ReasonOf(std::string_view type) const;  // "": there is none
  [[nodiscard]] bool HasSucceededOrFailed() const { return api::HasEnded(status_); }

  void SetReport(std::string name) { status_.report = std::move(name); }
  void SetProgress(const ledger::Totals& totals);
  void SetRate(double current, double limit, std::string_view limited_by);
  void SetWorkers(int desired, int connected);
  void SetThrottle(std::optional<api::ThrottleStatus> throttle);
  void ClearActivity();  // nothing runs: no rate, no estimate of the end

  [[nodiscard]] api::Status Take();

 private:
  const api::Backfill& backfill_;
  const WallTime now_;
  api::Status status_;
};

api::ProgressStatus ToProgress(const ledger::Totals& totals);

// "25k/s", "1.2k/s", "3/s", "0.5/s".
std::string FormatRate(double records_per_second);

}  // namespace backfill::reconcile
