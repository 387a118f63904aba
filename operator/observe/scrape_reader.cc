#include "operator/observe/scrape_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "operator/observe/answers.h"
#include "operator/observe/histogram_quantile.h"
#include "operator/observe/metric_text.h"

namespace backfill::observe {
namespace {

using throttle::Answer;

// Numbers that one query may take out of a text, and keeps for some 70 points in time.
constexpr std::size_t kMaxNumbers = 2048;
constexpr std::string_view kBucketSuffix = "_bucket";

SeriesSelector SelectorOf(const ScrapeQuery& query) {
  auto parsed = ParseSeriesSelector(query.series);
  SeriesSelector selector = parsed.ok() ? std::move(*parsed) : SeriesSelector{};
  if (query.as == ScrapeAs::kQuantile && !selector.name.ends_with(kBucketSuffix))
    selector.name += kBucketSuffix;
  return selector;
}

}  // namespace

struct ScrapeReader::Found {
  struct Numbers {
    std::vector<double> bounds;  // of a histogram, rising; else empty
    std::vector<double> values;
  };
  std::map<std::string, Numbers> series;  // by labels
  std::size_t numbers = 0;
  std::string problem;
};

ScrapeReader::ScrapeReader(ScrapeQuery query)
    : query_(std::move(query)), selector_(SelectorOf(query_)) {}

Reply ScrapeReader::Read(std::string_view text, Time now) {
  const bool histogram = query_.as == ScrapeAs::kQuantile;
  std::map<std::string, std::map<double, double>> buckets;
  Found found;
  const auto take = [&](const MetricSample& sample) {
    if (sample.name != selector_.name || !selector_.MatchesLabels(sample)) return;
    if (++found.numbers > kMaxNumbers) return;
    std::string labels = LabelsWithout(sample, histogram ? "le" : "");
    if (!histogram) {
      auto [it, fresh] = found.series.try_emplace(std::move(labels));
      it->second.values = {sample.value};
      if (!fresh) found.problem = "a series stands in the metrics twice: " + it->first;
      return;
    }
    double upper = 0;
    if (!ParseMetricNumber(sample.Get("le"), upper) || std::isnan(upper)) {
      found.problem = "a bucket without a bound le: " + labels;
    } else if (auto& of = buckets[labels]; !of.try_emplace(upper, sample.value).second) {
      found.problem = "a bucket stands in the metrics twice: " + labels;
    }
  };
  if (const Status parsed = ParseMetricText(text, take); !parsed.ok())
    return ProviderFailed(now, "the metrics cannot be read: " + parsed.error().message);
  if (!found.problem.empty()) return BadQuestion(now, found.problem);
  if (found.numbers > kMaxNumbers) {
    return BadQuestion(now,
                       fmt::format("more than {} samples match; give more labels", kMaxNumbers));
  }
  for (auto& [labels, of] : buckets) {
    Found::Numbers& numbers = found.series[labels];
    for (const auto& [upper, count] : of) {
      numbers.bounds.push_back(upper);
      numbers.values.push_back(count);
    }
  }
  if (found.series.size() > 1 && query_.reduce == Reduce::kNone) {
    return BadQuestion(now,
                       fmt::format("{} series where one is needed: {}, {}; give more labels, "
                                   "or set reduce",
                                   found.series.size(), Excerpt(found.series.begin()->first, 50),
                                   Excerpt(std::next(found.series.begin())->first, 50)));
  }
  if (query_.as != ScrapeAs::kValue) return GrowthOf(found, now);
  return found.series.empty() ? None(now) : ValueOf(found, now);
}

Reply ScrapeReader::None(Time now) const {
  return NoData(now, "the metrics have no series " + ShownQuery(query_));
}

Reply ScrapeReader::ValueOf(const Found& found, Time now) const {
  std::vector<double> values;
  for (const auto& [labels, numbers] : found.series) {
    values.push_back(numbers.values.front());
    if (!std::isfinite(values.back()))
      return NotANumber(now, "the value is NaN or infinite: " + labels);
  }
  return ValueAt(Reduced(query_.reduce, values), now);
}

Reply ScrapeReader::GrowthOf(const Found& found, Time now) {
  std::erase_if(series_, [&](const auto& s) { return !found.series.contains(s.first); });
  if (found.series.empty()) return None(now);
  bool restarted = false;
  std::vector<Grown> grown;
  for (const auto& [labels, numbers] : found.series) {
    if (!std::ranges::all_of(numbers.values, [](double v) { return std::isfinite(v); })) {
      series_.erase(labels);
      return NotANumber(now, "a counter is NaN or infinite: " + labels);
    }
    const auto it =
        series_.try_emplace(labels, Series{numbers.bounds, SampleWindow(query_.window)}).first;
    Series& series = it->second;
    if (series.bounds != numbers.bounds) {  // another version of the target
      series = {numbers.bounds, SampleWindow(query_.window)};
      restarted = true;
    }
    restarted |= !series.window.Add(numbers.values, now);
    if (auto growth = series.window.Grown()) grown.push_back({&series.bounds, std::move(*growth)});
  }
  if (grown.empty()) return NotYet(restarted, now);
  Reply reply;
  if (query_.as == ScrapeAs::kQuantile) {
    reply = QuantileOf(grown, now);
  } else {
    std::vector<double> rates;
    for (const auto& [bounds, growth] : grown)
      rates.push_back(growth.counters.front() / std::chrono::duration<double>(growth.over).count());
    reply = ValueAt(Reduced(query_.reduce, rates), now);
  }
  if (reply.observation.answer == Answer::kValue) last_ = reply.observation;
  return reply;
}

Reply ScrapeReader::QuantileOf(const std::vector<Grown>& grown, Time now) const {
  const auto append = [](const Grown& one, std::vector<Bucket>& out) {
    for (std::size_t i = 0; i < one.bounds->size(); ++i)
      out.push_back({(*one.bounds)[i], one.growth.counters[i]});
  };
  const auto is_idle = [](const Grown& one) { return !(one.growth.counters.back() > 0); };
  std::vector<double> quantiles;
  if (query_.reduce == Reduce::kSum) {
    std::vector<Bucket> all;
    for (const Grown& one : grown) append(one, all);
    quantiles.push_back(HistogramQuantile(query_.quantile, all));
  } else {
    for (const Grown& one : grown) {
      if (is_idle(one)) continue;  // what saw nothing has no say
      std::vector<Bucket> buckets;
      append(one, buckets);
      quantiles.push_back(HistogramQuantile(query_.quantile, buckets));
    }
  }
  if (quantiles.empty() || !std::isfinite(Reduced(query_.reduce, quantiles))) {
    return NotANumber(now, std::ranges::all_of(grown, is_idle)
                               ? "nothing was observed within the window"
                               : "the histogram has no bucket le=\"+Inf\" and another one");
  }
  return ValueAt(Reduced(query_.reduce, quantiles), now);
}

Reply ScrapeReader::NotYet(bool restarted, Time now) const {
  if (last_) {
    // An implausible sample is dropped; the one before it goes on ageing.
    Reply reply{.observation = *last_};
    reply.observation.detail =
        restarted ? "the counter went backwards: its window begins anew" : "its window fills again";
    return reply;
  }
  return NoData(now,
                "the window is not filled yet: a rate needs two samples, a quarter of it "
                "apart");
}

}  // namespace backfill::observe
