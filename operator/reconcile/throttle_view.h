#pragma once

#include <optional>
#include <string>

#include "operator/api/throttle.h"
#include "operator/reconcile/stage_host.h"
#include "operator/throttle/grant_times.h"

namespace backfill::reconcile {

// What the governor of a Backfill says right now, in the words of its status.
struct ThrottleView {
  double rate = 0;                 // records/s for all workers together
  std::string limited_by;          // what keeps it from being higher, as in status.rate
  PartitionRates partitions = {};  // of a target that has some
  double pressure = 0;             // the largest of the enforced budgets; over 1: exceeded
  // As in LiveSettings.
  double latency_headroom = 1.25;
  throttle::GrantTimes grants = {};
  // Absent where the file asks for no more than a rate.
  std::optional<api::ThrottleStatus> status;
  // Of the condition Throttled: empty while it is False.
  std::string throttled;
  std::string message;
  // A person should look, for this reason; it goes on by itself.
  std::string stalled;
  // Why not to begin: a metric that is required cannot be read, with its query. Empty: it may.
  std::string waits_for;
  // It has not answered for the first time yet, so nothing is wrong.
  bool asks_first = false;
  // Why it is to be paused until a person resumes it; empty: it is not.
  std::string pause_for;
};

}  // namespace backfill::reconcile
