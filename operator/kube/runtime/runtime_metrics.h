#pragma once

#include <string>

#include "operator/kube/runtime/metrics.h"

// The metrics that controllers have everywhere, under the names of controller-runtime 0.20 and
// client-go, so that dashboards and alerts made for those work here. Each is looked up once and
// starts at zero. References are those of the registry.
namespace backfill::kube {

struct QueueMetrics {
  QueueMetrics(MetricRegistry& registry, const std::string& controller);

  Counter& adds;
  Counter& retries;
  Counter& refused;  // own: there was no room
  Gauge& depth;
  Gauge& unfinished_seconds;
  Gauge& longest_running_seconds;
  Histogram& queue_seconds;
  Histogram& work_seconds;
};

struct ControllerMetrics {
  ControllerMetrics(MetricRegistry& registry, const std::string& controller);

  Counter& success;
  Counter& requeue;
  Counter& requeue_after;
  Counter& error;
  Counter& errors;  // all of them
  Counter& terminal_errors;
  Counter& panics;
  Gauge& active_workers;
  Gauge& max_concurrent;
  Histogram& seconds;
  Counter& held_for_own_write;  // own: R21
};

struct EventMetrics {
  explicit EventMetrics(MetricRegistry& registry);

  Counter& full;    // there was no room in the queue
  Counter& spam;    // too many about one object
  Counter& failed;  // the API server did not take it
};

// 1 while this process leads.
Gauge& LeaderStatus(MetricRegistry& registry, const std::string& lease);

// rest_client_requests_total. `code` is the status, or "<error>".
Counter& RestRequests(MetricRegistry& registry, const std::string& code, const std::string& method,
                      const std::string& host);

}  // namespace backfill::kube
