#include "operator/reconcile/reconciler.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "base/log.h"
#include "base/mutex.h"
#include "operator/api/conditions.h"
#include "operator/api/decode.h"
#include "operator/reconcile/decide.h"
#include "operator/reconcile/observe_throttle.h"
#include "operator/reconcile/report_state.h"
#include "operator/reconcile/source_keys.h"
#include "operator/reconcile/spec_plan.h"
#include "operator/reconcile/stage_sight.h"
#include "operator/reconcile/status_builder.h"
#include "operator/reconcile/status_drift.h"
#include "operator/reconcile/timeline_writer.h"

namespace backfill::reconcile {
namespace {

constexpr Duration kRetryMin = 200ms, kRetryMax = 10s;
constexpr int kConflictTries = 5;
constexpr Duration kAfterConflict = 10ms;  // doubled with each in a row
constexpr Duration kReportFresh = 60s;
constexpr Duration kSoon = 1ms;  // after what is to be read again

// No repetition of the same write heals it.
bool IsRefused(ErrorCode code) {
  return code == ErrorCode::kInvalid || code == ErrorCode::kPermission;
}

}  // namespace

struct Reconciler::Impl {
  // What is remembered of one object between steps: caches and back-off, nothing that a decision
  // rests on.
  struct Memory {
    std::optional<api::Backfill> stored;  // as last read or written; good for its version
    std::optional<Error> invalid;         // why its spec is not in `stored`
    // As last decided, also where the store did not take them.
    std::vector<api::Condition> conditions;
    std::map<Stage, LedgerSummary>
        ledgers;  // of stages that are not open; this leader is their only writer
    std::map<Stage, int> opened_batch_sizes;
    std::map<Stage, std::uint64_t> sessions;
    std::map<Stage, std::uint64_t> failures_at_session;
    StageSight sight;
    std::optional<Error> last_error;
    std::optional<Error> planning_error;  // as in Observed
    std::optional<ReportState> report;    // as it was read last
    Time report_read{};
    Duration retry = kRetryMin;
    Duration write_retry = kRetryMin;  // of the status
    int conflicts = 0;                 // in a row
    // On a cluster: what fails is not tried before (R19), unless the object is changed for it. A
    // clock on the wall may be set: the schedule says how long, not until when.
    std::optional<Time> retry_at;
    std::int64_t tried_generation = 0;
    std::string tried_for;  // kReconcileAtAnnotation
    std::optional<Time> deleting_since;
    Throttling throttling;
    TimelineWriter timeline;
    bool running = false;  // has an open stage; counted in `running`
    std::optional<Time> status_written;
  };

  kube::ObjectStore& store;
  StageHost& stages;
  WorkerPool& workers;
  const Clock& clock;
  const ReconcilerOptions options;
  const std::optional<OnCluster> cluster;
  report::ReportStore reports;
  std::atomic<int> running = 0;
  Mutex mu;
  std::map<kube::ObjectRef, Memory> memories
      GUARDED_BY(mu);  // nodes stay put; one thread per object uses each
  // On one machine there is one Backfill, and workers end with the process that they work for.
  ThrottleGroups groups{cluster ? throttle::kMostGrantTtl : Duration::zero()};

  static kube::ObjectRef RefOf(const api::Backfill& b) {
    return {std::string(kube::kBackfillKind), b.ns, b.name};
  }
  Memory& MemoryOf(const kube::ObjectRef& ref) {
    MutexLock l(mu);
    return memories[ref];
  }

  ObservedStage ObserveStage(const api::Backfill& b, Stage stage, Memory& memory) {
    const StageKey key = KeyOf(b, stage);
    ObservedStage seen;
    seen.open = memory.sight.Look(stages, key);
    seen.opened_batch_size = memory.opened_batch_sizes[stage];
    seen.pool = workers.Observe(b, stage);
    // Under an earlier leader they may have failed often, and connected each time.
    memory.failures_at_session.try_emplace(stage, seen.pool.failures);
    // Of what has ended nothing is decided any more; reading it all would be the most of what a new
    // leader reads.
    const bool in_use = (stage == Stage::kDryRun) == b.spec.dry_run && !api::HasEnded(b.status);
    if (seen.open) {
      memory.ledgers.erase(stage);
      if (seen.open->sessions != memory.sessions[stage]) {
        memory.sessions[stage] = seen.open->sessions;
        memory.failures_at_session[stage] = seen.pool.failures;
      }
      if (b.status.plan) seen.ledger = LedgerSummary{b.status.plan->hash, seen.open->totals};
    } else if (b.status.plan && in_use) {
      auto cached = memory.ledgers.find(stage);
      if (cached == memory.ledgers.end()) {
        auto read = stages.ReadLedger(key);
        if (read.ok()) {
          cached = memory.ledgers.emplace(stage, *read).first;
        } else if (read.error().code != ErrorCode::kNotFound) {
          seen.ledger_error = read.error();
        }
      }
      if (cached != memory.ledgers.end()) seen.ledger = cached->second;
    }
    seen.failures_since_session =
        seen.pool.failures - std::min(seen.pool.failures, memory.failures_at_session[stage]);
    return seen;
  }

