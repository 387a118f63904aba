#pragma once

#include <functional>
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
#include "operator/throttle/alarm.h"

namespace backfill::reconcile {

struct ObservedBudgetsOptions {
  // Has a folder for each name that budgets give as credentials. Empty: there are none.
  std::string credentials_folder = {};
  observe::ObserverOptions observer = {};
  // A new sample is over a budget of that Backfill, which should be looked at now. Called on a
  // thread of the observer, without a lock. It must return soon.
  std::function<void(const std::string& ns, const std::string& name)> on_alarm = {};
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
  std::vector<std::map<std::string, throttle::Observation>> LatestPartitions(
      const std::string& uid) override;

  // Where the coordinator puts what workers say, by uid.
  observe::SignalBoard& signals() { return signals_; }
  // Nothing is asked any more. Idempotent.
  void Stop();

 private:
  struct Watched {
    std::string ns, name;
    std::vector<api::Budget> asked;
    std::vector<throttle::Budget> bounds;
    throttle::Alarm alarm;
  };
  void OnObserved(const std::string& uid);

  const ObservedBudgetsOptions options_;
  observe::RestServers servers_;
  observe::SignalBoard signals_;
  observe::MetricSources sources_;
  observe::Observer observer_;
  Mutex mu_;
  bool started_ GUARDED_BY(mu_) = false;
  bool stopped_ GUARDED_BY(mu_) = false;
  std::map<std::string, Watched> watched_ GUARDED_BY(mu_);
};

}  // namespace backfill::reconcile
