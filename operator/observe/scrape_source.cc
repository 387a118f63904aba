#include "operator/observe/scrape_source.h"

#include <utility>

#include "operator/observe/fetch.h"

namespace backfill::observe {

ScrapeSource::ScrapeSource(ScrapeQuery query, MetricServers& servers, const Clock& clock)
    : query_(std::move(query)), reader_(query_), servers_(servers), clock_(clock) {}

Reply ScrapeSource::Ask(Time deadline, const std::stop_token& stop) {
  const auto text = Fetch(servers_,
                          {.url = query_.url,
                           .credentials = query_.credentials,
                           .accept = "text/plain;version=0.0.4, */*;q=0.1"},
                          clock_, deadline, stop);
  if (!text.ok()) return text.error();
  return reader_.Read(*text, clock_.Steady());
}

}  // namespace backfill::observe
