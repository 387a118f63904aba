#include "operator/metrics/process_metrics.h"

#include <chrono>
#include <utility>

namespace backfill::metrics {
namespace {

using kube::MetricFamily;
using kube::MetricType;

MetricFamily Family(std::string name, std::string what, MetricType type) {
  return {.name = std::move(name), .what = std::move(what), .type = type, .samples = {}};
}

template <typename D>
double Seconds(D duration) {
  return std::chrono::duration<double>(duration).count();
}

void AddInformers(const std::vector<const kube::Informer*>& informers, Time now,
                  std::vector<MetricFamily>& out) {
  MetricFamily restarts = Family("backfill_watch_restarts_total", "Watches that were begun again",
                                 MetricType::kCounter);
  MetricFamily relists = Family("backfill_watch_relists_total",
                                "Lists after the first one, and why", MetricType::kCounter);
  MetricFamily age =
      Family("backfill_watch_age_seconds", "Since the API server last said anything of a resource",
             MetricType::kGauge);
  for (const kube::Informer* informer : informers) {
    const kube::InformerStats stats = informer->stats();
    const std::string resource(informer->type().plural);
    const std::uint64_t watches = stats.counts.watches;
    restarts.samples.push_back({.labels = {{"resource", resource}},
                                .value = static_cast<double>(watches == 0 ? 0 : watches - 1)});
    for (std::size_t i = 0; i < kube::kRelistReasons; ++i) {
      const auto reason = static_cast<kube::RelistReason>(i);
      relists.samples.push_back(
          {.labels = {{"resource", resource}, {"reason", std::string(ToString(reason))}},
           .value = static_cast<double>(stats.counts.RelistsFor(reason))});
    }
    age.samples.push_back(
        {.labels = {{"resource", resource}}, .value = Seconds(now - stats.last_heard)});
  }
  if (informers.empty()) return;
  for (MetricFamily* family : {&restarts, &relists, &age}) out.push_back(std::move(*family));
}

}  // namespace

ProcessMetrics::ProcessMetrics(const Clock& clock, ProcessFigures figures)
    : clock_(clock), figures_(std::move(figures)) {}

std::vector<MetricFamily> ProcessMetrics::Collect() const {
  std::vector<MetricFamily> out;
  if (figures_.auth_failures) {
    MetricFamily family = Family("backfill_auth_failures_total",
                                 "Streams of workers that were refused", MetricType::kCounter);
    for (const auto& [reason, count] : figures_.auth_failures())
      family.samples.push_back(
          {.labels = {{"reason", reason}}, .value = static_cast<double>(count)});
    out.push_back(std::move(family));
  }
  if (figures_.turned_away) {
    MetricFamily family =
        Family("backfill_connections_turned_away_total",
               "Connections of workers that were closed unheard, as there were too many",
               MetricType::kCounter);
    family.samples.push_back({.labels = {}, .value = static_cast<double>(figures_.turned_away())});
    out.push_back(std::move(family));
  }
  if (figures_.certificate_ends) {
    MetricFamily family = Family("backfill_certificate_end_timestamp_seconds",
                                 "When a certificate of the coordinator ends", MetricType::kGauge);
    for (const auto& [certificate, end] : figures_.certificate_ends())
      family.samples.push_back(
          {.labels = {{"certificate", certificate}}, .value = Seconds(end.time_since_epoch())});
    out.push_back(std::move(family));
  }
  if (figures_.leader_epoch) {
    const std::optional<Epoch> epoch = figures_.leader_epoch();
    MetricFamily family =
        Family("backfill_leader_epoch", "Of this process; 0: it does not lead", MetricType::kGauge);
    family.samples.push_back(
        {.labels = {}, .value = epoch ? static_cast<double>(epoch->value) : 0});
    out.push_back(std::move(family));
  }
  if (figures_.crd_outdated) {
    MetricFamily family =
        Family("backfill_crd_outdated", "1 if the installed CRDs lack a field", MetricType::kGauge);
    family.samples.push_back({.labels = {}, .value = figures_.crd_outdated() ? 1.0 : 0.0});
    out.push_back(std::move(family));
  }
  AddInformers(figures_.informers, clock_.Steady(), out);
  return out;
}

}  // namespace backfill::metrics
