#pragma once

#include <string>
#include <vector>

#include "bench/throttle/tournament.h"

namespace backfill::throttle_bench {

// The page for people, with every loss in it.
std::string ToMarkdown(const Tournament& tournament, const std::vector<Verdict>& verdicts,
                       const TournamentOptions& options);
// The same figures for programs.
std::string ToJson(const Tournament& tournament, const std::vector<Verdict>& verdicts,
                   const TournamentOptions& options);

}  // namespace backfill::throttle_bench
