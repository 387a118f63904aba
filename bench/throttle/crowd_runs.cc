#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <memory>
#include <numeric>
#include <random>

#include "bench/throttle/crowd.h"
#include "bench/throttle/governed.h"
#include "bench/throttle/target.h"
#include "operator/throttle/group_share.h"
#include "operator/throttle/partition_governors.h"
#include "tests/operator/throttle/fleet.h"

namespace backfill::throttle_bench {
namespace {

using namespace std::chrono_literals;

constexpr double kCrowdLimit = 600;  // records/s
constexpr int kTick = 10;            // s
constexpr double kStandardForeground = 500, kStandardCapacity = 1000;

// A quiet target: the one of the other scenarios.
Scenario Quiet(int duration) {
  Scenario s;
  s.name = s.title = "quiet";
  s.duration = duration;
  s.foreground.base = kStandardForeground;
  s.capacity.base = kStandardCapacity;
  return s;
}

struct Tally {
  double sent = 0, best = 0;
  int over = 0, seconds = 0;

  void Count(double records, const Target::Second& second, double most) {
    sent += records;
    best += std::clamp(second.best, 0.0, most);
    over += second.metric > kBudget ? 1 : 0;
    ++seconds;
  }
  [[nodiscard]] double Over() const { return 100.0 * over / std::max(1, seconds); }
};

// A rate acts some seconds after it was decided.
class Delayed {
 public:
  explicit Delayed(double rate) : rate_(rate) {}
  void Set(int at, double rate) { later_.push_back({at, rate}); }
  // Of what is in force and what will be.
  [[nodiscard]] double Highest() const {
    double highest = rate_;
    for (const auto& [at, rate] : later_) highest = std::max(highest, rate);
    return highest;
  }
  double At(int t) {
    while (!later_.empty() && later_.front().first <= t) {
      rate_ = later_.front().second;
      later_.pop_front();
    }
    return rate_;
  }

 private:
  double rate_;
  std::deque<std::pair<int, double>> later_;
};

// ---- partitions

throttle::GovernorOptions PartitionOptions(const Scenario& s, throttle::Scope scope) {
  throttle::GovernorOptions options;
  options.max_records_per_second = kCrowdLimit;
  options.floor = 0.5;
  options.initial = 1;
  options.grant_refresh = std::chrono::seconds(s.refresh);
  options.budgets.push_back({.name = "metric",
                             .bound = kBudget,
                             .critical = kCritical,
                             .target = s.target,
                             .scope = scope,
                             .timing = {.window = std::chrono::seconds(s.window),
                                        .scrape_interval = std::chrono::seconds(s.scrape),
                                        .delay = std::chrono::seconds(s.delay)}});
  return options;
}

struct PartitionedTargets {
  std::vector<Target> targets;
  std::vector<Delayed> rates;
  std::vector<Tally> tallies;
  std::vector<double> sent;  // since the last tick

