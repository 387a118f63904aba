#pragma once

#include <atomic>
#include <condition_variable>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "operator/kube/runtime/election.h"
#include "operator/kube/runtime/lease_api.h"
#include "operator/kube/runtime/metrics.h"

namespace backfill::kube {

// Told from the election's own thread, which renews the Lease: must return at once.
class LeaderEvents {
 public:
  virtual ~LeaderEvents() = default;
  virtual void OnLeading(Epoch epoch) = 0;
  // Not asked for: the process must exit (R38), as nobody knows what is still under way in it.
  virtual void OnLost(const std::string& reason) = 0;
};

// <pod>_<random>: a process that is started again is another candidate (R37).
std::string NewIdentity(const std::string& pod);

// Runs an Election on a thread of its own, with a connection of its own.
//
// Thread-safe. Api, clock, events and metrics must outlive it. Start() once; Stop() gives the Lease
// back (R39), takes the renew deadline at most, and may be called again.
class LeaderElection {
 public:
  // Ends the process if the options are invalid.
  LeaderElection(ElectionOptions options, std::string lease_name, LeaseApi& api, const Clock& clock,
                 LeaderEvents& events, MetricRegistry& metrics);
  ~LeaderElection() { Stop(); }
  LeaderElection(const LeaderElection&) = delete;
  LeaderElection& operator=(const LeaderElection&) = delete;

  void Start();
  void Stop();

  // Whether this process may speak as the leader at `now`, on the steady clock. Right even if the
  // process or this thread was stopped since (R38). Ask right before anything leaves.
  [[nodiscard]] bool IsLeaderAt(Time now) const { return now < ValidUntil(); }
  [[nodiscard]] Time ValidUntil() const {
    return Time(Duration(valid_until_.load(std::memory_order_acquire)));
  }
  // Of this leader; absent: it does not lead.
  [[nodiscard]] std::optional<Epoch> epoch() const;
  // Who holds the Lease as far as is known; empty: nobody.
  [[nodiscard]] std::string holder() const;
  // When the API server last answered (R40).
  [[nodiscard]] Time heard_at() const;

 private:
  void Run(const std::stop_token& stop);
  ApiResult<StoredLease> Perform(const Election::Request& request, const std::stop_token& stop);
  void Publish(const Election& election);

  const ElectionOptions options_;
  const std::string lease_name_;
  LeaseApi& api_;
  const Clock& clock_;
  LeaderEvents& events_;
  Gauge& status_;

  std::atomic<Duration::rep> valid_until_;
  mutable Mutex mu_;
  std::optional<Epoch> epoch_ GUARDED_BY(mu_);
  std::string holder_ GUARDED_BY(mu_);
  Time heard_at_ GUARDED_BY(mu_){};

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace backfill::kube
