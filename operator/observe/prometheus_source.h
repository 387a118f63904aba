#pragma once

#include <cstddef>
#include <string>

#include "operator/observe/metric_servers.h"
#include "operator/observe/prometheus_reply.h"
#include "operator/observe/query.h"
#include "operator/observe/source.h"

namespace backfill::observe {

// Asks Prometheus, or what speaks its API (Thanos, Mimir, VictoriaMetrics), an instant query. Of
// several addresses the one that served last is asked first, and each gets an equal part of the
// time that is left, so that one which hangs does not take all of it.
//
// The time of a value is that of its sample where there is a freshness query. It is reckoned by
// Prometheus' clock alone, as an age: the clocks of the two machines need not agree. The freshness
// is asked for before the value, so that it never makes a value younger than it is.
class PrometheusSource final : public Source {
 public:
  // `query` has passed Check(). The references must outlive it.
  PrometheusSource(PrometheusQuery query, MetricServers& servers, const Clock& clock);

  Reply Ask(Time deadline, const std::stop_token& stop) override;

 private:
  Reply AskOne(const std::string& address, Time deadline, const std::stop_token& stop);
  QueryReply Instant(kube::HttpTransport& transport, const std::string& address,
                     const std::string& promql, Reduce reduce, std::string_view partition_label,
                     Time deadline, const std::stop_token& stop);

  const PrometheusQuery query_;
  MetricServers& servers_;
  const Clock& clock_;
  std::size_t preferred_ = 0;
};

}  // namespace backfill::observe
