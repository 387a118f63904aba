#pragma once

#include <atomic>
#include <stop_token>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "operator/kube/client/api_client.h"

namespace backfill::app {

// Whether the CRDs on the server have every field that this operator writes (R31): what they lack
// the server drops with a mere warning, and what the operator remembers is lost. kInvalid, with the
// fields: CRDOutdated; nothing may be written. kNotFound: they are not installed, or have been for
// some seconds only. Other errors: not known. Needs no role.
Status CheckCrds(const kube::ApiClient& api, const kube::CallLimits& limits);

// How loud that is said. An API server that has just started does not know its CRDs yet, or does
// not answer: that passes. Fields that are missing stay missing.
LogLevel LevelOf(const Error& problem, Duration lasted);

// Looks until they have been found in order, on a thread of its own, and says in the log why it
// waits. Thread-safe but for Start and Stop; api and clock outlive it.
class CrdGate {
 public:
  CrdGate(const kube::ApiClient& api, const Clock& clock,
          Duration period = std::chrono::seconds(5));
  ~CrdGate() { Stop(); }
  CrdGate(const CrdGate&) = delete;
  CrdGate& operator=(const CrdGate&) = delete;

  void Start();
  void Stop();
  // Never false again: a CRD that is downgraded under a running operator is its owner's doing.
  [[nodiscard]] bool IsOpen() const { return open_.load(std::memory_order_acquire); }
  // Fields were found to be missing.
  [[nodiscard]] bool IsOutdated() const { return outdated_.load(std::memory_order_relaxed); }

 private:
  void Run(const std::stop_token& stop);

  const kube::ApiClient& api_;
  const Clock& clock_;
  const Duration period_;
  std::atomic<bool> open_ = false;
  std::atomic<bool> outdated_ = false;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace backfill::app
