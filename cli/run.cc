#include "cli/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <ostream>
#include <stop_token>
#include <utility>

#include "base/mutex.h"
#include "cli/admission.h"
#include "cli/backfill_file.h"
#include "cli/exit_code.h"
#include "cli/failures.h"
#include "cli/file_limit.h"
#include "cli/human.h"
#include "cli/interventions.h"
#include "cli/live_view.h"
#include "cli/local_files.h"
#include "cli/locks.h"
#include "cli/operator.h"
#include "cli/run_loop.h"
#include "cli/stored_backfill.h"
#include "cli/summary.h"
#include "cli/terminal_text.h"
#include "operator/api/decode.h"

namespace backfill::cli {
namespace {

using namespace std::chrono_literals;

// The operator, for the thread that kills it when someone insists.
class KillSwitch {
 public:
  void Arm(Operator* op) {
    MutexLock l(mu_);
    operator_ = op;
  }
  void Fire() {
    MutexLock l(mu_);
    if (operator_ != nullptr) operator_->KillWorkers();
  }

 private:
  Mutex mu_;
  Operator* operator_ GUARDED_BY(mu_) = nullptr;
};

struct Admitted {
  Admission admission;
  api::Backfill backfill;  // as stored
};

// Makes the object what the file says, or finds out why not.
Result<Admitted> AdmitFile(kube::ObjectStore& store, const kube::ObjectRef& ref,
                           const api::Backfill& declared, const Environment& env) {
  std::optional<Admission> admission;
  api::Backfill stored = TRY(WriteBackfill(
      store, ref, [&](const api::Backfill* found) -> Result<std::optional<api::Backfill>> {
        admission = Admit(found == nullptr ? std::nullopt : std::optional(*found), declared);
        if (found == nullptr) return std::optional(declared);
        auto* changed = std::get_if<AdmitChanged>(&*admission);
        if (changed == nullptr) return std::optional<api::Backfill>();
        NoteIntervention(changed->updated, {FormatWallTime(env.clock.Wall()), env.user, "Changed",
                                            ChangesText(changed->changes)});
        return std::optional(changed->updated);
      }));
  return Admitted{std::move(*admission), std::move(stored)};
}

struct RunEnd {
  int code;
  api::Status status;
};

// One run, from a valid file to the summary.
class Runner {
 public:
  Runner(const RunOptions& options, const Environment& env, const api::Backfill& declared)
      : options_(options),
        env_(env),
        streams_(env.streams),
        declared_(declared),
        place_(options.place.In(declared.ns)),
        ref_(RefOf(place_, declared.name)) {}

  int Run() {
    const int replicas = options_.workers > 0
                             ? std::min(options_.workers, declared_.spec.workers.replicas)
                             : declared_.spec.workers.replicas;
    if (const Status enough =
            RaiseFileLimit(FilesNeeded(replicas, declared_.spec.workers.concurrency));
        !enough.ok()) {
      return Refuse(streams_, enough.error().message);
    }
    const Result<StateDir> dir = StateDir::Create(place_.state_dir);
    if (!dir.ok()) return Refuse(streams_, dir.error().message);
    const Result<RunnerLock> lock =
        RunnerLock::Take(dir->RunnerLock(ref_.ns, ref_.name), env_.clock.Wall());
    if (!lock.ok() && lock.error().code == ErrorCode::kConflict) {
      return Refuse(streams_, fmt::format("{} {}; see {}", ref_.name, lock.error().message,
                                          CommandFor("status", ref_.name, place_)));
    }
    if (!lock.ok()) return Refuse(streams_, lock.error().message);

    // Before the store, which may start threads.
    env_.interrupts.Listen([this] { stop_.request_stop(); }, [this] { kill_switch_.Fire(); });
    const int code = RunLocked(*dir);
    env_.interrupts.Ignore();
    return code;
  }

