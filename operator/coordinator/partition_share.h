#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "operator/coordinator/attempt_meter.h"
#include "operator/reconcile/stage_host.h"
#include "operator/throttle/grant_times.h"

namespace backfill::coordinator {

// What one worker says of a partition, as of its report.
struct PartitionTotals {
  std::uint64_t attempts = 0;  // since the process began
  std::uint64_t waiting = 0;
  bool limited = false;
};

// Caps of one worker, to be sent now.
struct PartitionAction {
  SessionId session;
  std::map<std::string, double> caps = {};  // records/s
  double others = 0;
  Duration valid_for{};
};

// Splits the rate of each partition of the target over the workers of a stage, and adds up what
// they say of them. Grants bound the sum over all partitions exactly (throttle::RateShare); this
// bounds each of them: workers that have records of it share nine tenths of its rate, the others
// what is left, so that one that comes to it can begin. Sums are exact once all workers have their
// latest caps, which leave together; what a worker that cannot be reached was given counts until it
// has expired. Not thread-safe; the time is an argument.
class PartitionShare {
 public:
  // As throttle::PartitionGovernors::kMaxPartitions. What more names come from workers, hostile or
  // not, is added to that of no name.
  static constexpr std::size_t kMax = 64;
  static constexpr Duration kActiveFor = std::chrono::seconds(10);
  static constexpr Duration kDealEvery = std::chrono::milliseconds(250);

  explicit PartitionShare(const throttle::GrantTimes& times) : times_(times) {}

  // From now on; what was sent before lasts as long as it was said to.
  void SetTimes(const throttle::GrantTimes& times) { times_ = times; }
  void SetRates(const reconcile::PartitionRates& rates);
  // `process` names it uniquely; on a new stream it takes the place of the old one.
  void Join(SessionId session, const std::string& process);
  void Leave(SessionId session);
  void ProcessGone(const std::string& process) { members_.erase(process); }
  void OnReport(SessionId session, const std::map<std::string, PartitionTotals>& totals, Time now);

  // Call after any change and at least every 100 ms. Nothing before the first SetRates().
  std::vector<PartitionAction> Tick(Time now);

  [[nodiscard]] std::map<std::string, reconcile::PartitionFlow> Flows(Time now) const;

 private:
  struct Seen {
    PartitionTotals last;
    std::optional<Time> active;  // when it last had something of it
  };
  struct Member {
    SessionId session;
    bool left = false;
    std::map<std::string, Seen> partitions;
    PartitionAction sent;
    std::optional<Time> sent_at;
    Time expires{};  // what it was sent, by when the last of it ends
  };

  Member* Find(SessionId session);
  // The name under which it is counted.
  std::string Counted(const std::string& name);
  void Deal(Time now);

  throttle::GrantTimes times_;
  std::optional<reconcile::PartitionRates> rates_;
  bool deal_now_ = false;
  Time dealt_at_{};
  std::map<std::string, Member> members_;      // by process
  std::map<SessionId, std::string> sessions_;  // of them that have not left
  std::map<SessionId, PartitionAction> dealt_;
  std::map<std::string, AttemptMeter> meters_;
};

}  // namespace backfill::coordinator