  // The object is gone: so are its workers and what is open of it. It can be said nowhere.
  void Abandon(Memory& memory) {
    if (memory.stored) {
      for (const Stage stage : kStages) {
        const StageKey key = KeyOf(*memory.stored, stage);
        if (workers.Observe(*memory.stored, stage).alive > 0)
          LogFailed(workers.Stop(key), "stopping workers", key);
        LogFailed(stages.Close(key), "closing the ledger", key);
      }
    }
    if (memory.stored) ReleaseThrottle(*memory.stored, groups, options, clock);
    SetRunning(memory, false);
    memory = {};
  }
  static void LogFailed(const Status& done, std::string_view doing, const StageKey& key) {
    if (done.ok()) return;
    Log(LogLevel::kWarning, "cleaning up after a Backfill that is gone failed",
        {{"backfill", key.name}, {"doing", std::string(doing)}, {"error", done.error().message}});
  }

  // When what fails is tried again. At first sight of a Backfill that has failed before, not at
  // once: its status says since when it fails, and so when it is due (F25).
  void ObserveRetry(const api::Backfill& b, bool first, Memory& memory) {
    const auto asked = b.annotations.find(api::kReconcileAtAnnotation);
    const std::string tried_for = asked == b.annotations.end() ? "" : asked->second;
    const bool changed = memory.tried_generation != b.generation || memory.tried_for != tried_for;
    if (cluster && first && b.status.observed_generation == b.generation) {
      const api::Condition* ready = api::FindCondition(b.status, "Ready");
      if (ready != nullptr && ready->status == api::ConditionStatus::kFalse) {
        memory.retry_at = NextRetry(b);
        if (ready->reason == "SourceUnavailable")
          memory.planning_error = Error{ErrorCode::kUnavailable, ready->message};
      }
    } else if (!first && changed) {
      memory.retry_at.reset();
      memory.last_error.reset();
      memory.planning_error.reset();
      memory.report.reset();
    }
    memory.tried_generation = b.generation;
    memory.tried_for = tried_for;
  }

  [[nodiscard]] Time NextRetry(const api::Backfill& b) const {
    const WallTime now = clock.Wall();
    const api::Condition* ready = api::FindCondition(b.status, "Ready");
    std::optional<WallTime> since;
    if (ready != nullptr && ready->status == api::ConditionStatus::kFalse)
      since = ParseWallTime(ready->last_transition_time);
    return clock.Steady() + (cluster->next_retry(since.value_or(now), now, b.uid) - now);
  }

  // On a cluster not at each step: it is no kind that is watched. Nobody else writes it, and
  // whether the name is free shows when it is created.
  Result<ReportState> KnownReport(const api::Backfill& b, Memory& memory) {
    const bool fresh = clock.Steady() - memory.report_read < kReportFresh;
    if (!cluster || !memory.report || !fresh) {
      memory.report = TRY(ReadReportState(reports, b));
      memory.report_read = clock.Steady();
    }
    return *memory.report;
  }

