#pragma once

#include "operator/observe/metric_servers.h"
#include "operator/observe/query.h"
#include "operator/observe/scrape_reader.h"
#include "operator/observe/source.h"

namespace backfill::observe {

// Reads a target's /metrics and remembers what it needs of it.
class ScrapeSource final : public Source {
 public:
  // `query` has passed Check(). The references must outlive it.
  ScrapeSource(ScrapeQuery query, MetricServers& servers, const Clock& clock);

  Reply Ask(Time deadline, const std::stop_token& stop) override;

 private:
  const ScrapeQuery query_;
  ScrapeReader reader_;
  MetricServers& servers_;
  const Clock& clock_;
};

}  // namespace backfill::observe
