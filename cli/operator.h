#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>

#include "base/result.h"
#include "operator/kube/object_store.h"
#include "operator/reconcile/reconciler.h"

namespace backfill::cli {

struct OperatorSettings {
  std::filesystem::path state_dir;
  std::filesystem::path workers_log;
  std::filesystem::path decisions_log;  // of the governor
  std::filesystem::path sent_dir;       // where workers note what they send
  kube::ObjectRef backfill;
  int alive_lock_fd = -1;          // workers inherit it
  bool predecessors_gone = false;  // every worker of an earlier run has ended for certain
  int max_replicas = 3000;
  reconcile::PlanningProgress planning = nullptr;  // called from within Step
};

// The operator as `run` drives it: one step at a time, until nothing is left to do.
class Operator {
 public:
  virtual ~Operator() = default;
  // As reconcile::Reconciler::Reconcile and Release; for one thread.
  virtual Result<reconcile::ReconcileOutcome> Step(const kube::ObjectRef& ref,
                                                   std::stop_token stop) = 0;
  virtual Status Release(const kube::ObjectRef& ref) = 0;
  // Ends all workers at once, without a word. Any thread, at any time.
  virtual void KillWorkers() = 0;
};

}  // namespace backfill::cli