  Result<Observed> Observe(const kube::ObjectRef& ref, Memory& memory) {
    const auto read = store.Get(ref);
    if (!read.ok()) {
      if (read.error().code == ErrorCode::kNotFound) Abandon(memory);
      return read.error();
    }
    const kube::Object& object = *read;
    if (memory.stored && memory.stored->uid != object.uid) Abandon(memory);  // created anew
    const bool first = !memory.stored;
    Observed o;
    if (first || memory.stored->resource_version != object.resource_version) {
      auto decoded = api::FromObject(object);
      // On one machine nothing is stored that was not understood.
      if (!decoded.ok() && !cluster) return decoded.error();
      memory.invalid = decoded.ok() ? std::nullopt : std::optional(decoded.error());
      memory.stored = decoded.ok() ? std::move(decoded).value() : api::HeadFromObject(object);
    }
    o.invalid = memory.invalid;
    o.backfill = *memory.stored;
    ObserveRetry(o.backfill, first, memory);
    o.retry_later = memory.retry_at && clock.Steady() < *memory.retry_at;
    o.needs_finalizer = cluster.has_value();
    if (o.backfill.deleting()) {
      if (!memory.deleting_since) memory.deleting_since = clock.Steady();
      o.deleting_for = clock.Steady() - *memory.deleting_since;
    }
    // How long an error has lasted is read from Ready, which a store that takes no writes does not
    // keep.
    for (const api::Condition& c : memory.conditions)
      if (c.type == "Ready") api::SetCondition(o.backfill.status, c);
    const auto report = KnownReport(o.backfill, memory);
    if (report.ok()) {
      o.report = *report;
    } else if (cluster) {
      o.unseen = report.error();  // the object itself can be read, so it can say so
    } else {
      return report.error();
    }
    if (cluster) {
      o.plans_in_worker = IsReadByWorker(o.backfill.spec, true);
      o.planning = {stages.Planning(o.backfill), workers.Observe(o.backfill, Stage::kPlan)};
      if (o.backfill.status.plan) memory.planning_error.reset();
      o.planning_error = memory.planning_error;
    }
    o.dry_run = ObserveStage(o.backfill, Stage::kDryRun, memory);
    o.run = ObserveStage(o.backfill, Stage::kRun, memory);
    ObserveThrottle(o, memory.throttling, groups, options, clock);
    o.last_error = memory.last_error;
    o.idle_timeout = options.idle_timeout;
    o.max_replicas = options.max_replicas;
    o.crash_limit = options.crash_limit;
    return o;
  }

  Result<api::Spec> Resolve(const api::Backfill& b) {
    return ResolveSource(b, store,
                         [this](const StageKey& key) { return stages.ReadFailures(key); });
  }

  // As it was planned: keys that come from elsewhere have to be the planned ones.
  Result<api::Backfill> AsPlanned(const api::Backfill& b, const std::stop_token& stop) {
    api::Backfill planned = b;
    if (!std::holds_alternative<api::FailuresOfSource>(b.spec.source)) return planned;
    planned.spec = TRY(Resolve(b));
    TRY(CheckIsPlanned(planned, stop));
    return planned;
  }

  // ---- actions; each is idempotent. They may add facts to the status that is about to be written.

  Status Perform(const AddFinalizer&, const Observed& o, api::Status&, std::stop_token) {
    if (!cluster) return Ok{};
    return cluster->finalizers.Add(o.backfill);
  }

  Result<plan::Plan> PlanHere(const api::Backfill& b, const std::stop_token& stop) {
    return PlanFor(TRY(Resolve(b).Annotate("planning")), stop, options.planning)
        .Annotate("planning");
  }

  Status Perform(const MakePlan&, const Observed& o, api::Status& status, std::stop_token stop) {
    const auto plan =
        o.plans_in_worker ? PlanFound(o.backfill, stages) : PlanHere(o.backfill, stop);
    if (!plan.ok()) {
      if (o.plans_in_worker && plan.error().code == ErrorCode::kUnavailable)
        MemoryOf(RefOf(o.backfill)).planning_error = plan.error();
      return plan.error();
    }
    // Both from this plan, whatever is edited before they are used. The dry run has a ledger of its
    // own, so that it cannot change the run's.
    TRY(stages.CreateLedger(KeyOf(o.backfill, Stage::kRun), *plan).Annotate("writing the ledger"));
    if (o.backfill.spec.dry_run) {
      TRY(stages.CreateLedger(KeyOf(o.backfill, Stage::kDryRun), *plan)
              .Annotate("writing the dry run's ledger"));
    }
    status.plan = ToStatus(*plan, clock.Wall());
    status.plan->worker_image = options.worker_image;
    return Ok{};
  }

  Status Perform(const CreateReport&, const Observed& o, api::Status&, std::stop_token) {
    MemoryOf(RefOf(o.backfill)).report.reset();
    auto begun = reports.Begin(o.backfill, clock.Wall());
    // Taken: the next step reads whose it is.
    if (!begun.ok() && begun.error().code != ErrorCode::kConflict) return begun.error();
    return Ok{};
  }

