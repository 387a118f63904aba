#include "operator/throttle/partition_governors.h"

#include <algorithm>
#include <utility>

namespace backfill::throttle {
namespace {

using namespace std::chrono_literals;

constexpr Duration kForgetAfter = 1h;
constexpr double kHotShare = 0.5;  // of the median rate
constexpr Duration kHotAfter = 10min;

class Plain final : public PartitionGovernor {
 public:
  explicit Plain(const GovernorOptions& options) : governor_(options) {}
  Decision Step(const Inputs& inputs, Time now) override { return governor_.Step(inputs, now); }
  void Reconfigure(const GovernorOptions& options) override { governor_.Reconfigure(options); }

 private:
  Governor governor_;
};

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

GovernorOptions OfScope(GovernorOptions options, Scope scope) {
  std::erase_if(options.budgets, [&](const Budget& budget) { return budget.scope != scope; });
  return options;
}

PartitionGovernors::PartitionGovernors(GovernorOptions options, MakePartitionGovernor make)
    : options_(OfScope(std::move(options), Scope::kPartition)), make_(std::move(make)) {
  if (make_) return;
  make_ = [](const std::string& /*partition*/, const GovernorOptions& of) {
    return std::make_unique<Plain>(of);
  };
}

// The number of those for which there is no room.
std::size_t PartitionGovernors::Admit(const std::map<std::string, PartitionInputs>& partitions,
                                      Time now) {
  std::size_t refused = 0;
  for (const auto& [name, inputs] : partitions) {
    const auto it = partitions_.find(name);
    if (it != partitions_.end()) {
      it->second.named = now;
    } else if (partitions_.size() < kMaxPartitions) {
      partitions_.emplace(
          name, Partition{.governor = make_(name, options_), .named = now, .slow_since = {}});
    } else {
      ++refused;
    }
  }
  std::erase_if(partitions_,
                [&](const auto& entry) { return now - entry.second.named > kForgetAfter; });
  return refused;
}

void PartitionGovernors::WatchForHot(PartitionDecisions& decisions, Time now) {
  if (decisions.partitions.size() < 2) return;
  std::vector<double> rates;
  for (const auto& [name, decision] : decisions.partitions) rates.push_back(decision.rate);
  const double slow = kHotShare * Median(std::move(rates));
  double least = 0;
  for (const auto& [name, decision] : decisions.partitions) {
    if (!decisions.slowest || decision.rate < least) {
      decisions.slowest = name;
      least = decision.rate;
    }
    Partition& partition = partitions_.at(name);
    if (decision.rate >= slow) {
      partition.slow_since.reset();
      partition.told = false;
      continue;
    }
    if (!partition.slow_since) partition.slow_since = now;
    if (partition.told || now - *partition.slow_since < kHotAfter) continue;
    partition.told = true;
    decisions.hot.push_back({.kind = TransitionKind::kHotPartition, .message = name});
  }
  decisions.slowest_is_hot = partitions_.at(*decisions.slowest).told;
}

PartitionDecisions PartitionGovernors::Step(
    const std::map<std::string, PartitionInputs>& partitions, const Inputs& shared, Time now) {
  PartitionDecisions decisions;
  decisions.refused = Admit(partitions, now);
  for (auto& [name, partition] : partitions_) {
    Inputs inputs = shared;
    inputs.observations.assign(options_.budgets.size(), {.answer = Answer::kNoData,
                                                         .value = 0,
                                                         .time = now,
                                                         .detail = "no series of this partition"});
    inputs.sent = 0;
    if (const auto it = partitions.find(name); it != partitions.end()) {
      inputs.observations = it->second.observations;
      inputs.sent = it->second.sent;
      inputs.records_wait = it->second.records_wait;
      inputs.inner_cut = it->second.inner_cut;
    }
    decisions.partitions.emplace(name, partition.governor->Step(inputs, now));
  }
  WatchForHot(decisions, now);
  return decisions;
}

void PartitionGovernors::Reconfigure(const GovernorOptions& options) {
  options_ = OfScope(options, Scope::kPartition);
  for (auto& [name, partition] : partitions_) partition.governor->Reconfigure(options_);
}

std::vector<std::string> PartitionGovernors::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, partition] : partitions_) names.push_back(name);
  return names;
}

}  // namespace backfill::throttle
