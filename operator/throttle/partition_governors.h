#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "operator/throttle/governor.h"

namespace backfill::throttle {

// The options with the budgets of that scope only.
GovernorOptions OfScope(GovernorOptions options, Scope scope);

// What a tick knows of one partition of the target.
struct PartitionInputs {
  std::vector<Observation> observations;  // in the order of the budgets of Scope::kPartition
  double sent = 0;                        // attempts/s to it since the last tick
  bool records_wait = false;
  bool inner_cut = false;

  bool operator==(const PartitionInputs&) const = default;
};

struct PartitionDecisions {
  std::map<std::string, Decision> partitions;  // the rate of each is a cap for its records
  std::optional<std::string> slowest;          // has the least rate, of several
  bool slowest_is_hot = false;                 // has been far below the others for long
  std::vector<Transition> hot;                 // events of this tick
  std::size_t refused = 0;                     // partitions beyond kMaxPartitions
};

// The governor of one partition, as its owner wants to have it; such as one that writes a log.
class PartitionGovernor {
 public:
  virtual ~PartitionGovernor() = default;
  virtual Decision Step(const Inputs& inputs, Time now) = 0;
  virtual void Reconfigure(const GovernorOptions& options) = 0;
};
using MakePartitionGovernor = std::function<std::unique_ptr<PartitionGovernor>(
    const std::string& partition, const GovernorOptions& options)>;

// A governor for each partition of a target, so that a hot one does not slow down the others: a
// maximum over all of them would run every one at the rate of the hottest. Pure, not thread-safe.
class PartitionGovernors {
 public:
  static constexpr std::size_t kMaxPartitions = 64;

  // Uses the budgets of Scope::kPartition. Ends the process if the options are invalid.
  explicit PartitionGovernors(GovernorOptions options, MakePartitionGovernor make = {});

  // `shared` is what holds for all of them: limits, overrides, pauses, schedule. A partition that
  // is known but not named has no data; an hour later it is forgotten.
  PartitionDecisions Step(const std::map<std::string, PartitionInputs>& partitions,
                          const Inputs& shared, Time now);

  void Reconfigure(const GovernorOptions& options);
  // Those that are known.
  [[nodiscard]] std::vector<std::string> Names() const;

 private:
  struct Partition {
    std::unique_ptr<PartitionGovernor> governor;
    Time named;                      // when it was last
    std::optional<Time> slow_since;  // below half the median
    bool told = false;
  };

  std::size_t Admit(const std::map<std::string, PartitionInputs>& partitions, Time now);
  void WatchForHot(PartitionDecisions& decisions, Time now);

  GovernorOptions options_;
  MakePartitionGovernor make_;
  std::map<std::string, Partition> partitions_;
};

}  // namespace backfill::throttle
