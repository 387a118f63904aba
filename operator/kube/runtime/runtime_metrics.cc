#include "operator/kube/runtime/runtime_metrics.h"

#include <vector>

namespace backfill::kube {
namespace {

using Labels = MetricRegistry::Labels;

// As client-go: 10 ns to 10 s in tens.
std::vector<double> QueueBounds() {
  return {1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10};
}

// As controller-runtime.
std::vector<double> ReconcileBounds() {
  return {0.005, 0.01, 0.025, 0.05, 0.1,  0.15, 0.2,  0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6,
          0.7,   0.8,  0.9,   1.0,  1.25, 1.5,  1.75, 2.0,  2.5, 3.0,  3.5, 4.0,  4.5, 5,
          6,     7,    8,     9,    10,   15,   20,   25,   30,  40,   50,  60};
}

Labels OfQueue(const std::string& controller) {
  return {{"name", controller}, {"controller", controller}};
}
Labels OfController(const std::string& controller) { return {{"controller", controller}}; }

Counter& Reconciles(MetricRegistry& registry, const std::string& controller,
                    const std::string& result) {
  return registry.CounterOf("controller_runtime_reconcile_total",
                            "Reconciles, by controller and result",
                            {{"controller", controller}, {"result", result}});
}

Counter& EventsDropped(MetricRegistry& registry, const std::string& reason) {
  return registry.CounterOf("backfill_events_dropped_total", "Events that were not recorded",
                            {{"reason", reason}});
}

}  // namespace

QueueMetrics::QueueMetrics(MetricRegistry& registry, const std::string& controller)
    : adds(registry.CounterOf("workqueue_adds_total", "Keys added", OfQueue(controller))),
      retries(registry.CounterOf("workqueue_retries_total", "Keys added again after a failure",
                                 OfQueue(controller))),
      refused(registry.CounterOf("backfill_workqueue_refused_total",
                                 "Keys for which there was no room", OfQueue(controller))),
      depth(registry.GaugeOf("workqueue_depth", "Keys that are ready", OfQueue(controller))),
      unfinished_seconds(registry.GaugeOf("workqueue_unfinished_work_seconds",
                                          "Time spent on keys that are being worked on",
                                          OfQueue(controller))),
      longest_running_seconds(registry.GaugeOf("workqueue_longest_running_processor_seconds",
                                               "Time spent on the key that takes longest",
                                               OfQueue(controller))),
      queue_seconds(registry.HistogramOf("workqueue_queue_duration_seconds",
                                         "How long keys are ready before they are worked on",
                                         OfQueue(controller), QueueBounds())),
      work_seconds(registry.HistogramOf("workqueue_work_duration_seconds",
                                        "How long keys are worked on", OfQueue(controller),
                                        QueueBounds())) {}

ControllerMetrics::ControllerMetrics(MetricRegistry& registry, const std::string& controller)
    : success(Reconciles(registry, controller, "success")),
      requeue(Reconciles(registry, controller, "requeue")),
      requeue_after(Reconciles(registry, controller, "requeue_after")),
      error(Reconciles(registry, controller, "error")),
      errors(registry.CounterOf("controller_runtime_reconcile_errors_total",
                                "Reconciles that failed", OfController(controller))),
      terminal_errors(registry.CounterOf("controller_runtime_terminal_reconcile_errors_total",
                                         "Reconciles that failed and are not repeated",
                                         OfController(controller))),
      panics(registry.CounterOf("controller_runtime_reconcile_panics_total",
                                "Reconciles that threw", OfController(controller))),
      active_workers(registry.GaugeOf("controller_runtime_active_workers",
                                      "Reconciles that are under way", OfController(controller))),
      max_concurrent(registry.GaugeOf("controller_runtime_max_concurrent_reconciles",
                                      "Reconciles that may be under way",
                                      OfController(controller))),
      seconds(registry.HistogramOf("controller_runtime_reconcile_time_seconds",
                                   "How long reconciles take", OfController(controller),
                                   ReconcileBounds())),
      held_for_own_write(registry.CounterOf("backfill_reconciles_held_total",
                                            "Reconciles put off until the cache has our own write",
                                            OfController(controller))) {}

EventMetrics::EventMetrics(MetricRegistry& registry)
    : full(EventsDropped(registry, "full")),
      spam(EventsDropped(registry, "spam")),
      failed(EventsDropped(registry, "failed")) {}

Gauge& LeaderStatus(MetricRegistry& registry, const std::string& lease) {
  return registry.GaugeOf("leader_election_master_status", "1 while this process leads",
                          {{"name", lease}});
}

Counter& RestRequests(MetricRegistry& registry, const std::string& code, const std::string& method,
                      const std::string& host) {
  return registry.CounterOf("rest_client_requests_total", "Requests to the API server",
                            {{"code", code}, {"method", method}, {"host", host}});
}

}  // namespace backfill::kube
