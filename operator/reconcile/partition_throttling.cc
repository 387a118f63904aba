#include "operator/reconcile/partition_throttling.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace backfill::reconcile {
namespace {

using throttle::Answer;
using throttle::Observation;
using throttle::Scope;

class LoggedPartition final : public throttle::PartitionGovernor {
 public:
  LoggedPartition(const std::string& name, const throttle::GovernorOptions& options,
                  decision_log::DecisionSink* log, const WallTime& wall)
      : governor_(name, throttle::Governor(options), log), wall_(wall) {}
  throttle::Decision Step(const throttle::Inputs& inputs, Time now) override {
    return governor_.Step(inputs, now, wall_);
  }
  void Reconfigure(const throttle::GovernorOptions& options) override {
    governor_.Reconfigure(options);
  }

 private:
  decision_log::LoggedGovernor governor_;
  const WallTime& wall_;
};

// What a decision says of a budget, back in the list of all of them.
std::optional<std::size_t> PlaceOf(const throttle::GovernorOptions& options, Scope scope,
                                   const std::optional<std::size_t>& among) {
  if (!among) return std::nullopt;
  std::size_t left = *among;
  for (std::size_t i = 0; i < options.budgets.size(); ++i) {
    if (options.budgets[i].scope == scope && left-- == 0) return i;
  }
  return std::nullopt;
}

}  // namespace

PartitionThrottling::PartitionThrottling(const std::string& name,
                                         const throttle::GovernorOptions& options,
                                         decision_log::DecisionSink* log)
    : options_(options),
      governors_(options, [this, name, log](const std::string& partition,
                                            const throttle::GovernorOptions& of) {
        return std::make_unique<LoggedPartition>(name + " " + partition, of, log, wall_);
      }) {}

void PartitionThrottling::Reconfigure(const throttle::GovernorOptions& options) {
  options_ = options;
  governors_.Reconfigure(options);
}

std::map<std::string, throttle::PartitionInputs> PartitionThrottling::InputsOf(
    const throttle::Inputs& shared, const Answers& answers, const StageSnapshot* open) const {
  std::map<std::string, throttle::PartitionInputs> inputs;
  const auto answered = [&answers](std::size_t i) {
    return i < answers.size() && !answers[i].empty();
  };
  for (std::size_t i = 0; i < options_.budgets.size(); ++i) {
    if (options_.budgets[i].scope != Scope::kPartition) continue;
    if (answered(i)) {
      for (const auto& [name, observation] : answers[i]) inputs.try_emplace(name);
    } else {  // what is wrong with it is so for all
      for (const std::string& name : governors_.Names()) inputs.try_emplace(name);
    }
  }
  if (open != nullptr) {
    for (const auto& [name, flow] : open->partitions) {
      if (name.empty()) continue;
      throttle::PartitionInputs& in = inputs[name];
      in.sent = flow.attempts_per_second;
      in.records_wait = flow.limited;
    }
  }
  for (auto& [name, in] : inputs) {
    in.inner_cut = open != nullptr && open->target_holds_back;
    for (std::size_t i = 0; i < options_.budgets.size(); ++i) {
      if (options_.budgets[i].scope != Scope::kPartition) continue;
      const Observation all =
          i < shared.observations.size() ? shared.observations[i] : Observation{};
      if (!answered(i)) {
        in.observations.push_back(all);
        continue;
      }
      const auto own = answers[i].find(name);
      in.observations.push_back(own != answers[i].end()
                                    ? own->second
                                    : Observation{.answer = Answer::kNoData,
                                                  .value = 0,
                                                  .time = all.time,
                                                  .detail = "no series of this partition"});
    }
  }
  return inputs;
}