 private:
  int RunLocked(const StateDir& dir) {
    const auto store = env_.open_store(dir.Database(), Access::kWrite);
    if (!store.ok()) return Refuse(streams_, store.error().message);
    const Result<Admitted> admitted = AdmitFile(**store, ref_, declared_, env_);
    if (!admitted.ok())
      return Refuse(streams_, admitted.error().Annotate("storing " + ref_.name).message);
    if (const std::optional<int> code = Announce(*admitted)) {
      ForgetNotes(dir, admitted->backfill.status);  // of a runner that died just after the end
      return *code;
    }
    const std::vector<std::string> unreadable = FindUnreadable(admitted->backfill.spec);
    for (const std::string& what : unreadable) streams_.err << "error: " << Printable(what) << "\n";
    if (!unreadable.empty()) return kExitNotStarted;

    const Result<WorkersLock> workers = WorkersLock::Take(dir.WorkersLock(ref_.ns, ref_.name), 5s);
    if (!workers.ok()) return Refuse(streams_, workers.error().message);
    constexpr int kNoCap = 3000;  // the schema's maximum
    const OperatorSettings settings{
        .state_dir = dir.path(),
        .workers_log = dir.WorkersLog(ref_.ns, ref_.name),
        .decisions_log = dir.DecisionsLog(ref_.ns, ref_.name),
        .sent_dir = dir.WorkersSent(ref_.ns, ref_.name),
        .backfill = ref_,
        .alive_lock_fd = workers->fd(),
        .predecessors_gone = workers->predecessors_gone(),
        .max_replicas = options_.workers > 0 ? options_.workers : kNoCap,
        .planning = [this](const rows::PlanProgress& progress) {
          if (show_planning_) show_planning_(progress);
        }};
    const auto op = env_.start_operator(**store, settings);
    if (!op.ok()) {
      return Refuse(streams_, fmt::format("{}; then run it again with: {}", op.error().message,
                                          CommandForFile("run", options_.file, place_)));
    }
    kill_switch_.Arm(op->get());
    const RunEnd end = Drive(**op, **store, admitted->backfill);
    kill_switch_.Arm(nullptr);
    ForgetNotes(dir, end.status);
    return end.code;
  }

  // What workers noted tells what to send again, which is nothing once it has ended for good: that
  // is written when all of them are gone.
  void ForgetNotes(const StateDir& dir, const api::Status& status) const {
    if (HasEnded(status)) dir.RemoveWorkersSent(ref_.ns, ref_.name);
  }

  // Says what the file means for what is stored. A code: there is nothing to run.
  std::optional<int> Announce(const Admitted& admitted) {
    const api::Backfill& stored = admitted.backfill;
    if (const auto* refused = std::get_if<Refused>(&admitted.admission)) {
      for (const std::string& reason : refused->reasons)
        streams_.err << "error: " << Printable(reason) << "\n";
      return kExitNotStarted;
    }
    if (std::holds_alternative<AlreadyEnded>(admitted.admission)) {
      const Ending ending = FindEnding(stored).value_or(Ending::kFailed);  // one or the other
      const api::ProgressStatus* progress = ProgressOf(stored.status);
      const std::string text =
          fmt::format("{} {} at {}, {}; nothing to do", stored.name,
                      ending == Ending::kCompleted ? "completed" : "failed",
                      FindCondition(stored.status, "Succeeded")->last_transition_time,
                      Plural(progress == nullptr ? 0 : progress->records, "record"));
      PrintResult(stored, Printable(text) + "\n");
      return ExitCodeOf(ending);
    }
    if (const auto* changed = std::get_if<AdmitChanged>(&admitted.admission)) {
      streams_.err << stored.name
                   << ": the file differs from what was run before; the file holds:\n";
      for (const SpecChange& change : changed->changes)
        streams_.err << "  " << ToString(change) << "\n";
    }
    if (const std::uint64_t done = RecordsDone(stored); stored.status.plan && done > 0) {
      const std::uint64_t total = stored.status.plan->records;
      streams_.err << fmt::format("{}: goes on at {}, {} of {}\n", stored.name,
                                  Percent(done, total), Grouped(done), Plural(total, "record"));
    } else {
      streams_.err << fmt::format("{}: {}, state in {}\n", stored.name,
                                  stored.spec.dry_run ? "dry run" : "for real",
                                  Printable(place_.state_dir));
    }
    streams_.err.flush();
    return std::nullopt;
  }

