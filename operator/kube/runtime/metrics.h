#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace backfill::kube {

// What is counted, without the library that publishes it. Thread-safe; a call takes nanoseconds and
// never blocks.
class Counter {
 public:
  virtual ~Counter() = default;
  virtual void Add(double amount) = 0;
  void Increment() { Add(1); }
};
class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void Set(double value) = 0;
};
class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void Observe(double value) = 0;
};

// Where metrics are registered. A metric that is asked for exists at once, at zero, so that a rate
// over it has a beginning; asking again for the same name and labels gives the same one. References
// live as long as the registry. Thread-safe. Labels must have few values: never a key, a message.
class MetricRegistry {
 public:
  using Labels = std::map<std::string, std::string>;

  virtual ~MetricRegistry() = default;
  virtual Counter& CounterOf(std::string_view name, std::string_view what,
                             const Labels& labels) = 0;
  virtual Gauge& GaugeOf(std::string_view name, std::string_view what, const Labels& labels) = 0;
  // `bounds` ascend.
  virtual Histogram& HistogramOf(std::string_view name, std::string_view what, const Labels& labels,
                                 const std::vector<double>& bounds) = 0;
};

// Counts nothing.
class NoMetrics final : public MetricRegistry {
 public:
  Counter& CounterOf(std::string_view, std::string_view, const Labels&) override {
    return counter_;
  }
  Gauge& GaugeOf(std::string_view, std::string_view, const Labels&) override { return gauge_; }
  Histogram& HistogramOf(std::string_view, std::string_view, const Labels&,
                         const std::vector<double>&) override {
    return histogram_;
  }

 private:
  struct NoCounter final : Counter {
    void Add(double) override {}
  } counter_;
  struct NoGauge final : Gauge {
    void Set(double) override {}
  } gauge_;
  struct NoHistogram final : Histogram {
    void Observe(double) override {}
  } histogram_;
};

}  // namespace backfill::kube
