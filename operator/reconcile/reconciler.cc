#include "operator/reconcile/reconciler.h"

#include <algorithm>
#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "base/log.h"
#include "base/mutex.h"
#include "operator/api/decode.h"
#include "operator/plan/source_planner.h"
#include "operator/reconcile/decide.h"
#include "operator/reconcile/status_builder.h"
#include "operator/report/run_report.h"

namespace backfill::reconcile {
namespace {

constexpr Duration kObservePeriod =
    200ms;  // while a stage is open: bounds how late a budget or an end is seen
constexpr Duration kRetryMin = 200ms;
constexpr Duration kRetryMax = 10s;

std::unique_ptr<plan::SourcePlanner> MakePlanner(const api::Source& source) {
  if (const auto* range = std::get_if<api::RangeSource>(&source))
    return std::make_unique<plan::RangePlanner>(Range{range->start, range->end});
  return std::make_unique<plan::KeysPlanner>(std::get<api::KeysSource>(source).keys.size());
}

Result<plan::Plan> PlanFor(const api::Spec& spec, std::stop_token stop) {
  plan::Cutting cutting;
  cutting.records_per_shard = spec.sharding ? spec.sharding->records_per_shard : 0;
  cutting.workers = spec.workers.replicas;
  const auto planner = MakePlanner(spec.source);
  return plan::MakePlan(*planner, cutting, api::CanonicalWork(spec), stop);
}

// A status without what moves all the time: if this is equal, a write may wait for the status
// period.
api::Status Lasting(api::Status status) {
  status.progress.reset();
  status.rate.reset();
  status.eta.clear();
  status.workers.reset();
  status.display = {};
  return status;
}

}  // namespace

struct Reconciler::Impl {
  // What is remembered of one object between steps: caches and back-off, nothing that a decision
  // rests on.
  struct Memory {
    std::map<Stage, LedgerSummary>
        ledgers;  // of stages that are not open; this leader is their only writer
    std::map<Stage, std::uint64_t> sessions;
    std::map<Stage, std::uint64_t> failures_at_session;
    std::optional<Error> last_error;
    Duration retry = kRetryMin;
    std::optional<Time> status_written;
  };

  kube::ObjectStore& store;
  StageHost& stages;
  WorkerPool& workers;
  const Clock& clock;
  const ReconcilerOptions options;
  report::ReportStore reports;
  Mutex mu;
  std::map<kube::ObjectRef, Memory> memories
      GUARDED_BY(mu);  // nodes stay put; one thread per object uses each

  Memory& MemoryOf(const kube::ObjectRef& ref) {
    MutexLock l(mu);
    return memories[ref];
  }

  static StageKey KeyOf(const api::Backfill& b, Stage stage) {
    return {b.ns, b.name, b.uid, stage};
  }

