#pragma once

#include <atomic>
#include <stop_token>
#include <thread>

#include "base/clock.h"
#include "base/result.h"
#include "operator/kube/client/api_client.h"
#include "operator/kube/runtime/metrics.h"

namespace backfill::app {

// Whether the CRDs on the server have every field that this operator writes (R31): what they lack
// the server drops with a mere warning, and what the operator remembers is lost. kInvalid, with the
// fields: CRDOutdated; nothing may be written. kNotFound: they are not installed, or have been for
// some seconds only. Other errors: not known. Needs no role.
Status CheckCrds(const kube::ApiClient& api, const kube::CallLimits& limits);

// Looks until they have been found in order, on a thread of its own, and says in the log and in a
// metric why it waits. Thread-safe but for Start and Stop; api, clock and metrics outlive it.
class CrdGate {
 public:
  CrdGate(const kube::ApiClient& api, const Clock& clock, kube::MetricRegistry& metrics,
          Duration period = std::chrono::seconds(5));
  ~CrdGate() { Stop(); }
  CrdGate(const CrdGate&) = delete;
  CrdGate& operator=(const CrdGate&) = delete;

  void Start();
  void Stop();
  // Never false again: a CRD that is downgraded under a running operator is its owner's doing.
  [[nodiscard]] bool IsOpen() const { return open_.load(std::memory_order_acquire); }

 private:
  void Run(const std::stop_token& stop);

  const kube::ApiClient& api_;
  const Clock& clock_;
  const Duration period_;
  kube::Gauge& outdated_;
  std::atomic<bool> open_ = false;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace backfill::app
