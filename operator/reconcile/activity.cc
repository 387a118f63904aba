#include "operator/reconcile/activity.h"

#include <algorithm>
#include <chrono>

namespace backfill::reconcile {
namespace {

using namespace std::chrono_literals;

// Those without a shard have not tried.
bool NobodyReachesTheTarget(const StageSnapshot& open) {
  return open.without_target > 0 && open.without_target >= open.working;
}

std::string Seconds(Duration left) {
  return std::to_string(std::chrono::ceil<std::chrono::seconds>(left).count()) + " s";
}

std::string OfWorkers(int some, int all) {
  return std::to_string(some) + " of " + std::to_string(std::max(some, all)) + " workers send";
}

// In steps: what changes all the time would be written all the time.
std::string Slowdown(double times) {
  for (const int step : {100, 50, 20, 10, 5, 3, 2}) {
    if (times >= step) return std::to_string(step) + " times ";
  }
  return "";
}

}  // namespace

std::string WhatItWaitsFor(const ObservedStage& stage, bool paused) {
  if (!stage.open) return "";
  const StageSnapshot& open = *stage.open;
  std::string text;
  const auto add = [&text](const std::string& why) { text += (text.empty() ? "" : "; ") + why; };
  if (open.without_target > 0 && !paused) {
    const std::string who = std::to_string(open.without_target) + " of " +
                            std::to_string(open.working) + " workers cannot reach the target: ";
    add((NobodyReachesTheTarget(open) ? "the target cannot be reached: " : who) +
        open.target_trouble);
  }
  if (open.target_held_for && !paused) {
    add("the target asks to be left alone (Retry-After) for " + Seconds(*open.target_held_for));
  }
  if (!paused && !NobodyReachesTheTarget(open)) {  // which says it all
    if (open.held_by_workers.refused > 0)
      add(OfWorkers(open.held_by_workers.refused, open.working) +
          " less than they may: the target refuses them");
    if (open.held_by_workers.slow > 0)
      add(OfWorkers(open.held_by_workers.slow, open.working) +
          " less than they may: the target is " + Slowdown(open.held_by_workers.slowdown) +
          "slower than usual");
    if (open.retries_spent) add("retries are as many as they may be");
  }
  if (open.frozen_shards > 0) {
    add(std::to_string(open.frozen_shards) +
        (open.frozen_shards == 1 ? " shard waits " : " shards wait ") +
        Seconds(open.frozen_for.value_or(0s)) + " for requests of lost workers to end");
  }
  return text;
}

std::string WhatLimits(const ObservedStage& stage, const LiveSettings& settings) {
  if (!stage.open || stage.open->connected == 0) return "Workers";
  if (NobodyReachesTheTarget(*stage.open)) return "TargetUnreachable";
  if (stage.open->target_held_for || stage.open->retries_spent ||
      stage.open->held_by_workers.refused > 0)
    return "TargetRefusals";
  if (stage.open->target_holds_back) return "TargetLatency";
  constexpr double kClose = 0.9;
  if (!settings.unlimited &&
      stage.open->attempts_per_second >= kClose * settings.records_per_second)
    return "Max";
  return "Workers";
}

}  // namespace backfill::reconcile
