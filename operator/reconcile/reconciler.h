#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "operator/api/backfill.h"
#include "operator/decision_log/decision_sink.h"
#include "operator/kube/object_store.h"
#include "operator/reconcile/budget_readings.h"
#include "operator/reconcile/event_sink.h"
#include "operator/reconcile/finalizers.h"
#include "operator/reconcile/spec_plan.h"
#include "operator/reconcile/stage_host.h"
#include "operator/reconcile/throttle_watcher.h"
#include "operator/reconcile/worker_pool.h"

namespace backfill::reconcile {

using namespace std::chrono_literals;

struct ReconcilerOptions {
  // While a stage is open: bounds how late a budget or an end is seen.
  Duration observe_period = 200ms;
  Duration status_period =
      5s;  // between status writes that carry only progress; 500 ms on one machine
  // With many running it is this long for each of them, if that is longer.
  Duration status_period_each = 0s;
  Duration drain_timeout = 20s;  // how long workers may take to give their leases back
  // Of a pause, until its workers are let go. On one machine they cost nothing.
  std::optional<Duration> idle_timeout = std::nullopt;
  int max_replicas = 3000;  // a smaller number caps spec.workers.replicas (backfill run --workers)
  int crash_limit = 5;      // for each worker: ends in a row before any connects; then a person
  std::string worker_image = {};  // goes into the plan; empty where workers are processes
  // Must outlive the Reconciler. Null: no budget is ever read, so that none lets anything begin.
  BudgetReadings* budgets = nullptr;
  // Get every decision about a rate. Must outlive the Reconciler. Null: nobody does.
  decision_log::DecisionSink* decisions = nullptr;
  ThrottleWatcher* throttle_watcher = nullptr;
  // Whoever writes an override with breakGlass has been asked for the right to: on a cluster by an
  // admission policy; on one machine it is theirs. Otherwise none is obeyed.
  bool asked_for_glass = false;
  // Of members of a group whose rate was lowered by a step of another one. Null: they see it at
  // their next step.
  LookNow look_now = nullptr;
  PlanningProgress planning = nullptr;  // called from within Reconcile while a file is read
};

// What there is on a cluster besides. All must outlive the Reconciler.
struct OnCluster {
  Finalizers& finalizers;
  EventSink& events;
  // kube::NextRetry: what failed is tried again on a schedule that a restart does not change (R19).
  // On one machine it is after 200 ms, doubling to 10 s.
  WallTime (*next_retry)(WallTime failed_since, WallTime now, std::string_view uid);
};

// What one step found, for whoever schedules the next one.
struct ReconcileOutcome {
  Duration requeue_after{};  // come back at the latest then; zero: only when something changes
  bool settled =
      false;  // nothing is under way: no worker runs, all is durable, the status is written
  api::Backfill backfill;  // as written
};

// Brings one Backfill towards what it declares: observes (object, report, ledger, workers), lets
// Decide() choose, performs the actions, writes the status. Level-based: may be called at any time,
// twice, after any gap, by one thread per object.
class Reconciler {
 public:
  // All references must outlive it.
  Reconciler(kube::ObjectStore& store, StageHost& stages, WorkerPool& workers, const Clock& clock,
             const ReconcilerOptions& options,
             const std::optional<OnCluster>& cluster = std::nullopt);
  ~Reconciler();

  // Errors: kNotFound (the object is gone, and what was open of it ends), kAborted on stop; others
  // have been written into the status where that was possible and are retried by calling again.
  Result<ReconcileOutcome> Reconcile(const kube::ObjectRef& ref, std::stop_token stop);

  // The operator ends while the Backfill goes on later: leases stop, workers drain, all is flushed,
  // stages are closed. The object stays as declared. kUnavailable: something could not be written;
  // what was promised is durable all the same.
  Status Release(const kube::ObjectRef& ref);

  // This process ends, or another leads from now on: leases stop, all is flushed, stages are
  // closed. Workers go on with what they hold and wait for whoever leads next. No Reconcile() may
  // be under way. kUnavailable: as above.
  Status HandOver();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace backfill::reconcile