  RunEnd Drive(Operator& op, kube::ObjectStore& store, const api::Backfill& admitted) {
    const DisplayMode mode = options_.no_progress ? DisplayMode::kChanges
                             : streams_.live      ? DisplayMode::kLive
                                                  : DisplayMode::kLines;
    ProgressDisplay display(streams_, env_.clock, mode);
    show_planning_ = [&](const rows::PlanProgress& progress) {
      api::Backfill planning = admitted;
      planning.status.phase = api::Phase::kPlanning;
      display.Show(planning, {PlanningText(progress, mode)});
    };
    const Time begin = env_.clock.Steady();
    RunOutcome outcome = RunToItsEnd(op, store, ref_, display, env_.clock, stop_.get_token());
    show_planning_ = nullptr;
    if (!outcome.ending && !outcome.error) {
      display.Say("stopping: waiting for requests in flight; again to end at once");
    }
    display.Clear();
    const Status released = op.Release(ref_);
    if (!released.ok()) {
      streams_.err << "error: " << Printable(released.error().message)
                   << "; records may be sent again by the next run\n";
    }
    // With what the last requests came to; a store that took no more writes knows less than we do.
    api::Backfill last = outcome.backfill.value_or(admitted);
    if (Result<api::Backfill> read = ReadBackfill(store, place_, ref_.name);
        read.ok() && read->resource_version != last.resource_version)
      last = std::move(*read);
    if (const auto ending = FindEnding(last); ending && HasEnded(last.status))
      outcome.ending = ending;
    if (outcome.error) streams_.err << "error: " << Printable(outcome.error->message) << "\n";

    const SummaryView summary{
        .ending = outcome.ending,
        .took = env_.clock.Steady() - begin,
        .records_before = RecordsDone(admitted),
        .failures = FailuresByClass(store, last),
        .place = place_,
        .file = options_.file,
        .stored = released.ok(),
        .color = options_.output == "text" ? streams_.color_out : streams_.color};
    PrintResult(last, Summarize(last, summary));
    return {outcome.ending ? ExitCodeOf(*outcome.ending) : kExitStopped, std::move(last.status)};
  }

  // In a log every other text is a line, so it changes at each tenth only.
  static std::string PlanningText(const rows::PlanProgress& progress, DisplayMode mode) {
    std::string text = "reading the file";
    if (progress.bytes_total && *progress.bytes_total > 0) {
      const std::uint64_t step = mode == DisplayMode::kLive ? 1 : 10;
      const double part =
          static_cast<double>(progress.bytes_read) / static_cast<double>(*progress.bytes_total);
      const auto percent = static_cast<std::uint64_t>(std::min(part, 1.0) * 100);
      text += fmt::format(": {} %", percent / step * step);
    }
    if (mode != DisplayMode::kLive) return text;
    return text + ", " + Plural(progress.records, "record") + " so far";
  }

  static std::map<std::string, std::uint64_t> FailuresByClass(kube::ObjectStore& store,
                                                              const api::Backfill& backfill) {
    std::map<std::string, std::uint64_t> classes;
    const api::ProgressStatus* progress = ProgressOf(backfill.status);
    if (progress == nullptr || progress->failed == 0) return classes;
    const auto failures = ReadFailuresOf(store, backfill);
    if (!failures.ok())
      return classes;  // the summary goes without; `backfill failures` will say why
    for (const ledger::FailedRecord& f : *failures)
      ++classes[std::string(ledger::ToString(f.failure_class))];
    return classes;
  }

  // The text for people; with -o json the object, and the text beside it.
  void PrintResult(const api::Backfill& backfill, const std::string& text) {
    if (options_.output == "json") {
      streams_.err << text;
      streams_.out << PrintableLines(api::ToJson(backfill));
    } else {
      streams_.out << text;
    }
  }

  const RunOptions& options_;
  const Environment& env_;
  Streams& streams_;
  const api::Backfill& declared_;
  const Place place_;
  const kube::ObjectRef ref_;
  std::stop_source stop_;
  KillSwitch kill_switch_;
  reconcile::PlanningProgress show_planning_;  // while there is a display
};

}  // namespace

int RunRun(const RunOptions& options, const Environment& env) {
  if (options.place.cluster) {
    return Refuse(env.streams, "run is for this machine; on a cluster it is: " +
                                   CommandToRun(options.file, options.place));
  }
  const auto loaded = LoadBackfill(options.file, options.place.ns, env.streams);
  if (!loaded) return kExitNotStarted;
  for (const std::string& w : loaded->warnings) env.streams.err << w << "\n";
  return Runner(options, env, loaded->backfill).Run();
}

}  // namespace backfill::cli
