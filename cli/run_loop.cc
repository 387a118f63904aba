#include "cli/run_loop.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "cli/terminal_text.h"

namespace backfill::cli {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLeastGap =
    10ms;  // between steps: our own writes announce themselves as changes, too
constexpr Duration kRetry = 1s;  // after a step that failed
constexpr Duration kFailingFor =
    10min;  // with steps that fail: then nobody who waits is helped by more

void Rest(Duration d, const std::stop_token& stop) {
  std::mutex mu;
  std::condition_variable_any cv;
  std::unique_lock lock(mu);
  cv.wait_for(lock, stop, d, [] { return false; });
}

// Whether trying again can help.
bool IsFinal(const Error& error) {
  switch (error.code) {
    case ErrorCode::kNotFound:
    case ErrorCode::kInternal:
      return true;
    case ErrorCode::kConflict:
    case ErrorCode::kExpired:
    case ErrorCode::kInvalid:
    case ErrorCode::kPermission:
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadline:
    case ErrorCode::kAborted:
      return false;
  }
  return false;
}

class Loop {
 public:
  Loop(Operator& op, kube::ObjectStore& store, const kube::ObjectRef& ref, ProgressDisplay& display,
       const Clock& clock, std::stop_token stop)
      : op_(op),
        store_(store),
        ref_(ref),
        display_(display),
        clock_(clock),
        stop_(std::move(stop)) {}

  RunOutcome Run() {
    while (!stop_.stop_requested()) {
      // Before the step: what changes during it wakes us up afterwards.
      if (const auto version = store_.WaitForChange(seen_, clock_.Steady(), stop_); version.ok())
        seen_ = *version;
      Result<reconcile::ReconcileOutcome> step = op_.Step(ref_, stop_);
      Duration pause = kRetry;
      if (!step.ok()) {
        if (stop_.stop_requested()) break;
        const Time now = clock_.Steady();
        if (!failing_since_) failing_since_ = now;
        if (IsFinal(step.error()) || now - *failing_since_ >= kFailingFor) {
          out_.error = step.error();
          break;
        }
        notes_ = {Printable(step.error().message) + "; trying again"};
      } else {
        failing_since_.reset();
        notes_.clear();
        pause = step->requeue_after;
        const api::Backfill& seen = out_.backfill.emplace(std::move(step->backfill));
        if (IsOver(seen, step->settled)) break;
      }
      Show();
      Wait(pause);
    }
    return std::move(out_);
  }

 private:
  bool IsOver(const api::Backfill& backfill, bool settled) {
    if (PausedBy(backfill).empty()) paused_from_the_beginning_ = false;
    const std::optional<Ending> ending = FindEnding(backfill);
    if (!ending) {
      const api::Condition* ready = FindCondition(backfill.status, "Ready");
      if (!settled || ready == nullptr || ready->status != api::ConditionStatus::kFalse)
        return false;
      out_.error = Error{ErrorCode::kAborted, ready->reason + ": " + ready->message};
      return true;
    }
    const bool over = [&] {
      switch (*ending) {
        case Ending::kCompleted:
        case Ending::kFailed:
        case Ending::kDryRunDone:
          return settled;
        case Ending::kStalled:
          return true;  // the workers that still live have nothing to do
        case Ending::kPaused:
          return settled && paused_from_the_beginning_;
      }
      return settled;
    }();
    if (over) out_.ending = ending;
    return over;
  }

  void Show() {
    if (out_.backfill) display_.Show(*out_.backfill, notes_);
  }

  // Until something changes, or for `pause` at most (zero: until then), while the display stays
  // alive.
  void Wait(Duration pause) {
    const Time begin = clock_.Steady();
    Rest(kLeastGap, stop_);
    while (!stop_.stop_requested()) {
      const Time now = clock_.Steady();
      if (pause > Duration::zero() && now - begin >= pause) return;
      Time until = now + ProgressDisplay::kRedrawPeriod;
      if (pause > Duration::zero()) until = std::min(until, begin + pause);
      const auto version = store_.WaitForChange(seen_, until, stop_);
      if (!version.ok()) {
        Rest(kRetry, stop_);
        return;
      }
      if (*version != seen_) return;
      Show();
    }
  }

  Operator& op_;
  kube::ObjectStore& store_;
  const kube::ObjectRef& ref_;
  ProgressDisplay& display_;
  const Clock& clock_;
  const std::stop_token stop_;
  std::uint64_t seen_ = 0;
  bool paused_from_the_beginning_ = true;
  std::optional<Time> failing_since_;
  std::vector<std::string> notes_;
  RunOutcome out_;
};

}  // namespace

RunOutcome RunToItsEnd(Operator& op, kube::ObjectStore& store, const kube::ObjectRef& ref,
                       ProgressDisplay& display, const Clock& clock, std::stop_token stop) {
  return Loop(op, store, ref, display, clock, std::move(stop)).Run();
}

}  // namespace backfill::cli
