#include "operator/decision_log/replay.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

namespace backfill::decision_log {
namespace {

std::string Shown(const nlohmann::json& json, const std::string& key) {
  const auto it = json.find(key);
  constexpr std::size_t kMost = 200;  // bytes
  return it == json.end() ? "unset" : it->dump().substr(0, kMost);
}

}  // namespace

std::optional<StepLine> Replay::Add(std::string_view text) {
  ++counts_.lines;
  Result<std::optional<Line>> parsed = Parse(text);
  if (!parsed.ok()) {
    ++counts_.invalid;
    if (problem_.empty())
      problem_ = "line " + std::to_string(counts_.lines) + ": " + parsed.error().message;
    return std::nullopt;
  }
  if (!*parsed) return std::nullopt;
  Line& line = **parsed;
  if (auto* start = std::get_if<StartLine>(&line)) {
    governors_.erase(start->governor);
    if (governors_.size() >= kMaxGovernors) return std::nullopt;
    governors_.emplace(std::move(start->governor),
                       throttle::Governor(std::move(start->options), std::move(start->memory)));
    return std::nullopt;
  }
  StepLine step = std::get<StepLine>(std::move(line));
  const auto it = governors_.find(step.governor);
  if (it == governors_.end()) {
    ++counts_.unanchored;
    return std::nullopt;
  }
  ++counts_.decisions;
  throttle::Decision now = it->second.Step(step.inputs, step.now);
  if (now != step.decision) Compare(step, now);
  step.decision = std::move(now);
  return step;
}

void Replay::Compare(const StepLine& logged, const throttle::Decision& now) {
  ++counts_.different;
  if (differences_.size() >= kMaxKept) return;
  const nlohmann::json before = nlohmann::json::parse(Encode(logged.decision));
  const nlohmann::json after = nlohmann::json::parse(Encode(now));
  for (const nlohmann::json* fields : {&before, &after}) {
    for (const auto& [key, value] : fields->items()) {
      if (Shown(before, key) == Shown(after, key)) continue;
      differences_.push_back({.line = counts_.lines,
                              .governor = logged.governor,
                              .field = key,
                              .logged = Shown(before, key),
                              .now = Shown(after, key)});
      return;
    }
  }
}

}  // namespace backfill::decision_log