// Of partitions that no governor knows yet.
double PartitionThrottling::RateOfOthers(const throttle::Inputs& shared) const {
  if (shared.pin) return shared.pin->records_per_second;
  const bool enforced = std::ranges::any_of(options_.budgets, [](const throttle::Budget& budget) {
    return budget.scope == Scope::kPartition && budget.enforce;
  });
  const bool acts = enforced && options_.mode == throttle::Mode::kEnforce;
  return acts ? throttle::InitialRate(options_) : options_.max_records_per_second;
}

PartitionThrottling::Outcome PartitionThrottling::Step(const throttle::Inputs& shared,
                                                       const Answers& answers,
                                                       const StageSnapshot* open, Time now,
                                                       WallTime wall) {
  wall_ = wall;
  throttle::Inputs common = shared;
  common.records_wait = false;  // of a partition that nobody speaks of
  common.reported.reset();      // no operator before has told what each had
  throttle::PartitionDecisions decided =
      governors_.Step(InputsOf(shared, answers, open), common, now);

  Outcome out{.rates = {.named = {}, .others = RateOfOthers(shared)}};
  out.total = out.rates.others;
  for (auto& [name, decision] : decided.partitions) {
    out.rates.named[name] = decision.rate;
    out.total += decision.rate;
    out.asks_for_pause = out.asks_for_pause || decision.ask_for_pause;
    out.next = std::min(out.next, decision.next);
    if (out.decision && decision.rate >= out.decision->rate) continue;
    out.slowest = name;
    out.decision = std::move(decision);
  }
  out.hot = decided.slowest == out.slowest && decided.slowest_is_hot;
  return out;
}

std::vector<Observation> ObservationsOf(const throttle::GovernorOptions& options, Scope scope,
                                        const std::vector<Observation>& observations) {
  std::vector<Observation> of;
  for (std::size_t i = 0; i < options.budgets.size() && i < observations.size(); ++i) {
    if (options.budgets[i].scope == scope) of.push_back(observations[i]);
  }
  return of;
}

throttle::Decision Combined(const throttle::GovernorOptions& options,
                            const throttle::Decision& global,
                            const PartitionThrottling::Outcome& partitions) {
  throttle::Decision out = global;
  out.binding = PlaceOf(options, Scope::kGlobal, global.binding);
  out.budgets.clear();
  std::size_t of_all = 0, of_one = 0;
  for (const throttle::Budget& budget : options.budgets) {
    const throttle::Decision* from = budget.scope == Scope::kGlobal ? &global
                                     : partitions.decision          ? &*partitions.decision
                                                                    : nullptr;
    std::size_t& next = budget.scope == Scope::kGlobal ? of_all : of_one;
    const std::size_t at = next++;
    out.budgets.push_back(from != nullptr && at < from->budgets.size() ? from->budgets[at]
                                                                       : throttle::BudgetView{});
  }
  out.ask_for_pause = out.ask_for_pause || partitions.asks_for_pause;
  out.next = std::min(out.next, partitions.next);
  const bool bounds = partitions.total < global.rate;
  if (bounds) out.rate = partitions.total;
  if (!partitions.decision) return out;

  const throttle::Decision& slowest = *partitions.decision;
  const std::string where = "partition " + partitions.slowest;
  if (bounds) {
    out.state = slowest.state;
    out.limited_by = slowest.limited_by;
  }
  const bool tells = out.throttled == throttle::ThrottledReason::kNone &&
                     slowest.throttled != throttle::ThrottledReason::kNone;
  if (tells) out.throttled = slowest.throttled;
  if (tells || (out.message.empty() && !slowest.message.empty()))
    out.message = slowest.message.empty() ? where : where + ": " + slowest.message;
  if (out.stalled == throttle::StalledReason::kNone) out.stalled = slowest.stalled;
  if (!global.binding || slowest.pressure > global.pressure) {
    out.binding = PlaceOf(options, Scope::kPartition, slowest.binding);
    out.pressure = slowest.pressure;
    out.cut = slowest.cut;
  }
  return out;
}

}  // namespace backfill::reconcile
