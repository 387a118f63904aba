#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "operator/reconcile/decide.h"
#include "operator/reconcile/status_builder.h"

namespace backfill::reconcile {

// One call of Decide(): collects actions and conditions while the cases are gone through from the
// most to the least binding. Those that return bool return true when they have decided. Part of
// decide.cc, as are the other decide_*.cc; nobody else includes it.
class Deciding {
 public:
  Deciding(const Observed& observed, WallTime now)
      : o_(observed), b_(observed.backfill), now_(now), status_(observed.backfill, now) {}

  Decision Run();

 private:
  // Why it is paused, or nullopt.
  struct PauseCause {
    std::string reason;
    std::string message;
  };
  // Why Ready is False although the operator goes on trying.
  struct Trouble {
    std::string reason;
    std::string message;
    bool needs_person = false;  // no repetition heals it
  };

  [[nodiscard]] std::string ReportName() const { return b_.name + "-report"; }
  [[nodiscard]] std::optional<PauseCause> FindPause() const;
  // The one that the spec asks for now; the other's state does not matter.
  [[nodiscard]] const ObservedStage& StageInUse() const {
    return b_.spec.dry_run ? o_.dry_run : o_.run;
  }
  static ledger::Totals TotalsOf(const ObservedStage& stage);
  [[nodiscard]] LiveSettings Settings(Stage stage) const;

  // ---- what is collected
  void Do(const Action& action) { out_.actions.push_back(action); }
  void PauseLeases(Stage stage);
  // Ends workers and closes the stage. True when nothing of it is left.
  bool WindDown(Stage stage, const ObservedStage& seen);
  // Likewise of the planning.
  bool WindDownPlanning();
  bool WindDownAll();
  // The conditions that every status has, as they are while nothing special is to be said.
  void Baseline();
  // Progress as the ledger has it, for as long as no stage is open.
  void ClosedProgress();
  void ShowActivity(Stage stage, const ObservedStage& seen, int desired,
                    std::string_view limited_by);
  void Ready(api::ConditionStatus value, std::string_view reason, std::string_view message = "");
  void Reconciling(std::string_view reason, std::string_view message);
  // Needs a person.
  void Stalled(std::string_view reason, std::string_view message);

  // ---- the cases (decide.cc)
  Decision Ended();
  Decision Invalid();
  Decision Unseen();
  bool WithoutFinalizer();
  // Before anything is planned for a real run: has one of this name run already?
  bool RefusedByReport();
  // Another leader has written the ledger: nothing that this one knows counts any more.
  bool LeadershipLost();
  bool LedgerDamaged();
  bool DryRun();
  bool RunWithoutReport();
  bool RunStage();
  [[nodiscard]] std::optional<std::string> ExceededBudget(const ledger::Totals& totals) const;
  // Until a person has raised the bound.
  void PauseForFailures(Stage stage, const ObservedStage& seen, const std::string& exceeded);
  // Two steps: first everything is wound down and the decision is durable in the report, then one
  // status write says so.
  void End(const ObservedStage& stage, const ledger::Totals& totals, ReportState result);
  void SayTheEnd(const ledger::Totals& totals, ReportState result);
  // A stage that has work left.
  void Active(Stage stage, const ObservedStage& seen, api::Phase phase, const std::string& reason);
  // It has been paused, or outside of its schedule, for so long that its workers are in the way of
  // others.
  [[nodiscard]] bool IsIdle() const;
  // The governor cannot do its work, so nothing is sent.
  void WithoutGovernor(Stage stage, const ObservedStage& seen);
  // Before the first record: a metric that is to protect the target cannot be read.
  [[nodiscard]] bool WaitsForMetrics(const ObservedStage& seen) const;
  void WaitForMetrics();
  [[nodiscard]] bool WaitsForLong() const;
  // A budget that was critical needs a person, or a metric that is missing for long. `paused`: for
  // what it is paused by annotation.
  void AskForAPerson(const std::string& paused);
  [[nodiscard]] std::string WhatLimitsIt(const ObservedStage& seen, const LiveSettings& settings,
                                         bool paused) const;
  // What the schedule or a budget has it wait for, in words.
  [[nodiscard]] std::string WhyItRests(const ObservedStage& seen, bool paused) const;
  // All workers may be lost at once, so each has as many tries as one.
  [[nodiscard]] std::uint64_t CrashLimit(int replicas) const;

  // ---- planning (decide_planning.cc)
  bool NotPlanned();
  bool PlanInWorker();
  [[nodiscard]] std::string ReadSoFar() const;
  // Its worker is there, and reads nothing.
  [[nodiscard]] std::optional<Trouble> QuietPlanning() const;

  // ---- being deleted (decide_deletion.cc)
  Decision Deletion();
  // The namespace is being deleted, and this is not yet.
  [[nodiscard]] bool NamespaceGoes() const;
  Decision WithNamespace();
  [[nodiscard]] bool HasFinalizer() const;
  [[nodiscard]] bool ForcesDeletion() const;
  // As WindDown, but it ends also where workers do not.
  bool WindDownInTime(Stage stage, const ObservedStage& seen);
  // What came of a real run is durable. False: it is being written.
  bool ReportIsComplete();

  // ---- what is tried again (decide_trouble.cc)
  // What the case that was decided is held up by: an action or a write that failed and is tried
  // again. After some time of it a person is asked, while the trying goes on.
  void ShowPendingError();
  [[nodiscard]] std::optional<Trouble> PendingTrouble() const;
  [[nodiscard]] std::optional<Trouble> TroubleOfActions() const;
  [[nodiscard]] std::optional<Trouble> TroubleOfWorkers() const;
  // It is away, and workers try again.
  [[nodiscard]] std::optional<Trouble> UnreadableSource() const;
  // Whether Ready has been False for so long.
  [[nodiscard]] bool HasLasted(Duration patience) const;
  // Leaves what failed for later, and the status that says so as it is.
  void HoldBack();

  const Observed& o_;
  const api::Backfill& b_;
  const WallTime now_;
  StatusBuilder status_;
  Decision out_;
};

}  // namespace backfill::reconcile
