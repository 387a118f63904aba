#pragma once

#include <atomic>
#include <chrono>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "operator/kube/runtime/own_writes.h"
#include "operator/kube/runtime/reconciler.h"
#include "operator/kube/runtime/runtime_metrics.h"
#include "operator/kube/runtime/work_queue.h"
#include "operator/kube/runtime/write_guard.h"

namespace backfill::kube {

// What becomes of a key after a reconcile (R16), as controller-runtime has it.
struct FollowUp {
  enum class Add { kNo, kRateLimited, kAfter };
  Add add = Add::kNo;
  Duration after{};
  bool forget = false;  // its failures
};
// Pure. A reconcile that used up its time or calls is repeated like one that failed, so that one
// which never gets to its end does not go round and round.
FollowUp FollowUpOf(const Outcome& outcome);

// Everything about one key that a worker has taken, without the threads: is the cache far enough,
// reconcile within bounds, follow up, count. Thread-safe; what it refers to must outlive it.
class Dispatcher {
 public:
  struct Options {
    std::string controller;
    Duration time_limit = std::chrono::seconds(30);  // R18
    int call_limit = 100;
    ReconcileContext::MayAct may_act = {};
  };

  Dispatcher(Options options, Reconciler& reconciler, const CacheView& caches, WorkQueue& queue,
             WriteGuard& guard, const Clock& clock, ControllerMetrics& metrics);

  // Ends with queue.Done(): the key must have been taken from the queue.
  void Handle(const WorkQueue::Taken& taken, const std::stop_token& stop);

 private:
  Outcome Call(const ObjectKey& key, ReconcileContext& context);
  void Count(const Outcome& outcome, bool exhausted);
  void Report(const Outcome& outcome, const ObjectKey& key, const std::string& id) const;

  const Options options_;
  Reconciler& reconciler_;
  const CacheView& caches_;
  WorkQueue& queue_;
  WriteGuard& guard_;
  const Clock& clock_;
  ControllerMetrics& metrics_;
  std::atomic<int> active_ = 0;
};

}  // namespace backfill::kube
