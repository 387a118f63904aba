#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "worker/engine/engine.h"
#include "worker/engine/record.h"

namespace backfill::worker {

// A rendered request of a dry run, for the report.
struct TargetSample {
  ShardId shard;
  std::string key;
  std::string request;
};

// Where records are sent. One thread makes all calls.
class Target {
 public:
  // Exactly once per Send(), possibly from within it. Must not throw.
  using Done = std::function<void(std::uint32_t slot, BatchResult result)>;

  virtual ~Target() = default;

  virtual void Send(const Dispatch& dispatch, Time now) = 0;
  // Ends what is late. Call every 20 ms or so.
  virtual void Tick(Time now) = 0;
  // Ends what has written nothing yet as `withdrawn`, soon if not from within the call.
  virtual void Withdraw() = 0;
  // Those that were taken since the last call.
  virtual std::vector<TargetSample> TakeSamples() { return {}; }
};

}  // namespace backfill::worker
