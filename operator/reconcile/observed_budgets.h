#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/observe/observer.h"
#include "operator/observe/rest_servers.h"
#include "operator/observe/source_factory.h"
#include "operator/observe/worker_signals.h"
#include "operator/reconcile/budget_readings.h"

namespace backfill::reconcile {

struct ObservedBudgetsOptions {
  // Has a folder for each name that budgets give as credentials. Empty: there are none.
  std::string credentials_folder = {};
  observe::ObserverOptions observer = {};
};

// Asks Prometheus, targets and workers by an Observer of its own, whose threads begin with the
// first budget. Thread-safe; the clock must outlive it.
class ObservedBudgets final : public BudgetReadings {
 public:
  ObservedBudgets(const ObservedBudgetsOptions& options, const Clock& clock);
  ~ObservedBudgets() override;

  Status Watch(const api::Backfill& backfill) override;
  void Forget(const std::string& uid) override;
  std::vector<throttle::Observation> Latest(const std::string& uid) override;

  // Where the coordinator puts what workers say, by uid.
  observe::SignalBoard& signals() { return signals_; }
  // Nothing is asked any more. Idempotent.
  void Stop();

 private:
  observe::RestServers servers_;
  observe::SignalBoard signals_;
  observe::MetricSources sources_;
  observe::Observer observer_;
  Mutex mu_;
  bool started_ GUARDED_BY(mu_) = false;
  bool stopped_ GUARDED_BY(mu_) = false;
  std::map<std::string, std::vector<api::Budget>> watched_ GUARDED_BY(mu_);
};

}  // namespace backfill::reconcile
