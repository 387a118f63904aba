#include "operator/observe/prometheus_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "operator/kube/client/query.h"
#include "operator/observe/answers.h"

namespace backfill::observe {
namespace {

using throttle::Answer;

constexpr std::size_t kMaxReplyBytes = std::size_t{1} << 20;
// No series is so old: the query answers something else than a time.
constexpr double kNoAge = 1e8;

// All are of one answer. What is no number is so as of then, too.
PartitionObservations At(Time time, PartitionObservations partitions) {
  for (auto& [name, observation] : partitions) observation.time = time;
  return partitions;
}

}  // namespace

PrometheusSource::PrometheusSource(PrometheusQuery query, MetricServers& servers,
                                   const Clock& clock)
    : query_(std::move(query)), servers_(servers), clock_(clock) {}

Reply PrometheusSource::Ask(Time deadline, const std::stop_token& stop) {
  const std::size_t n = query_.addresses.size();
  Reply first_failure;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t at = (preferred_ + i) % n;
    const Time now = clock_.Steady();
    const Time until = now + (deadline - now) / static_cast<int>(n - i);
    Reply reply = AskOne(query_.addresses[at], until, stop);
    if (!reply.provider_failed || stop.stop_requested()) {
      preferred_ = at;
      return reply;
    }
    if (i == 0) first_failure = std::move(reply);
  }
  return first_failure;
}

Reply PrometheusSource::AskOne(const std::string& address, Time deadline,
                               const std::stop_token& stop) {
  const auto transport = servers_.To(address, query_.credentials);
  if (!transport.ok()) return NotReached(clock_.Steady(), address, transport.error());
  const Time sent = clock_.Steady();
  QueryReply fresh{.answer = Answer::kValue};
  if (!query_.freshness_query.empty()) {
    // Several series are as old as the oldest of them.
    const Reduce oldest = query_.reduce == Reduce::kNone ? Reduce::kNone : Reduce::kMin;
    fresh = Instant(**transport, address, query_.freshness_query, oldest, "", deadline, stop);
    if (fresh.provider_failed) {
      return {.observation = {.answer = fresh.answer, .time = sent, .detail = fresh.detail},
              .provider_failed = true};
    }
  }
  QueryReply value = Instant(**transport, address, query_.query, query_.reduce,
                             query_.partition_label, deadline, stop);
  if (value.answer != Answer::kValue) {
    return Reply{.observation = {.answer = value.answer, .time = sent, .detail = value.detail},
                 .partitions = At(sent, std::move(value.partitions)),
                 .provider_failed = value.provider_failed};
  }
  if (query_.freshness_query.empty()) {
    Reply reply = ValueAt(value.value, sent, value.detail);
    reply.partitions = At(sent, std::move(value.partitions));
    return reply;
  }
  if (fresh.answer != Answer::kValue) {
    return {.observation = {.answer = fresh.answer,
                            .time = sent,
                            .detail = Excerpt("freshnessQuery: " + fresh.detail)}};
  }
  const double age = fresh.evaluated_at - fresh.value;
  if (!(std::abs(age) < kNoAge)) {
    return BadQuestion(sent, fmt::format("freshnessQuery: {} is not a time in seconds since the "
                                         "epoch, such as timestamp() gives",
                                         fresh.value));
  }
  const auto old = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(age));
  Reply reply = ValueAt(value.value, sent - old, value.detail);
  reply.partitions = At(sent - old, std::move(value.partitions));
  return reply;
}

QueryReply PrometheusSource::Instant(kube::HttpTransport& transport, const std::string& address,
                                     const std::string& promql, Reduce reduce,
                                     std::string_view partition_label, Time deadline,
                                     const std::stop_token& stop) {
  std::string body = "query=";
  kube::AppendPercentEncoded(body, promql);
  // So that Prometheus does not go on for nobody.
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock_.Steady());
  body += fmt::format("&timeout={}ms", std::max<std::int64_t>(left.count(), 1));
  const auto response = transport.Send({.method = kube::HttpMethod::kPost,
                                        .target = "/api/v1/query",
                                        .content_type = "application/x-www-form-urlencoded",
                                        .body = std::move(body),
                                        .max_response_bytes = kMaxReplyBytes},
                                       deadline, stop);
  if (!response.ok()) {
    const Reply failed = NotReached(clock_.Steady(), address, response.error());
    return {.answer = failed.observation.answer,
            .detail = failed.observation.detail,
            .provider_failed = failed.provider_failed};
  }
  QueryReply reply = ReadQueryReply(response->status, response->body, reduce, partition_label);
  if (reply.provider_failed) reply.detail = Excerpt(fmt::format("{}: {}", address, reply.detail));
  return reply;
}

}  // namespace backfill::observe
