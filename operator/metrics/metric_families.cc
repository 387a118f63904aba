#include "operator/metrics/metric_families.h"

namespace backfill::metrics {

void Families::Add(std::string_view name, std::string_view what, kube::MetricType type,
                   Labels labels, double value) {
  const auto [at, added] = index_.try_emplace(std::string(name), families_.size());
  if (added)
    families_.push_back(
        {.name = std::string(name), .what = std::string(what), .type = type, .samples = {}});
  families_[at->second].samples.push_back({.labels = std::move(labels), .value = value});
}

}  // namespace backfill::metrics