  PartitionedTargets(const Crowd& crowd, const Scenario& s, std::uint64_t seed) {
    const double share = 1.0 / crowd.count;
    for (int i = 0; i < crowd.count; ++i) {
      targets.emplace_back(s, seed * 1000 + static_cast<std::uint64_t>(i),
                           Target::Part{share, share * (i == 0 ? crowd.hot : 1)});
      rates.emplace_back(1);
      tallies.emplace_back();
      sent.emplace_back(0);
    }
  }
  void Advance(int t) {
    for (std::size_t i = 0; i < targets.size(); ++i) {
      const double records = rates[i].At(t);
      tallies[i].Count(records, targets[i].Advance(t, records), kCrowdLimit);
      sent[i] += records;
    }
  }
  [[nodiscard]] throttle::Observation Said(std::size_t i, int t) const {
    const Time taken{1h + std::chrono::seconds(targets[i].sampled())};
    if (!targets[i].value())
      return {.answer = throttle::Answer::kNoData, .time = Time{1h + std::chrono::seconds(t)}};
    return {.answer = throttle::Answer::kValue,
            .value = *targets[i].value(),
            .time = taken,
            .detail = ""};
  }
  [[nodiscard]] double Over() const {
    double sum = 0;
    for (const Tally& tally : tallies) sum += tally.Over();
    return sum / static_cast<double>(tallies.size());
  }
  [[nodiscard]] double Throughput() const {
    Tally all;
    for (const Tally& tally : tallies) all.sent += tally.sent, all.best += tally.best;
    return 100 * all.sent / all.best;
  }
};

CrowdFigures RunPartitions(const Crowd& crowd, std::uint64_t seed) {
  const Scenario s = Quiet(crowd.duration);
  PartitionedTargets own(crowd, s, seed), one(crowd, s, seed);
  throttle::PartitionGovernors governors(PartitionOptions(s, throttle::Scope::kPartition));
  // Sees the worst partition, and its rate is spread evenly, as the keys are.
  throttle::Governor maximum(PartitionOptions(s, throttle::Scope::kGlobal));
  for (int t = 0; t < crowd.duration; ++t) {
    own.Advance(t);
    one.Advance(t);
    if (t % kTick != 0) continue;
    const Time now{1h + std::chrono::seconds(t)};
    std::map<std::string, throttle::PartitionInputs> inputs;
    std::vector<std::string> names;
    throttle::Inputs together;
    together.observations = {one.Said(0, t)};
    together.records_wait = true;
    for (std::size_t i = 0; i < own.targets.size(); ++i) {
      names.push_back(std::to_string(i));
      inputs[names[i]] = {.observations = {own.Said(i, t)},
                          .sent = std::exchange(own.sent[i], 0) / kTick,
                          .records_wait = true};
      together.sent += std::exchange(one.sent[i], 0) / kTick;
      const throttle::Observation said = one.Said(i, t);
      if (said.value > together.observations[0].value) together.observations[0] = said;
    }
    const throttle::PartitionDecisions decisions = governors.Step(inputs, {}, now);
    const double each = maximum.Step(together, now).rate / static_cast<double>(crowd.count);
    for (std::size_t i = 0; i < own.targets.size(); ++i) {
      own.rates[i].Set(t + s.refresh, decisions.partitions.at(names[i]).rate);
      one.rates[i].Set(t + s.refresh, each);
    }
  }
  return {{"over", own.Over()},
          {"thr", own.Throughput()},
          {"one_over", one.Over()},
          {"one_thr", one.Throughput()}};
}

// ---- backfills on one target

// Each but the first begins when those before it have taken what there is.
int BeginOf(std::size_t member) { return 600 * static_cast<int>(member); }

struct Shared {
  Tally tally;
  std::vector<double> late;  // records of each in the second half
};

Shared RunBackfills(int count, int duration, std::uint64_t seed) {
  const Scenario s = Quiet(duration);
  Target target(s, seed);
  struct Member {
    std::unique_ptr<Controller> governor;
    Delayed rate;
    double sent = 0;
  };
  std::vector<Member> members;
  for (int i = 0; i < count; ++i)
    members.push_back({TheGovernor().make(s, kCrowdLimit), Delayed(s.start_rate), 0});
  Shared shared;
  shared.late.resize(members.size());
  for (int t = 0; t < duration; ++t) {
    double all = 0;
    std::vector<double> sent;
    for (std::size_t i = 0; i < members.size(); ++i) {
      Member& m = members[i];
      const double rate = std::min(m.rate.At(t), kCrowdLimit);
      sent.push_back(t < BeginOf(i) ? 0 : rate * m.governor->InnerFactor(target.own()));
      all += sent.back();
    }
    const Target::Second second = target.Advance(t, all);
    shared.tally.Count(all, second, kCrowdLimit);
    for (std::size_t i = 0; i < members.size(); ++i) {
      Member& m = members[i];
      if (t < BeginOf(i)) continue;
      m.governor->LearnLatency(target.own());
      m.sent += sent[i];
      if (t >= duration / 2) shared.late[i] += sent[i];
      // Not all at the same moment: they were started by different people.
      const int phase = static_cast<int>(i) * kTick / count;
      if (t % kTick != phase) continue;
      const double rate = m.governor->Tick({.now = t,
                                            .value = target.value(),
                                            .sampled = target.sampled(),
                                            .sent = sent[i],
                                            .sent_since_last_tick = m.sent / kTick,
                                            .own = second.latency});
      m.sent = 0;
      m.rate.Set(t + s.refresh, rate);
    }
  }
  return shared;
}

double Jain(const std::vector<double>& values) {
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  double squares = 0;
  for (const double value : values) squares += value * value;
  return squares == 0 ? 1 : sum * sum / (static_cast<double>(values.size()) * squares);
}

CrowdFigures FiguresOf(const Shared& all, const Shared& single) {
  return {{"over", all.tally.Over()},
          {"thr", 100 * all.tally.sent / all.tally.best},
          {"jain", Jain(all.late)},
          {"single_over", single.tally.Over()},
          {"single_thr", 100 * single.tally.sent / single.tally.best}};
}

CrowdFigures RunNeighbours(const Crowd& crowd, std::uint64_t seed) {
  return FiguresOf(RunBackfills(crowd.count, crowd.duration, seed),
                   RunBackfills(1, crowd.duration, seed));
}

// ---- backfills that share a governor

struct Grouped {
  Shared shared;
  double excess = 0;
};

// One governor steers by what all of them send. Each asks for its share every second, as the
// operator looks at it, and obeys some seconds later, as its workers do.
Grouped RunGroup(int count, int duration, std::uint64_t seed) {
  const Scenario s = Quiet(duration);
  Target target(s, seed);
  const std::unique_ptr<Controller> governor = TheGovernor().make(s, kCrowdLimit);
  throttle::GroupShare share(50s);
  double group_rate = s.start_rate;
  share.SetRate(group_rate);
  struct Member {
    std::string name;
    Delayed rate{0};
    double has = 0;
    double sent = 0;
  };
  std::vector<Member> members;
  for (int i = 0; i < count; ++i) members.push_back({.name = std::to_string(i)});
  Grouped run;
  run.shared.late.resize(members.size());
  double sent_since_tick = 0;
  double had_before = 0;
  std::deque<double> lately;  // rates of the group
  for (int t = 0; t < duration; ++t) {
    double all = 0;
    double has = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      Member& m = members[i];
      m.has = m.rate.At(t);
      m.sent = m.has * governor->InnerFactor(target.own());
      has += m.has;
      all += m.sent;
      if (t >= duration / 2) run.shared.late[i] += m.sent;
    }
    // What was allowed before a cut may still come to act in so many seconds.
    lately.push_back(group_rate);
    if (lately.size() > static_cast<std::size_t>(s.refresh) + 1) lately.pop_front();
    run.excess =
        std::max(run.excess, has - std::max(*std::ranges::max_element(lately), had_before));
    had_before = has;
    const Target::Second second = target.Advance(t, all);
    run.shared.tally.Count(all, second, kCrowdLimit);
    governor->LearnLatency(target.own());
    sent_since_tick += all;
    const Time now{1h + std::chrono::seconds(t)};
    if (t % kTick == 0) {
      group_rate = governor->Tick({.now = t,
                                   .value = target.value(),
                                   .sampled = target.sampled(),
                                   .sent = all,
                                   .sent_since_last_tick = sent_since_tick / kTick,
                                   .own = second.latency});
      sent_since_tick = 0;
      share.SetRate(group_rate);
    }
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (t < BeginOf(i)) continue;
      Member& m = members[i];
      share.Update(m.name,
                   {.limit = kCrowdLimit,
                    .open = true,
                    .sent = m.sent,
                    .waits = true,
                    .in_force = std::max(m.has, m.rate.Highest())},
                   now);
      m.rate.Set(t + s.refresh, share.Allow(m.name, now));
    }
  }
  return run;
}