  Status Perform(const OpenStage& a, const Observed& o, api::Status&, std::stop_token stop) {
    const api::Backfill b = TRY(AsPlanned(o.backfill, stop).Annotate("opening the stage"));
    TRY(stages.Open(b, KeyOf(b, a.stage)).Annotate("opening the ledger"));
    int& opened = MemoryOf(RefOf(b)).opened_batch_sizes[a.stage];
    const bool begun = o.run.ledger && o.run.ledger->totals.counts.total() > 0;
    if (cluster && opened == 0 && a.stage == Stage::kRun && begun) {
      cluster->events.Record(b, {.warning = false,
                                 .reason = "LeaderRecovered",
                                 .action = "Run",
                                 .note = "another operator has taken up the run where it was"});
    }
    opened = b.spec.workers.batch_size;
    return Ok{};
  }

  Status Perform(const ConfigureStage& a, const Observed& o, api::Status&, std::stop_token) {
    stages.Configure(KeyOf(o.backfill, a.stage), a.settings);
    return Ok{};
  }
  Status Perform(const ScaleWorkers& a, const Observed& o, api::Status&, std::stop_token) {
    return workers.Scale(o.backfill, a.stage, a.replicas).Annotate("starting workers");
  }
  Status Perform(const StopWorkers& a, const Observed& o, api::Status&, std::stop_token) {
    return workers.Stop(KeyOf(o.backfill, a.stage)).Annotate("stopping workers");
  }
  Status Perform(const CloseStage& a, const Observed& o, api::Status&, std::stop_token) {
    return stages.Close(KeyOf(o.backfill, a.stage)).Annotate("closing the ledger");
  }

  Status Perform(const PauseForPerson& a, const Observed& o, api::Status&, std::stop_token) {
    if (cluster) return cluster->finalizers.Pause(o.backfill, a.reason);
    kube::Object paused = api::ToObject(o.backfill);
    paused.annotations[api::kPausedAnnotation] = a.reason;
    (void)TRY(store.Update(paused, kube::Durability::kPower).Annotate("pausing"));
    return Ok{};
  }

  Status Perform(const WriteDryRunReport&, const Observed& o, api::Status& status,
                 std::stop_token) {
    std::vector<report::Sample> samples;
    for (Sample& s : stages.Samples(KeyOf(o.backfill, Stage::kDryRun)))
      samples.push_back({std::move(s.key), std::move(s.request)});
    const api::ProgressStatus outcome = ToProgress(o.dry_run.open->totals);
    (void)TRY(reports.WriteDryRun(o.backfill, outcome, samples, clock.Wall()));
    status.dry_run = outcome;
    return Ok{};
  }

  Status Perform(const FinishReport& a, const Observed& o, api::Status&, std::stop_token) {
    Memory& memory = MemoryOf(RefOf(o.backfill));
    memory.report.reset();
    memory.timeline.Write(reports, o.backfill, memory.throttling, clock.Steady(), true);
    const ledger::Totals totals = o.run.ledger ? o.run.ledger->totals : ledger::Totals{};
    return reports.Finish(o.backfill, ToRunResult(a.result), ToProgress(totals), clock.Wall());
  }

  Status PerformAll(const Decision& decision, const Observed& o, api::Status& status,
                    std::stop_token stop) {
    for (const Action& action : decision.actions) {
      if (stop.stop_requested()) return Error{ErrorCode::kAborted, "stopped"};
      (void)TRY(std::visit([&](const auto& a) { return Perform(a, o, status, stop); }, action));
    }
    return Ok{};
  }

  // Writes the status if it differs; mere progress at most once per status period. Returns the
  // object as it is now. Observe() has read what is stored.
  Result<api::Backfill> WriteStatus(const api::Status& status, Memory& memory, bool now) {
    api::Backfill backfill = *memory.stored;
    if (status == backfill.status) return backfill;
    const bool lasting = Lasting(status) != Lasting(backfill.status);
    const bool due =
        !memory.status_written || clock.Steady() - *memory.status_written >= StatusPeriod();
    backfill.status = status;
    // Shown may be ahead of stored.
    if (!lasting && !now && (!due || OnlyDrifts(memory.stored->status, status))) return backfill;
    const kube::Object written =
        TRY(store
                .UpdateStatus(api::ToObject(backfill),
                              lasting ? kube::Durability::kPower : kube::Durability::kProcess)
                .Annotate("writing the status"));
    memory.status_written = clock.Steady();
    backfill.resource_version = written.resource_version;
    if (cluster) {
      for (const BackfillEvent& event : EventsOf(memory.stored->status, status))
        cluster->events.Record(backfill, event);
    }
    memory.stored = backfill;
    return backfill;
  }

