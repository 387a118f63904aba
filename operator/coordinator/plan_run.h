#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "backfill/v1/coordinator.pb.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "operator/coordinator/leadership.h"
#include "operator/coordinator/stage_run.h"
#include "operator/plan/found_source.h"
#include "operator/reconcile/stage_host.h"

namespace backfill::coordinator {

// One open planning: tells its worker what to read, and takes in what it finds. There is one
// worker, "plan-0"; of two streams the later one counts, since a worker that comes back is the same
// process or, as the identities see to, a newer pod. What it sends is taken in whole, from its
// beginning, on each stream.
//
// What was found is in memory alone. It becomes a plan when the reconciler writes ledger and
// status; whoever leads by then is sent it again. While leadership is not certain nothing is taken
// in and nothing leaves (R38).
//
// Not thread-safe, no I/O, never blocks: one loop calls it. The references must outlive it.
class PlanRun {
 public:
  PlanRun(v1::Workload workload, Duration report_period, const Clock& clock,
          const Leadership& leadership, MessageSink& sink);

  void OnMessage(SessionId session, const v1::WorkerMessage& message);
  void OnGone(SessionId session);
  // Its stream ends; the worker comes back until its pool stops it.
  void Close();

  // `workload`: what the spec means now, serialised.
  [[nodiscard]] reconcile::PlanningSnapshot Snapshot(const std::string& workload) const;
  // As reconcile::StageHost::Found().
  [[nodiscard]] Result<plan::FoundSource> Found() const;

 private:
  void OnHello(SessionId session, const v1::WorkerMessage& message);
  void OnProgress(const v1::PlanProgress& progress);
  void OnPart(const v1::PlanPart& part);
  void OnEnd(const v1::PlanEnd& end);
  void Heard() { heard_ = clock_.Steady(); }
  void Ends(Error why);
  void Drop(const Error& why);
  void Send(v1::CoordinatorMessage message, std::uint64_t answers);

  const v1::Workload workload_;
  const std::string serialised_;
  const Duration report_period_;
  const Clock& clock_;
  const Leadership& leadership_;
  MessageSink& sink_;

  std::optional<SessionId> session_;
  plan::FoundSourceIntake intake_;
  v1::PlanProgress read_;
  Time heard_;  // of something new
  std::optional<Result<plan::FoundSource>> found_;
};

}  // namespace backfill::coordinator
