#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/throttle/contestant.h"
#include "bench/throttle/plant.h"
#include "bench/throttle/scenario.h"

// All contestants in all scenarios with all seeds, and whether the governor keeps its gates.
namespace backfill::throttle_bench {

inline constexpr double kLimit = 600;  // records/s
inline constexpr double kWide = 2000;  // the same again with a limit far above what is possible

struct TournamentOptions {
  std::vector<Contestant> contestants;  // the governor last
  std::vector<Scenario> scenarios;
  std::vector<double> limits = {kLimit, kWide};
  std::uint64_t first_seed = 0;
  int seeds = 10;
  int threads = 2;
};

struct Tournament {
  std::vector<std::string> contestants;
  std::vector<std::string> scenarios;  // without the variants
  std::vector<double> limits;
  // Means over the seeds: [limit][scenario][contestant].
  std::vector<std::vector<std::vector<Figures>>> results;
  std::vector<std::string> variants;
  std::vector<Figures> variant_results;  // of the governor, at the first limit

  // Over the scenarios, of one contestant at one limit.
  [[nodiscard]] Figures Mean(std::size_t limit, std::size_t contestant) const;
};

Tournament Hold(const TournamentOptions& options);

struct Verdict {
  std::string what;    // a scenario, or what is judged over all of them
  std::string missed;  // "over 0.61 > 0.5"; empty: kept
};

// The gates of the scenarios, then those over all of them where all were run.
std::vector<Verdict> Judge(const Tournament& tournament, const std::vector<Scenario>& scenarios);

}  // namespace backfill::throttle_bench
