#pragma once

#include <functional>
#include <stop_token>
#include <string_view>

#include "base/clock.h"
#include "operator/kube/client/http_transport.h"

namespace backfill::app {

// Lets only reads pass while this process does not lead: what a leader that was stopped and wakes
// up late still had in hand never leaves it (R38). kAborted: it does not lead. What left in time
// and arrives late is the versions' to refuse.
//
// Thread-safe, as the transport; that and the clock outlive it.
class LeaderTransport final : public kube::HttpTransport {
 public:
  LeaderTransport(kube::HttpTransport& transport, std::function<bool(Time now)> leads,
                  const Clock& clock);

  Result<kube::HttpResponse> Send(const kube::HttpRequest& request, Time deadline,
                                  std::stop_token stop) override;
  Result<kube::HttpResponse> Stream(const kube::HttpRequest& request,
                                    const kube::StreamLimits& limits, std::stop_token stop,
                                    const std::function<bool(std::string_view)>& on_line) override;

 private:
  kube::HttpTransport& transport_;
  const std::function<bool(Time now)> leads_;
  const Clock& clock_;
};

}  // namespace backfill::app
