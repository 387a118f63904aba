#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "operator/throttle/rate_share.h"

namespace backfill::coordinator {

// The rate grants of one stage: shares the rate over its workers or, where nothing is sent to the
// target, lets all run free. Knows which sessions belong to one process, so that a reconnect
// neither loses nor doubles what it holds. Not thread-safe; the time is an argument.
class Grants {
 public:
  struct Held {  // what a process says that it still has; any numbers
    double records_per_second = 0;
    Duration valid_for{};
  };

  Grants(const throttle::RateShareOptions& options, int batch_size);

  // One of these holds. Free() is for stages that send nothing: what they were given does not count
  // after a Limit().
  void Stop(Time now);
  void Limit(double records_per_second, Time now);
  void Free(Time now);
  // Of grants from now on.
  void SetTimes(const throttle::GrantTimes& times, Time now);

  // `process` names it uniquely.
  void Join(SessionId session, const std::string& process, const std::optional<Held>& held,
            Time now);
  void Leave(SessionId session, Time now);
  void ProcessGone(const std::string& process);
  void OnDemand(SessionId session, double wanted, std::uint64_t grant_sequence, Time now);

  std::vector<throttle::GrantAction> Tick(Time now);

  // Sum of what workers may believe they have.
  [[nodiscard]] double InForce(Time now) const;
  // As RateShare's.
  [[nodiscard]] std::optional<double> Reported(Time now) const;

 private:
  static constexpr double kFree = 1e9;  // records/s: no worker gets near it

  struct Member {
    std::uint64_t sent = 0;  // grants that did not come from share_
    std::uint64_t share_sequence =
        0;  // the last number of share_; on the wire stands the sum of both
    bool running = false;
    Time renew_at{};
  };
  struct Process {
    SessionId session;         // its latest
    std::optional<Time> left;  // since when it has none
  };

  throttle::RateShareOptions options_;
  const double batch_size_;
  throttle::RateShare share_;
  bool free_running_ = false;
  bool limited_ = true;
  std::map<SessionId, Member> members_;  // of all joined sessions
  std::map<std::string, Process> processes_;
};

}  // namespace backfill::coordinator
