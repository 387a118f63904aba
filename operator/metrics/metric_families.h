#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operator/kube/runtime/metric_source.h"
#include "operator/kube/runtime/metrics.h"

namespace backfill::metrics {

// Collects samples into families, in the order in which these are first named.
class Families {
 public:
  using Labels = kube::MetricRegistry::Labels;

  void Add(std::string_view name, std::string_view what, kube::MetricType type, Labels labels,
           double value);
  std::vector<kube::MetricFamily> Take() { return std::move(families_); }

 private:
  std::vector<kube::MetricFamily> families_;
  std::map<std::string, std::size_t> index_;
};

// Those of one object, whose labels all its series have.
class SeriesOf {
 public:
  using Labels = Families::Labels;
  using More = std::initializer_list<std::pair<const char*, std::string>>;

  SeriesOf(Labels who, Families& out) : who_(std::move(who)), out_(out) {}
  void Gauge(std::string_view name, std::string_view what, const More& more, double value) {
    out_.Add(name, what, kube::MetricType::kGauge, With(more), value);
  }
  void Counter(std::string_view name, std::string_view what, const More& more, double value) {
    out_.Add(name, what, kube::MetricType::kCounter, With(more), value);
  }

 private:
  [[nodiscard]] Labels With(const More& more) const {
    Labels labels = who_;
    for (const auto& [name, value] : more) labels[name] = value;
    return labels;
  }
  const Labels who_;
  Families& out_;
};

}  // namespace backfill::metrics
