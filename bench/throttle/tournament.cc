#include "bench/throttle/tournament.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <thread>
#include <utility>

namespace backfill::throttle_bench {
namespace {

// The gates over all scenarios.
constexpr double kMostOver = 2;
constexpr double kMostCritical = 10;
constexpr double kWideOver = 0.25;  // more than with the usual limit
constexpr double kWideSeverity = 1.5;
constexpr double kWideThroughput = 0.9;

struct Job {
  const Scenario* scenario = nullptr;
  const Contestant* contestant = nullptr;
  double limit = 0;
  Figures* mean = nullptr;
};

Figures MeanOfSeeds(const Job& job, std::uint64_t first_seed, int seeds) {
  Figures mean;
  for (int i = 0; i < seeds; ++i) {
    const auto controller = job.contestant->make(*job.scenario, job.limit);
    const Figures figures =
        Simulate(*job.scenario, *controller, job.limit, first_seed + static_cast<std::uint64_t>(i));
    for (std::size_t f = 0; f < kFigures; ++f) Figure(mean, f) += Figure(figures, f) / seeds;
  }
  return mean;
}

void Play(const std::vector<Job>& jobs, const TournamentOptions& options) {
  std::atomic<std::size_t> next = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < std::max(1, options.threads); ++i) {
    threads.emplace_back([&] {
      for (std::size_t j = next++; j < jobs.size(); j = next++)
        *jobs[j].mean = MeanOfSeeds(jobs[j], options.first_seed, options.seeds);
    });
  }
}

std::string Missed(const Figures& figures, const std::vector<Gate>& gates) {
  std::string missed;
  for (const Gate& gate : gates) {
    const auto& names = FigureNames();
    const auto index = static_cast<std::size_t>(std::find(names.begin(), names.end(), gate.figure) -
                                                names.begin());
    const double value = Figure(figures, index);
    // NaN misses either.
    if (gate.most && !(value <= *gate.most))
      missed += fmt::format("{}{} {:.2f} > {:g}", missed.empty() ? "" : ", ", gate.figure, value,
                            *gate.most);
    if (gate.least && !(value >= *gate.least))
      missed += fmt::format("{}{} {:.2f} < {:g}", missed.empty() ? "" : ", ", gate.figure, value,
                            *gate.least);
  }
  return missed;
}

}  // namespace

Figures Tournament::Mean(std::size_t limit, std::size_t contestant) const {
  Figures mean;
  for (const auto& scenario : results.at(limit)) {
    for (std::size_t f = 0; f < kFigures; ++f)
      Figure(mean, f) +=
          Figure(scenario.at(contestant), f) / static_cast<double>(results[limit].size());
  }
  return mean;
}

Tournament Hold(const TournamentOptions& options) {
  Tournament t;
  t.limits = options.limits;
  for (const Contestant& c : options.contestants) t.contestants.emplace_back(c.name);
  for (const Scenario& s : options.scenarios)
    (s.variant ? t.variants : t.scenarios).push_back(s.title);
  t.results.assign(t.limits.size(),
                   std::vector(t.scenarios.size(), std::vector<Figures>(t.contestants.size())));
  t.variant_results.resize(t.variants.size());

  std::vector<Job> jobs;
  std::size_t scenario = 0;
  std::size_t variant = 0;
  for (const Scenario& s : options.scenarios) {
    if (s.variant) {
      jobs.push_back({.scenario = &s,
                      .contestant = &options.contestants.back(),
                      .limit = t.limits.front(),
                      .mean = &t.variant_results[variant++]});
      continue;
    }
    for (std::size_t limit = 0; limit < t.limits.size(); ++limit) {
      for (std::size_t c = 0; c < options.contestants.size(); ++c)
        jobs.push_back({.scenario = &s,
                        .contestant = &options.contestants[c],
                        .limit = t.limits[limit],
                        .mean = &t.results[limit][scenario][c]});
    }
    ++scenario;
  }
  Play(jobs, options);
  return t;
}

std::vector<Verdict> Judge(const Tournament& tournament, const std::vector<Scenario>& scenarios) {
  std::vector<Verdict> verdicts;
  const std::size_t governor = tournament.contestants.size() - 1;
  std::size_t scenario = 0;
  std::size_t variant = 0;
  for (const Scenario& s : scenarios) {
    const Figures& figures = s.variant ? tournament.variant_results[variant++]
                                       : tournament.results[0][scenario++][governor];
    verdicts.push_back({.what = s.title, .missed = Missed(figures, s.gates)});
  }
  const Figures mean = tournament.Mean(0, governor);
  verdicts.push_back(
      {.what = "means",
       .missed = Missed(mean, {{.figure = "over", .most = kMostOver, .least = {}},
                               {.figure = "crit_s", .most = kMostCritical, .least = {}}})});
  if (tournament.limits.size() < 2) return verdicts;
  verdicts.push_back(
      {.what = fmt::format("17 limit {:g}/s, means", tournament.limits[1]),
       .missed = Missed(tournament.Mean(1, governor),
                        {{.figure = "over", .most = mean.over + kWideOver, .least = {}},
                         {.figure = "sev", .most = mean.sev * kWideSeverity, .least = {}},
                         {.figure = "thr", .most = {}, .least = mean.thr * kWideThroughput}})});
  return verdicts;
}

}  // namespace backfill::throttle_bench