CrowdFigures RunFamily(const Crowd& crowd, std::uint64_t seed) {
  const Grouped all = RunGroup(crowd.count, crowd.duration, seed);
  const Shared single = RunBackfills(1, crowd.duration, seed);
  CrowdFigures figures = FiguresOf(all.shared, single);
  figures["over_beyond"] = all.shared.tally.Over() - 2 * single.tally.Over();
  figures["excess"] = all.excess;
  return figures;
}

// ---- workers of one backfill

CrowdFigures RunWorkers(const Crowd& crowd, std::uint64_t seed) {
  constexpr double kRate = 5000;
  constexpr Duration kWarm = 60s;
  throttle::Fleet fleet({}, static_cast<unsigned>(seed));
  std::mt19937 random(static_cast<unsigned>(seed));
  // Together four times what they may.
  const double capacity = 4 * kRate / crowd.count;
  for (int i = 0; i < crowd.count; ++i) fleet.Join(capacity);
  fleet.SetRate(kRate);
  fleet.Run(kWarm);

  const double sent_before = fleet.sent();
  const Time begin = fleet.now();
  const int steps = static_cast<int>(crowd.duration * (1s / throttle::Fleet::kStep));
  const double lost_each_step = crowd.churn * crowd.count / 60 *
                                std::chrono::duration<double>(throttle::Fleet::kStep).count();
  std::bernoulli_distribution known(0.5);
  double due = 0, excess = 0;
  std::deque<std::pair<Time, int>> away;
  for (int i = 0; i < steps; ++i) {
    for (due += lost_each_step; due >= 1; due -= 1) {
      const int worker = static_cast<int>(random() % fleet.workers());
      if (!fleet.IsAlive(worker) || !fleet.IsConnected(worker)) continue;
      if (known(random)) {  // a pod was deleted, and another one takes its place
        fleet.Kill(worker);
        fleet.Join(capacity);
      } else {  // a stream broke, and comes back
        fleet.Leave(worker);
        away.emplace_back(fleet.now() + 2s, worker);
      }
    }
    while (!away.empty() && away.front().first <= fleet.now()) {
      fleet.Reconnect(away.front().second);
      away.pop_front();
    }
    if (i == steps / 2) {
      const int cut = static_cast<int>(crowd.cut_off * crowd.count);
      for (int worker = 0, done = 0; done < cut && worker < static_cast<int>(fleet.workers());
           ++worker) {
        if (!fleet.IsAlive(worker) || !fleet.IsConnected(worker)) continue;
        fleet.Partition(worker);
        ++done;
      }
    }
    fleet.Step();
    excess = std::max(excess, fleet.Believed() - kRate);
  }
  const double seconds = std::chrono::duration<double>(fleet.now() - begin).count();
  return {{"used", 100 * (fleet.sent() - sent_before) / (kRate * seconds)},
          {"excess", std::max(0.0, excess)},
          {"broken", fleet.broken().empty() ? 0.0 : 1.0}};
}

}  // namespace

CrowdFigures Simulate(const Crowd& crowd, std::uint64_t seed) {
  switch (crowd.kind) {
    case CrowdKind::kPartitions:
      return RunPartitions(crowd, seed);
    case CrowdKind::kBackfills:
      return RunNeighbours(crowd, seed);
    case CrowdKind::kGroup:
      return RunFamily(crowd, seed);
    case CrowdKind::kWorkers:
      return RunWorkers(crowd, seed);
  }
  std::abort();
}

}  // namespace backfill::throttle_bench
