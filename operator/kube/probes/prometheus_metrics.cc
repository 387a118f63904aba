#include "operator/kube/probes/prometheus_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <cstdlib>
#include <exception>
#include <map>
#include <utility>

#include "base/log.h"
#include "base/mutex.h"

namespace backfill::kube {
namespace {

class PrometheusCounter final : public Counter {
 public:
  explicit PrometheusCounter(prometheus::Counter& counter) : counter_(counter) {}
  void Add(double amount) override { counter_.Increment(amount); }

 private:
  prometheus::Counter& counter_;
};

class PrometheusGauge final : public Gauge {
 public:
  explicit PrometheusGauge(prometheus::Gauge& gauge) : gauge_(gauge) {}
  void Set(double value) override { gauge_.Set(value); }

 private:
  prometheus::Gauge& gauge_;
};

class PrometheusHistogram final : public Histogram {
 public:
  explicit PrometheusHistogram(prometheus::Histogram& histogram) : histogram_(histogram) {}
  void Observe(double value) override { histogram_.Observe(value); }

 private:
  prometheus::Histogram& histogram_;
};

using SeriesName = std::pair<std::string, MetricRegistry::Labels>;

// The library throws at what is a bug of the caller.
template <typename Register>
auto& OrAbort(std::string_view name, const Register& make) {
  try {
    return make();
  } catch (const std::exception& e) {
    Log(LogLevel::kError, "a metric cannot be registered",
        {{"metric", std::string(name)}, {"error", e.what()}});
    std::abort();
  }
}

prometheus::MetricFamily ToPrometheus(const MetricFamily& family) {
  prometheus::MetricFamily out;
  out.name = family.name;
  out.help = family.what;
  out.type = family.type == MetricType::kCounter ? prometheus::MetricType::Counter
                                                 : prometheus::MetricType::Gauge;
  for (const MetricSample& sample : family.samples) {
    prometheus::ClientMetric& metric = out.metric.emplace_back();
    for (const auto& [name, value] : sample.labels) metric.label.push_back({name, value});
    metric.counter.value = sample.value;
    metric.gauge.value = sample.value;
  }
  return out;
}

}  // namespace

struct PrometheusMetrics::State {
  prometheus::Registry registry;
  Mutex mu;
  std::map<SeriesName, PrometheusCounter> counters GUARDED_BY(mu);
  std::map<SeriesName, PrometheusGauge> gauges GUARDED_BY(mu);
  std::map<SeriesName, PrometheusHistogram> histograms GUARDED_BY(mu);
  std::vector<const MetricSource*> sources GUARDED_BY(mu);
};

PrometheusMetrics::PrometheusMetrics() : state_(std::make_unique<State>()) {}
PrometheusMetrics::~PrometheusMetrics() = default;

Counter& PrometheusMetrics::CounterOf(std::string_view name, std::string_view what,
                                      const Labels& labels) {
  prometheus::Counter& counter = OrAbort(name, [&]() -> prometheus::Counter& {
    return prometheus::BuildCounter()
        .Name(std::string(name))
        .Help(std::string(what))
        .Register(state_->registry)
        .Add(labels);
  });
  MutexLock l(state_->mu);
  return state_->counters.try_emplace({std::string(name), labels}, counter).first->second;
}

Gauge& PrometheusMetrics::GaugeOf(std::string_view name, std::string_view what,
                                  const Labels& labels) {
  prometheus::Gauge& gauge = OrAbort(name, [&]() -> prometheus::Gauge& {
    return prometheus::BuildGauge()
        .Name(std::string(name))
        .Help(std::string(what))
        .Register(state_->registry)
        .Add(labels);
  });
  MutexLock l(state_->mu);
  return state_->gauges.try_emplace({std::string(name), labels}, gauge).first->second;
}

Histogram& PrometheusMetrics::HistogramOf(std::string_view name, std::string_view what,
                                          const Labels& labels, const std::vector<double>& bounds) {
  prometheus::Histogram& histogram = OrAbort(name, [&]() -> prometheus::Histogram& {
    return prometheus::BuildHistogram()
        .Name(std::string(name))
        .Help(std::string(what))
        .Register(state_->registry)
        .Add(labels, bounds);
  });
  MutexLock l(state_->mu);
  return state_->histograms.try_emplace({std::string(name), labels}, histogram).first->second;
}

void PrometheusMetrics::Add(const MetricSource& source) {
  MutexLock l(state_->mu);
  state_->sources.push_back(&source);
}

std::string PrometheusMetrics::Text() const {
  std::vector<prometheus::MetricFamily> families = state_->registry.Collect();
  std::vector<const MetricSource*> sources;
  {
    MutexLock l(state_->mu);
    sources = state_->sources;
  }
  for (const MetricSource* source : sources) {
    for (const MetricFamily& family : source->Collect()) families.push_back(ToPrometheus(family));
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace backfill::kube
