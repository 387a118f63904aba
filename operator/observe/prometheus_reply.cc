#include "operator/observe/prometheus_reply.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "operator/kube/client/bounded_json.h"
#include "operator/observe/answers.h"
#include "operator/observe/metric_text.h"

namespace backfill::observe {
namespace {

using nlohmann::json;
using throttle::Answer;

QueryReply Failed(std::string detail, bool provider_failed) {
  return {.answer = Answer::kError, .detail = Excerpt(detail), .provider_failed = provider_failed};
}

const json* Member(const json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() ? nullptr : &*it;
}

std::string Text(const json& object, const char* key) {
  const json* member = Member(object, key);
  return member != nullptr && member->is_string() ? member->get_ref<const std::string&>()
                                                  : std::string();
}

struct Point {
  double at = 0;
  double value = 0;
};

// [ 1435781451.781, "1" ]
std::optional<Point> PointOf(const json* pair) {
  Point point;
  if (pair == nullptr || !pair->is_array() || pair->size() != 2 || !(*pair)[0].is_number() ||
      !(*pair)[1].is_string() ||
      !ParseMetricNumber((*pair)[1].get_ref<const std::string&>(), point.value)) {
    return std::nullopt;
  }
  point.at = (*pair)[0].get<double>();
  return std::isfinite(point.at) ? std::optional(point) : std::nullopt;
}

std::string SeriesName(const json& series) {
  const json* metric = Member(series, "metric");
  std::string out = "{";
  if (metric == nullptr || !metric->is_object()) return out + "}";
  for (const auto& [name, value] : metric->items()) {
    if (out.size() > 60) break;
    if (!value.is_string()) continue;
    out += fmt::format("{}{}=\"{}\"", out.size() > 1 ? "," : "", name,
                       value.get_ref<const std::string&>());
  }
  return Excerpt(out + "}", 60);
}

QueryReply Number(const std::vector<Point>& points, Reduce reduce) {
  std::vector<double> values;
  double oldest = points.front().at;
  for (const Point& p : points) {
    if (!std::isfinite(p.value)) {
      return {.answer = Answer::kNotANumber,
              .detail = fmt::format("the value is {}{}",
                                    std::isnan(p.value) ? "NaN"
                                    : p.value > 0       ? "+Inf"
                                                        : "-Inf",
                                    points.size() > 1 ? " in one of several series" : "")};
    }
    values.push_back(p.value);
    oldest = std::min(oldest, p.at);
  }
  const double value = Reduced(reduce, values);
  if (!std::isfinite(value))
    return {.answer = Answer::kNotANumber, .detail = "the series together are too large a number"};
  return {.answer = Answer::kValue, .value = value, .evaluated_at = oldest};
}

QueryReply VectorReply(const json& result, Reduce reduce) {
  if (result.empty()) return {.answer = Answer::kNoData, .detail = "the query answers no series"};
  if (result.size() > 1 && reduce == Reduce::kNone) {
    return Failed(
        fmt::format("the query answers {} series where one is needed: {}, {}; aggregate in the "
                    "query, or set reduce",
                    result.size(), SeriesName(result[0]), SeriesName(result[1])),
        false);
  }
  std::vector<Point> points;
  for (const json& series : result) {
    const auto point = PointOf(Member(series, "value"));
    if (!point) {
      return Failed(Member(series, "histogram") != nullptr
                        ? "the query answers a native histogram; take histogram_quantile() of it"
                        : "a series without a value in Prometheus' answer",
                    false);
    }
    points.push_back(*point);
  }
  return Number(points, result.size() > 1 ? reduce : Reduce::kNone);
}

// What there is to say of one of several values alone.
throttle::Observation ObservationOf(const Point& point) {
  if (std::isfinite(point.value)) {
    return {.answer = Answer::kValue, .value = point.value, .detail = ""};
  }
  return {.answer = Answer::kNotANumber, .detail = "the value of this partition is no number"};
}

QueryReply PartitionReply(const json& result, Reduce reduce, std::string_view label) {
  if (result.empty()) return {.answer = Answer::kNoData, .detail = "the query answers no series"};
  if (result.size() > kMaxPartitions) {
    return Failed(fmt::format("the query answers {} series, and at most {} partitions can be told "
                              "apart; aggregate by ({})",
                              result.size(), kMaxPartitions, label),
                  false);
  }
  PartitionObservations partitions;
  std::vector<Point> numbers, all;
  for (const json& series : result) {
    const json* metric = Member(series, "metric");
    const std::string name = metric == nullptr ? "" : Text(*metric, std::string(label).c_str());
    if (name.empty()) {
      return Failed(fmt::format("a series without the label {}: {}", label, SeriesName(series)),
                    false);
    }
    if (name.size() > kMaxPartitionName) {
      return Failed(fmt::format("a partition's name has more than {} bytes: {}", kMaxPartitionName,
                                Excerpt(name, 40)),
                    false);
    }
    const auto point = PointOf(Member(series, "value"));
    if (!point) return Failed("a series without a value in Prometheus' answer", false);
    if (!partitions.emplace(name, ObservationOf(*point)).second) {
      return Failed(fmt::format("several series of the partition {}; aggregate by ({})",
                                Excerpt(name, 40), label),
                    false);
    }
    all.push_back(*point);
    if (std::isfinite(point->value)) numbers.push_back(*point);
  }
  QueryReply reply = Number(numbers.empty() ? all : numbers, reduce);
  reply.partitions = std::move(partitions);
  return reply;
}

QueryReply DataReply(const json& data, Reduce reduce, std::string_view partition_label) {
  const std::string type = Text(data, "resultType");
  const json* result = Member(data, "result");
  if (type == "vector" && result != nullptr && result->is_array()) {
    return partition_label.empty() ? VectorReply(*result, reduce)
                                   : PartitionReply(*result, reduce, partition_label);
  }
  if (type == "scalar" && !partition_label.empty())
    return Failed(fmt::format("the query answers one number, without a label {}", partition_label),
                  false);
  if (type == "scalar") {
    const auto point = PointOf(result);
    return point ? Number({*point}, Reduce::kNone)
                 : Failed("a scalar without a value in Prometheus' answer", false);
  }
  if (type == "matrix")
    return Failed("the query answers a range of values; take rate() or last_over_time() of it",
                  false);
  if (type == "string") return Failed("the query answers a text, not a number", false);
  return Failed("an answer that is not one of Prometheus", true);
}

void AddWarnings(const json& document, QueryReply& reply) {
  const json* warnings = Member(document, "warnings");
  if (reply.answer != Answer::kValue || warnings == nullptr || !warnings->is_array() ||
      warnings->empty() || !warnings->front().is_string()) {
    return;
  }
  reply.detail = Excerpt("warning: " + warnings->front().get_ref<const std::string&>());
}

}  // namespace

QueryReply ReadQueryReply(int status, std::string_view body, Reduce reduce,
                          std::string_view partition_label) {
  if (status >= 300 && status < 400)
    return Failed(fmt::format("status {}: redirects are not followed", status), true);
  if (status == 401 || status == 403)
    return Failed(fmt::format("status {}: the credentials are not accepted", status), true);
  const Result<kube::BoundedJson> document = kube::ParseBounded(body, kube::Envelope::kNone);
  const bool readable =
      document.ok() && !document->too_deep && Member(document->value, "status") != nullptr;
  const bool good = status >= 200 && status < 300;
  if (!readable) {
    // A page of a proxy. What it says may repeat what was sent, and helps nobody.
    const std::size_t first = std::min(body.find_first_not_of(" \t\r\n"), body.size());
    const bool html = body.substr(first).starts_with('<');
    return Failed(fmt::format("status {}{}", status,
                              html    ? " with an HTML page: not Prometheus"
                              : !good ? ""
                                      : " with an answer that is not one of Prometheus"),
                  true);
  }
  if (!good || Text(document->value, "status") != "success") {
    const std::string type = Text(document->value, "errorType");
    // The expression is wrong, or cannot be evaluated: nobody else's fault.
    const bool ours = status == 400 || status == 422 || type == "bad_data" || type == "execution";
    const std::string error = Text(document->value, "error");
    return Failed(fmt::format("{}: {}", type.empty() ? fmt::format("status {}", status) : type,
                              error.empty() ? "no reason given" : error),
                  !ours);
  }
  const json* data = Member(document->value, "data");
  if (data == nullptr) return Failed("an answer without data", true);
  QueryReply reply = DataReply(*data, reduce, partition_label);
  AddWarnings(document->value, reply);
  return reply;
}

}  // namespace backfill::observe
