#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "operator/kube/runtime/dispatcher.h"
#include "operator/kube/runtime/own_writes.h"
#include "operator/kube/runtime/reconciler.h"
#include "operator/kube/runtime/work_queue.h"
#include "operator/kube/runtime/write_guard.h"

namespace backfill::kube {

struct ControllerOptions {
  std::string name = {};  // in metrics and logs
  int workers = 4;        // R18
  Duration time_limit = std::chrono::seconds(30);
  int call_limit = 100;
  // Asked before each call of a reconcile: LeaderElection::IsLeaderAt (R38). Absent: always.
  std::function<bool(Time now)> may_act = {};
  WorkQueue::Options queue = {};
  WriteGuard::Options guard = {};
  // Adds every key there is, with low priority: after the queue had no room for some.
  std::function<void(WorkQueue&)> add_all = {};

  [[nodiscard]] std::string Validate() const;  // empty: fine
};

// Threads that reconcile the keys of one kind, once all caches have had their first list (R13).
// Handlers add keys to queue() at any time, also before Start() and after Stop().
//
// Thread-safe, but for Start() and Stop(), which are of one thread. Start() once. Stop() waits for
// the reconciles under way, which see their stop token; it may be called again. Reconciler, caches,
// clock and metrics must outlive it.
class Controller {
 public:
  // Ends the process if the options are invalid.
  Controller(ControllerOptions options, Reconciler& reconciler, const CacheView& caches,
             const Clock& clock, MetricRegistry& metrics);
  ~Controller() { Stop(); }
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  void Start();
  void Stop();
  // Each second or so: gauges, and what was lost for want of room.
  void Tick();

  [[nodiscard]] WorkQueue& queue() { return queue_; }
  [[nodiscard]] WriteGuard& guard() { return guard_; }
  [[nodiscard]] const std::string& name() const { return options_.name; }
  // Of the reconciles under way: how long the longest has taken so far (R40).
  [[nodiscard]] Duration LongestReconcile() const { return queue_.Look().running.longest; }

 private:
  void Work(const std::stop_token& stop);
  bool WaitForCaches(const std::stop_token& stop);

  const ControllerOptions options_;
  const CacheView& caches_;
  WorkQueue queue_;
  WriteGuard guard_;
  ControllerMetrics metrics_;
  Dispatcher dispatcher_;
  std::vector<std::jthread> workers_;  // last: they use all of the above
};

}  // namespace backfill::kube
