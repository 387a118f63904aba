#include "operator/reconcile/activity.h"

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
  if (stage.open->target_holds_back) return "TargetLatency";
  constexpr double kClose = 0.9;
  if (!settings.unlimited &&
      stage.open->attempts_per_second >= kClose * settings.records_per_second)
    return "Max";
  return "Workers";
}

}  // namespace backfill::reconcile
