#include "operator/kube/runtime/dispatcher.h"

#include <exception>
#include <utility>

#include "base/digest.h"
#include "base/log.h"

namespace backfill::kube {
namespace {

constexpr std::size_t kReconcileIdBytes = 8;

}  // namespace

ReconcileContext::ReconcileContext(ObjectKey key, std::string id, const Limits& limits,
                                   std::stop_token stop, const MayAct& may_act, const Clock& clock,
                                   WriteGuard& guard)
    : key_(std::move(key)),
      id_(std::move(id)),
      limits_(limits),
      stop_(std::move(stop)),
      may_act_(may_act),
      clock_(clock),
      guard_(guard) {}

Status ReconcileContext::BeginCall() {
  if (stop_.stop_requested()) return Error{ErrorCode::kAborted, "the controller is stopping"};
  const Time now = clock_.Steady();
  if (may_act_ && !may_act_(now)) {
    return Error{ErrorCode::kAborted, "this process does not lead any more"};
  }
  if (calls_ >= limits_.calls || now >= limits_.deadline) {
    exhausted_ = true;
    return Error{ErrorCode::kDeadline, "this reconcile has done its share, the next one goes on"};
  }
  ++calls_;
  return Ok{};
}

FollowUp FollowUpOf(const Outcome& outcome) {
  using Add = FollowUp::Add;
  switch (outcome.kind) {
    case Outcome::Kind::kDone:
      return {.add = Add::kNo, .after = {}, .forget = true};
    case Outcome::Kind::kAgainAfter:
      return {.add = Add::kAfter, .after = outcome.after, .forget = true};
    case Outcome::Kind::kAgain:
    case Outcome::Kind::kFailed:
      return {.add = Add::kRateLimited, .after = {}, .forget = false};
    case Outcome::Kind::kRefused:
      return {.add = Add::kNo, .after = {}, .forget = true};
  }
  return {};
}

Dispatcher::Dispatcher(Options options, Reconciler& reconciler, const CacheView& caches,
                       WorkQueue& queue, WriteGuard& guard, const Clock& clock,
                       ControllerMetrics& metrics)
    : options_(std::move(options)),
      reconciler_(reconciler),
      caches_(caches),
      queue_(queue),
      guard_(guard),
      clock_(clock),
      metrics_(metrics) {}

void Dispatcher::Handle(const WorkQueue::Taken& taken, const std::stop_token& stop) {
  const Time start = clock_.Steady();
  const OwnWrites::Gate gate = guard_.Check(taken.key, caches_, start);
  if (gate.gave_up) {
    Log(LogLevel::kWarning, "the cache does not show what this controller wrote",
        {{"controller", options_.controller},
         {"namespace", taken.key.ns},
         {"name", taken.key.name}});
  }
  if (!gate.open) {
    metrics_.held_for_own_write.Increment();
    queue_.AddAfter(taken.key, gate.look_again, taken.priority);
    queue_.Done(taken.key);
    return;
  }

  ReconcileContext context(taken.key, RandomHex(kReconcileIdBytes),
                           {.deadline = start + options_.time_limit, .calls = options_.call_limit},
                           stop, options_.may_act, clock_, guard_);
  metrics_.active_workers.Set(++active_);
  const Outcome outcome = Call(taken.key, context);
  metrics_.active_workers.Set(--active_);
  metrics_.seconds.Observe(std::chrono::duration<double>(clock_.Steady() - start).count());

  if (!stop.stop_requested()) {  // how it ends when it is stopped says nothing
    const bool exhausted = context.exhausted();
    Count(outcome, exhausted);
    if (!exhausted) Report(outcome, taken.key, context.id());
    const FollowUp next = FollowUpOf(outcome);
    if (next.forget) queue_.Forget(taken.key);
    switch (next.add) {
      case FollowUp::Add::kNo:
        break;
      case FollowUp::Add::kRateLimited:
        queue_.AddRateLimited(taken.key, taken.priority);
        break;
      case FollowUp::Add::kAfter:
        queue_.AddAfter(taken.key, next.after, taken.priority);
        break;
    }
  }
  queue_.Done(taken.key);
}

// The one border between a reconciler, which is free to throw, and everything else.
Outcome Dispatcher::Call(const ObjectKey& key, ReconcileContext& context) {
  try {
    return reconciler_.Reconcile(key, context);
  } catch (const std::exception& e) {
    metrics_.panics.Increment();
    return Outcome::Failed({ErrorCode::kInternal, std::string("reconciler threw: ") + e.what()});
  } catch (...) {
    metrics_.panics.Increment();
    return Outcome::Failed({ErrorCode::kInternal, "reconciler threw what is no exception"});
  }
}

void Dispatcher::Count(const Outcome& outcome, bool exhausted) {
  switch (outcome.kind) {
    case Outcome::Kind::kDone:
      return metrics_.success.Increment();
    case Outcome::Kind::kAgain:
      return metrics_.requeue.Increment();
    case Outcome::Kind::kAgainAfter:
      return metrics_.requeue_after.Increment();
    case Outcome::Kind::kFailed:
      if (exhausted) return metrics_.requeue.Increment();
      metrics_.error.Increment();
      return metrics_.errors.Increment();
    case Outcome::Kind::kRefused:
      metrics_.error.Increment();
      metrics_.errors.Increment();
      return metrics_.terminal_errors.Increment();
  }
}

void Dispatcher::Report(const Outcome& outcome, const ObjectKey& key, const std::string& id) const {
  if (outcome.kind != Outcome::Kind::kFailed && outcome.kind != Outcome::Kind::kRefused) return;
  Log(LogLevel::kWarning, "reconcile failed",
      {{"controller", options_.controller},
       {"namespace", key.ns},
       {"name", key.name},
       {"reconcileID", id},
       {"failures", std::to_string(queue_.failures(key) + 1)},
       {"repeats", outcome.kind == Outcome::Kind::kFailed ? "true" : "false"},
       {"error", outcome.error.message}});
}

}  // namespace backfill::kube
