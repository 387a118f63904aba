#include "operator/observe/source_factory.h"

#include "operator/observe/json_source.h"
#include "operator/observe/prometheus_source.h"
#include "operator/observe/scrape_source.h"

namespace backfill::observe {

MetricSources::MetricSources(MetricServers& servers, const SignalBoard& board, const Clock& clock)
    : servers_(servers), board_(board), clock_(clock) {}

Result<std::unique_ptr<Source>> MetricSources::Make(const Query& query) {
  TRY(Check(query));
  struct Maker {
    MetricSources& self;
    std::unique_ptr<Source> operator()(const PrometheusQuery& q) const {
      return std::make_unique<PrometheusSource>(q, self.servers_, self.clock_);
    }
    std::unique_ptr<Source> operator()(const ScrapeQuery& q) const {
      return std::make_unique<ScrapeSource>(q, self.servers_, self.clock_);
    }
    std::unique_ptr<Source> operator()(const JsonQuery& q) const {
      return std::make_unique<JsonSource>(q, self.servers_, self.clock_);
    }
    std::unique_ptr<Source> operator()(const WorkersQuery& q) const {
      return std::make_unique<WorkersSource>(q, self.board_, self.clock_);
    }
  };
  return std::visit(Maker{*this}, query);
}

}  // namespace backfill::observe
