#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "operator/throttle/grant_times.h"

// One rate over many workers; method and reasons: rate_share.md beside this file.
namespace backfill::throttle {

using namespace std::chrono_literals;

struct RateShareOptions {
  GrantTimes times = {};
  Duration rotation =
      60s;  // when the rate is too small for all workers, who has it changes this often
  // Grants of an earlier leader may be in force for this long after the first call: until then only
  // what workers report to have (Adopt) is granted, at most. 0: there is no such leader.
  Duration learning = 0s;
  // Leaders of one Backfill number their grants from different starts, such as epoch << 32, so that
  // the acknowledgement of an earlier leader's grant is not taken for one of ours.
  std::uint64_t first_sequence = 1;
};

// A worker's figures as of its last report.
struct Demand {
  double wanted = 0;                 // records/s that it could send
  std::uint64_t grant_sequence = 0;  // the last grant that it obeys
};

struct GrantAction {
  SessionId session;
  std::uint64_t sequence = 0;
  double records_per_second = 0;
  double burst = 0;  // 0 for a grant of 0: what had been saved up is gone, too
  Duration valid_for{};
};

// Splits one rate into grants so that, at every moment, the sum of what workers may believe they
// have is at most the rate (or, after a cut, at most the old rate until the smaller grants are
// acknowledged or the old ones expire). A grant is outstanding until a later one is acknowledged or
// it has expired, also for workers that are gone: decreases go out first, increases only from what
// came back. Pure, not thread-safe.
class RateShare {
 public:
  RateShare(const RateShareOptions& options, int batch_size);

  void SetRate(double records_per_second, Time now);  // 0: stop everything
  // From now on; what was granted before lasts as long as it was said to. All is granted anew.
  void SetTimes(const GrantTimes& times, Time now);
  // The worker gets a grant with the next Tick(), be it of 0.
  void Join(SessionId session, Time now);
  // The worker has an unexpired grant from an earlier leader or stream: it counts as outstanding.
  void Adopt(SessionId session, double records_per_second, Duration valid_for, Time now);
  // The stream ended: its grant stays outstanding until it expires.
  void Leave(SessionId session);
  void Forget(SessionId session);  // the process is known to be dead
  void OnDemand(SessionId session, const Demand& demand, Time now);

  // Grants to send now. Call after any change and at least every 100 ms.
  std::vector<GrantAction> Tick(Time now);

  [[nodiscard]] double Outstanding(Time now) const;
  // While an earlier leader's grants may be in force: the sum of what workers have said so far that
  // they have of them. nullopt: none is.
  [[nodiscard]] std::optional<double> Reported(Time now) const;

 private:
  // What a worker may still believe to have.
  struct Sent {
    std::uint64_t sequence = 0;  // 0: adopted
    double rate = 0;
    Time expires;
  };
  struct Worker {
    SessionId session;
    bool joined = false;
    bool greeted = false;          // has been sent a grant
    std::optional<double> wanted;  // nullopt: has not said yet
    double adopted = 0;
    Time heard;
    std::deque<Sent> sent;  // since the last one that it acknowledged, that one included
    double granted = 0;     // as last sent
    std::uint64_t acknowledged = 0;
    Time refresh_at;
    bool chosen = false;  // while the rate is too small for all
    Time chosen_at;
    double target = 0;  // of this Tick
  };
  using Workers = std::map<SessionId, Worker>;

  static double Outstanding(const Worker& worker, Time now);
  void Expire(Time now);
  void SetTargets(Time now);
  void SetTargetsWhileLearning();
  std::vector<Worker*> Eligible(Time now);
  void ChooseFew(std::vector<Worker*>& eligible, Time now);
  void Fill(std::vector<Worker*>& workers) const;
  GrantAction Send(Worker& worker, double rate, Time now);

  RateShareOptions options_;
  const double batch_size_;
  double rate_ = 0;
  Workers workers_;
  std::uint64_t next_sequence_;
  std::optional<Time> learning_until_;
  std::optional<Time> rotated_at_;  // since then the chosen ones have had it
};

}  // namespace backfill::throttle
