#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "operator/kube/runtime/leader_election.h"

namespace backfill::kube {

// Where a part stands in the order of starting and stopping (R41).
//
// Started: kHttp, kWatches, kGrpc, kLease, and, once this process leads, kControllers.
// Stopped: kControllers, kLease, kWatches, kGrpc, kHttp: first all that only a leader does, then
// the Lease is given back, so that no successor begins while anything here still acts as one, nor
// waits for what every replica has: streams to close, watches to end.
enum class Stage { kHttp, kWatches, kGrpc, kLease, kControllers };

// Something that runs. `stop` must be idempotent, and return when nothing of the part runs any
// more, by the time it is given.
struct Part {
  std::string name;
  Stage stage = Stage::kControllers;
  std::function<Status()> start;
  std::function<void(Time deadline)> stop;
  std::function<void(Time now)> tick = {};  // each second, if there is one; must return at once
};

// Runs the parts of an operator until it is told to stop or loses the Lease: what
// controller-runtime calls a manager. It owns no part.
//
// Run() once, on the main thread; everything else is thread-safe. `exit_now` ends the process
// without a further word (in production: std::_Exit(1)). It is called from the election's thread
// when the Lease is lost, since nobody knows what is still under way (R38), and by a watchman when
// stopping takes longer than `stop_within` (R39). In a test it returns.
class Host final : public LeaderEvents {
 public:
  struct Options {
    Duration stop_within = std::chrono::seconds(20);
    Duration tick = std::chrono::seconds(1);
    bool waits_for_leadership = true;  // false: kControllers start with the rest
  };

  Host(const Options& options, const Clock& clock,
       std::function<void(const std::string& reason)> exit_now);

  // Before Run(). Parts of one stage start in the order in which they were added, and stop in the
  // opposite one.
  void Add(Part part);

  // Until `stop`. The error of a part that did not start, after the others have stopped; kAborted:
  // the Lease was lost.
  Status Run(const std::stop_token& stop);

  void OnLeading(Epoch epoch) override;
  void OnLost(const std::string& reason) override;

  // When the loop last came round (R40).
  [[nodiscard]] Time last_tick() const;

 private:
  enum class Wake { kStop, kLeading, kLost, kTick };
  Status StartAll(Stage stage);
  Status Serve(const std::stop_token& stop);
  Wake WaitForNext(const std::stop_token& stop);
  void StopAll();
  void Tick();

  const Options options_;
  const Clock& clock_;
  const std::function<void(const std::string&)> exit_now_;

  std::vector<Part> parts_;           // of the main thread
  std::vector<std::size_t> started_;  // of the main thread: indexes of parts_

  mutable Mutex mu_;
  std::condition_variable_any changed_;
  bool leading_ GUARDED_BY(mu_) = false;
  bool told_ GUARDED_BY(mu_) = false;  // the loop knows that it leads
  std::optional<std::string> lost_ GUARDED_BY(mu_);
  Time last_tick_ GUARDED_BY(mu_){};
};

}  // namespace backfill::kube
