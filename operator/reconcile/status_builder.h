#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "operator/api/backfill.h"
#include "operator/reconcile/stage_host.h"
#include "operator/reconcile/worker_pool.h"

namespace backfill::reconcile {

// Builds the next status from the last one: every condition is stamped with the generation that was
// observed, and lastTransitionTime moves with a condition's status only (KEP-1623). Pure.
class StatusBuilder {
 public:
  StatusBuilder(const api::Backfill& backfill, WallTime now);

  void SetPhase(api::Phase phase) { status_.phase = phase; }
  // Messages are cut to 160 bytes.
  void Set(std::string_view type, api::ConditionStatus value, std::string_view reason,
           std::string_view message = "");
  // Reconciling and Stalled exist only while True, and never both.
  void Clear(std::string_view type);
  [[nodiscard]] bool Has(std::string_view type) const;

  void SetReport(std::string name) { status_.report = std::move(name); }
  void SetProgress(const ledger::Totals& totals);
  void SetRate(double current, double limit, std::string_view limited_by);
  void SetWorkers(int desired, int connected);
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
