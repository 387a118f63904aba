#pragma once

#include <string>
#include <vector>

#include "operator/kube/runtime/metrics.h"

namespace backfill::kube {

// Metrics as they are at the moment at which they are asked for.
enum class MetricType { kCounter, kGauge };
struct MetricSample {
  MetricRegistry::Labels labels;
  double value = 0;
};
struct MetricFamily {
  std::string name;
  std::string what;
  MetricType type = MetricType::kGauge;
  std::vector<MetricSample> samples;
};

// What is known elsewhere, and counted there: numbers with labels that come and go with what they
// are about, which a MetricRegistry keeps for ever. Asked on the threads that publish metrics,
// several at a time; must come at once. A name belongs to one source, and to no registry.
class MetricSource {
 public:
  virtual ~MetricSource() = default;
  [[nodiscard]] virtual std::vector<MetricFamily> Collect() const = 0;
};

}  // namespace backfill::kube
