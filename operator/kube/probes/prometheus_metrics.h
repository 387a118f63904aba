#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "operator/kube/runtime/metric_source.h"
#include "operator/kube/runtime/metrics.h"

namespace backfill::kube {

// Metrics as Prometheus reads them. Thread-safe. Ends the process if one name is used for two types
// or with other label names than before, or if it is no name: a bug of the caller.
class PrometheusMetrics final : public MetricRegistry {
 public:
  PrometheusMetrics();
  ~PrometheusMetrics() override;

  Counter& CounterOf(std::string_view name, std::string_view what, const Labels& labels) override;
  Gauge& GaugeOf(std::string_view name, std::string_view what, const Labels& labels) override;
  Histogram& HistogramOf(std::string_view name, std::string_view what, const Labels& labels,
                         const std::vector<double>& bounds) override;

  // Publishes what it says, too. Before the first Text(); it outlives the last one.
  void Add(const MetricSource& source);

  // The text format, version 0.0.4.
  [[nodiscard]] std::string Text() const;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace backfill::kube
