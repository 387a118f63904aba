#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "operator/kube/runtime/metrics.h"

namespace backfill::kube {

// Keeps what was counted, by name{label=value,..}. Thread-safe.
class RecordedMetrics final : public MetricRegistry {
 public:
  Counter& CounterOf(std::string_view name, std::string_view, const Labels& labels) override {
    return SeriesOf(name, labels);
  }
  Gauge& GaugeOf(std::string_view name, std::string_view, const Labels& labels) override {
    return SeriesOf(name, labels);
  }
  Histogram& HistogramOf(std::string_view name, std::string_view, const Labels& labels,
                         const std::vector<double>&) override {
    return SeriesOf(name, labels);
  }

  // Of a histogram: how many were observed. -1: there is no such series.
  double Value(const std::string& series) {
    MutexLock l(mu_);
    const auto found = series_.find(series);
    return found == series_.end() ? -1 : found->second->value();
  }

 private:
  class Series final : public Counter, public Gauge, public Histogram {
   public:
    void Add(double amount) override {
      MutexLock l(mu_);
      value_ += amount;
    }
    void Set(double value) override {
      MutexLock l(mu_);
      value_ = value;
    }
    void Observe(double) override { Add(1); }
    double value() {
      MutexLock l(mu_);
      return value_;
    }

   private:
    Mutex mu_;
    double value_ GUARDED_BY(mu_) = 0;
  };

  Series& SeriesOf(std::string_view name, const Labels& labels) {
    std::string series(name);
    for (const auto& [label, value] : labels) {
      series += (series.size() == name.size() ? "{" : ",") + label + "=" + value;
    }
    if (!labels.empty()) series += "}";
    MutexLock l(mu_);
    auto& kept = series_[series];
    if (!kept) kept = std::make_unique<Series>();
    return *kept;
  }

  Mutex mu_;
  std::map<std::string, std::unique_ptr<Series>> series_ GUARDED_BY(mu_);
};

}  // namespace backfill::kube