  ObservedStage ObserveStage(const api::Backfill& b, Stage stage, Memory& memory) {
    const StageKey key = KeyOf(b, stage);
    ObservedStage seen;
    seen.open = stages.Snapshot(key);
    seen.pool = workers.Observe(key);
    if (seen.open) {
      memory.ledgers.erase(stage);
      if (seen.open->sessions != memory.sessions[stage]) {
        memory.sessions[stage] = seen.open->sessions;
        memory.failures_at_session[stage] = seen.pool.failures;
      }
      if (b.status.plan) seen.ledger = LedgerSummary{b.status.plan->hash, seen.open->totals};
    } else if (b.status.plan) {
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

  Result<ReportState> ObserveReport(const api::Backfill& b) {
    const auto report = reports.Read(b);
    if (!report.ok()) {
      if (report.error().code == ErrorCode::kNotFound) return ReportState::kNone;
      if (report.error().code == ErrorCode::kInvalid) return ReportState::kNotAReport;
      return report.error();
    }
    if (report->backfill_uid != b.uid) return ReportState::kOtherRun;
    switch (report->result) {
      case report::RunResult::kStarted:
        return ReportState::kStarted;
      case report::RunResult::kCompleted:
        return ReportState::kCompleted;
      case report::RunResult::kFailed:
        return ReportState::kFailed;
    }
    return ReportState::kNotAReport;
  }

  Result<Observed> Observe(const kube::ObjectRef& ref, Memory& memory) {
    const kube::Object object = TRY(store.Get(ref));
    Observed o;
    o.backfill = TRY(api::FromObject(object));
    o.report = TRY(ObserveReport(o.backfill));
    o.dry_run = ObserveStage(o.backfill, Stage::kDryRun, memory);
    o.run = ObserveStage(o.backfill, Stage::kRun, memory);
    o.last_error = memory.last_error;
    o.max_replicas = options.max_replicas;
    o.crash_limit = options.crash_limit;
    return o;
  }

  // ---- actions; each is idempotent. They may add facts to the status that is about to be written.

  Status Perform(const MakePlan&, const Observed& o, api::Status& status, std::stop_token stop) {
    const plan::Plan plan = TRY(PlanFor(o.backfill.spec, stop).Annotate("planning"));
    (void)TRY(
        stages.CreateLedger(KeyOf(o.backfill, Stage::kRun), plan).Annotate("writing the ledger"));
    api::PlanStatus made;
    made.hash = plan.hash;
    made.shards = static_cast<std::int64_t>(plan.shards.size());
    made.records = plan.records;
    made.time = FormatWallTime(clock.Wall());
    status.plan = made;
    return Ok{};
  }

  Status Perform(const CreateReport&, const Observed& o, api::Status& status, std::stop_token) {
    auto begun = reports.Begin(o.backfill, clock.Wall());
    // Taken: the next step reads whose it is.
    if (!begun.ok() && begun.error().code != ErrorCode::kConflict) return begun.error();
    status.report = report::RunReportName(o.backfill.name);
    return Ok{};
  }

  Status Perform(const OpenStage& a, const Observed& o, api::Status&, std::stop_token stop) {
    const StageKey key = KeyOf(o.backfill, a.stage);
    if (a.stage == Stage::kDryRun && !o.dry_run.ledger) {
      // The dry run has a ledger of its own over the same plan, so that it cannot change the run's.
      const plan::Plan plan = TRY(PlanFor(o.backfill.spec, stop).Annotate("planning the dry run"));
      if (plan.hash != o.backfill.status.plan->hash)
        return Error{ErrorCode::kInvalid,
                     "the plan has changed since it was made; create a new Backfill"};
      (void)TRY(stages.CreateLedger(key, plan).Annotate("writing the dry run's ledger"));
    }
    return stages.Open(o.backfill, key).Annotate("opening the ledger");
  }

  Status Perform(const ConfigureStage& a, const Observed& o, api::Status&, std::stop_token) {
    stages.Configure(KeyOf(o.backfill, a.stage), a.settings);
    return Ok{};
  }
  Status Perform(const ScaleWorkers& a, const Observed& o, api::Status&, std::stop_token) {
    return workers.Scale(KeyOf(o.backfill, a.stage), a.replicas).Annotate("starting workers");
  }
  Status Perform(const StopWorkers& a, const Observed& o, api::Status&, std::stop_token) {
    return workers.Stop(KeyOf(o.backfill, a.stage)).Annotate("stopping workers");
  }
  Status Perform(const CloseStage& a, const Observed& o, api::Status&, std::stop_token) {
    return stages.Close(KeyOf(o.backfill, a.stage)).Annotate("closing the ledger");
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
    const auto result = a.result == ReportState::kCompleted ? report::RunResult::kCompleted
                                                            : report::RunResult::kFailed;
    const ledger::Totals totals = o.run.ledger ? o.run.ledger->totals : ledger::Totals{};
    return reports.Finish(o.backfill, result, ToProgress(totals), clock.Wall());
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
  // object as it is now.
  Result<api::Backfill> WriteStatus(api::Backfill backfill, const api::Status& status,
                                    Memory& memory, bool now) {
    if (status == backfill.status) return backfill;
    const bool lasting = Lasting(status) != Lasting(backfill.status);
    const bool due =
        !memory.status_written || clock.Steady() - *memory.status_written >= options.status_period;
    if (!lasting && !due && !now) {
      backfill.status = status;  // what is shown may be ahead of what is stored
      return backfill;
    }
    backfill.status = status;
    kube::Object object = api::ToObject(backfill);
    const kube::Object written = TRY(
        store.UpdateStatus(object, lasting ? kube::Durability::kPower : kube::Durability::kProcess)
            .Annotate("writing the status"));
    memory.status_written = clock.Steady();
    backfill.resource_version = written.resource_version;
    return backfill;
  }

  Result<ReconcileOutcome> Reconcile(const kube::ObjectRef& ref, std::stop_token stop) {
    Memory& memory = MemoryOf(ref);
    const Observed observed = TRY(Observe(ref, memory));
    const Decision decision = Decide(observed, clock.Wall());
    api::Status status = decision.status;
    const Status performed = PerformAll(decision, observed, status, stop);
    if (!performed.ok() && performed.error().code == ErrorCode::kAborted) return performed.error();

    ReconcileOutcome outcome;
    if (performed.ok()) {
      memory.last_error.reset();
      memory.retry = kRetryMin;
      outcome.requeue_after = decision.observe_soon ? kObservePeriod : Duration::zero();
    } else {
      Log(LogLevel::kWarning, "an action failed and will be retried",
          {{"backfill", observed.backfill.name}, {"error", performed.error().message}});
      memory.last_error = performed.error();
      outcome.requeue_after = memory.retry;
      memory.retry = std::min(memory.retry * 2, kRetryMax);
    }
    if (!decision.actions.empty()) memory.ledgers.clear();  // they may have changed it

    auto written = WriteStatus(observed.backfill, status, memory, decision.settled);
    if (!written.ok()) {
      // Somebody changed the object meanwhile (or the store is away): nothing is lost, decide again
      // from what is there.
      if (written.error().code != ErrorCode::kConflict) memory.last_error = written.error();
      outcome.requeue_after =
          written.error().code == ErrorCode::kConflict ? Duration(1ms) : kRetryMin;
      outcome.backfill = observed.backfill;
      outcome.backfill.status = status;
      return outcome;
    }
    // A step that changed the object or did something is followed by one that sees the result.
    const bool acted = performed.ok() && !decision.observe_soon && !decision.settled;
    if (acted) outcome.requeue_after = kObservePeriod;
    outcome.settled =
        decision.settled && performed.ok() && Lasting(written->status) == Lasting(status);
    outcome.backfill = std::move(*written);
    return outcome;
  }

  Status Release(const kube::ObjectRef& ref) {
    Memory& memory = MemoryOf(ref);
    const Observed observed = TRY(Observe(ref, memory));
    const api::Backfill& b = observed.backfill;
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
      while (workers.Observe(key).alive > 0 && clock.Steady() < deadline)
        std::this_thread::sleep_for(20ms);
      if (const auto last = stages.Snapshot(key)) status.SetProgress(last->totals);
      if (seen->open) {
        const Status closed = stages.Close(key);
        if (!closed.ok()) result = closed.error().Annotate("closing the ledger");
      }
      memory.ledgers.clear();
    }
    status.ClearActivity();
    const auto written = WriteStatus(b, status.Take(), memory, /*now=*/true);
    if (!written.ok() && written.error().code != ErrorCode::kConflict && result.ok())
      result = written.error();
    return result;
  }
};

Reconciler::Reconciler(kube::ObjectStore& store, StageHost& stages, WorkerPool& workers,
                       const Clock& clock, const ReconcilerOptions& options)
    : impl_(new Impl{store, stages, workers, clock, options, report::ReportStore(store), {}, {}}) {}

Reconciler::~Reconciler() = default;

Result<ReconcileOutcome> Reconciler::Reconcile(const kube::ObjectRef& ref, std::stop_token stop) {
  return impl_->Reconcile(ref, stop);
}

Status Reconciler::Release(const kube::ObjectRef& ref) { return impl_->Release(ref); }

}  // namespace backfill::reconcile