  [[nodiscard]] Duration StatusPeriod() const {
    return std::max(options.status_period, running.load() * options.status_period_each);
  }
  void SetRunning(Memory& memory, bool runs) {
    if (memory.running != runs) running += runs ? 1 : -1;
    memory.running = runs;
  }

  static Duration AfterConflict(Memory& memory) {
    memory.conflicts = std::min(memory.conflicts + 1, kConflictTries);
    return kAfterConflict * (1 << (memory.conflicts - 1));
  }

  void Forget(const kube::ObjectRef& ref) {
    MutexLock l(mu);
    memories.erase(ref);
  }

  [[nodiscard]] Duration WhenToLookAgain(const Decision& decision, const Observed& observed,
                                         const Memory& memory) const {
    if (observed.unseen) return kRetryMax;
    if (observed.retry_later && !UnderWay(observed)) {
      const Duration left = *memory.retry_at - clock.Steady();
      return std::max<Duration>(std::chrono::ceil<std::chrono::milliseconds>(left), kSoon);
    }
    return decision.observe_soon ? options.observe_period : Duration::zero();
  }

  Result<ReconcileOutcome> Reconcile(const kube::ObjectRef& ref, std::stop_token stop) {
    Memory& memory = MemoryOf(ref);
    auto seen = Observe(ref, memory);
    if (!seen.ok()) {
      if (seen.error().code == ErrorCode::kNotFound && !memory.stored) Forget(ref);
      return seen.error();
    }
    Observed& observed = *seen;
    Decision decision = Decide(observed, clock.Wall());
    api::Status status = decision.status;
    SetRunning(memory, observed.dry_run.open || observed.run.open);
    memory.conditions = status.conditions;
    const Status performed = PerformAll(decision, observed, status, stop);
    if (!performed.ok() && performed.error().code == ErrorCode::kAborted) return performed.error();

    ReconcileOutcome outcome;
    if (performed.ok()) {
      // What waits for a person is still what is wrong.
      if (!observed.retry_later && !decision.settled) {
        memory.last_error.reset();
        memory.retry_at.reset();
      }
      memory.retry = kRetryMin;
      memory.timeline.Write(reports, observed.backfill, memory.throttling, clock.Steady(), false);
      outcome.requeue_after = WhenToLookAgain(decision, observed, memory);
    } else if (cluster && performed.error().code == ErrorCode::kConflict &&
               memory.conflicts < kConflictTries) {
      // What was decided on is not so any more: nothing is written of it, it is read again (R25).
      outcome.requeue_after = AfterConflict(memory);
      outcome.backfill = observed.backfill;
      memory.ledgers.clear();
      return outcome;
    } else {
      Log(LogLevel::kWarning, "an action failed and will be retried",
          {{"backfill", observed.backfill.name}, {"error", performed.error().message}});
      memory.last_error = performed.error();
      outcome.requeue_after = memory.retry;
      memory.retry = std::min(memory.retry * 2, kRetryMax);
      if (cluster) {
        outcome.requeue_after = kRetryMin;  // to show it; the next try is on its schedule
        memory.retry_at = NextRetry(observed.backfill);
      }
      // The status says it at once, not that all is well until the next step.
      observed.last_error = performed.error();
      observed.planning_error = memory.planning_error;
      Decision failed = Decide(observed, clock.Wall());
      decision.status = std::move(failed.status);
      decision.settled = false;
      decision.remove_finalizer = false;
      status = decision.status;
      memory.conditions = status.conditions;
    }
    if (std::ranges::any_of(decision.actions, ChangesLedgers)) memory.ledgers.clear();

    // The stored object is another one now (R26): read it before anything is written.
    if (performed.ok() && std::ranges::any_of(decision.actions, ChangesTheObject)) {
      outcome.backfill = observed.backfill;
      outcome.requeue_after = kSoon;
      return outcome;
    }

    auto written = WriteStatus(status, memory, decision.settled);
    if (decision.remove_finalizer && performed.ok() && cluster &&
        (written.ok() || IsRefused(written.error().code))) {
      const Status removed = cluster->finalizers.Remove(observed.backfill);
      if (!removed.ok()) {
        memory.last_error = removed.error();
        outcome.requeue_after = kRetryMin;
      } else {
        outcome.settled = true;
      }
      outcome.backfill = observed.backfill;
      outcome.backfill.status = status;
      return outcome;
    }
    if (!written.ok()) {
      // Somebody changed the object meanwhile (or the store is away): nothing is lost, decide again
      // from what is there.
      if (written.error().code == ErrorCode::kConflict) {
        outcome.requeue_after = cluster ? AfterConflict(memory) : kSoon;
      } else if (cluster) {
        // Once it can be written that it could not be, it is so no more.
        outcome.requeue_after = memory.write_retry;
        memory.write_retry = std::min(memory.write_retry * 2, kRetryMax);
      } else {
        memory.last_error = written.error();
        outcome.requeue_after = kRetryMin;
      }
      outcome.backfill = observed.backfill;
      outcome.backfill.status = status;
      return outcome;
    }
    memory.write_retry = kRetryMin;
    memory.conflicts = 0;
    // A step that changed the object or did something is followed by one that sees the result.
    const bool acted = performed.ok() && !decision.observe_soon && !decision.settled;
    if (acted && !observed.retry_later) outcome.requeue_after = options.observe_period;
    outcome.settled =
        decision.settled && performed.ok() && Lasting(written->status) == Lasting(status);
    outcome.backfill = std::move(*written);
    return outcome;
  }

  Status Release(const kube::ObjectRef& ref) {
    Memory& memory = MemoryOf(ref);
    const Observed observed = TRY(Observe(ref, memory));
    api::Backfill b = observed.backfill;
    if (!memory.conditions.empty()) b.status.conditions = memory.conditions;
    // What a run waits for is not so once nothing runs.
    for (api::Condition& c : b.status.conditions)
      if (c.type == "Ready" && c.status == api::ConditionStatus::kTrue && !api::HasEnded(b.status))
        c.message.clear();
    Status result = Ok{};
    StatusBuilder status(b, clock.Wall());
    for (const auto& [stage, seen] :
         {std::pair{Stage::kDryRun, &observed.dry_run}, std::pair{Stage::kRun, &observed.run}}) {
      const StageKey key = KeyOf(b, stage);
      if (!seen->open && seen->pool.alive == 0) continue;
      LiveSettings settings;
      settings.paused = true;
      settings.concurrency = b.spec.workers.concurrency;
      settings.attempts = b.spec.failure_policy.attempts;
      stages.Configure(key, settings);
      (void)workers.Stop(key);  // cannot fail to ask; Observe tells what became of it
      const Time deadline = clock.Steady() + options.drain_timeout;
      while (workers.Observe(b, stage).alive > 0 && clock.Steady() < deadline)
        std::this_thread::sleep_for(20ms);
      if (const auto last = stages.Snapshot(key)) status.SetProgress(last->totals);
      if (seen->open) {
        const Status closed = stages.Close(key);
        if (!closed.ok()) result = closed.error().Annotate("closing the ledger");
      }
      memory.ledgers.clear();
    }
    status.ClearActivity();
    const auto written = WriteStatus(status.Take(), memory, /*now=*/true);
    if (!written.ok() && written.error().code != ErrorCode::kConflict && result.ok())
      result = written.error();
    return result;
  }

  Status HandOver() {
    std::vector<StageKey> open;
    {
      MutexLock l(mu);
      for (const auto& [ref, memory] : memories) {
        if (!memory.stored) continue;
        for (const Stage stage : kStages) open.push_back(KeyOf(*memory.stored, stage));
      }
      memories.clear();
    }
    groups.Reset();
    Status result = Ok{};
    for (const StageKey& key : open) {
      const Status closed = stages.Close(key);
      if (!closed.ok()) result = closed.error().Annotate("closing the ledger");
    }
    return result;
  }
};

Reconciler::Reconciler(kube::ObjectStore& store, StageHost& stages, WorkerPool& workers,
                       const Clock& clock, const ReconcilerOptions& options,
                       const std::optional<OnCluster>& cluster)
    : impl_(new Impl{
          store, stages, workers, clock, options, cluster, report::ReportStore(store), 0, {}, {}}) {
}

Reconciler::~Reconciler() = default;

Result<ReconcileOutcome> Reconciler::Reconcile(const kube::ObjectRef& ref, std::stop_token stop) {
  return impl_->Reconcile(ref, stop);
}

Status Reconciler::Release(const kube::ObjectRef& ref) { return impl_->Release(ref); }

Status Reconciler::HandOver() { return impl_->HandOver(); }

}  // namespace backfill::reconcile
