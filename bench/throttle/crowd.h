#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "bench/throttle/scenario.h"

// Several of something at once: partitions of a target, backfills on one target, workers of one
// backfill. What they are made of is what is shipped: PartitionGovernors, Governor, RateShare. The
// format of the files: README.md beside this.
namespace backfill::throttle_bench {

enum class CrowdKind { kPartitions, kBackfills, kGroup, kWorkers };

struct Crowd {
  std::string name;
  std::string title;  // "18 hot partition"
  CrowdKind kind = CrowdKind::kBackfills;
  int count = 2;
  int duration = 7200;  // s
  // kPartitions: the share of its capacity that the first of them has.
  double hot = 1;
  // kWorkers: of all, in a minute; and of all, cut off for good in the middle.
  double churn = 0;
  double cut_off = 0;
  std::vector<Gate> gates = {};
};

// kPartitions: over (% of time, mean of the partitions), thr (% of what each partition can take),
// and of one governor for all of them, which sees the worst partition: one_over, one_thr.
// kBackfills: over, thr, jain (index of fairness of what they sent in the second half; 1: equal),
// and of one backfill alone: single_over, single_thr.
// kGroup: the same of backfills that share a governor (GroupShare), and over_beyond (over less
// twice single_over) and excess (records/s that they had together above the rate of the group, at
// most, where it was not higher than that before). kWorkers: used (% of the rate that is sent),
// excess (records/s of grants above the rate, at most), broken (promises of RateShare that did not
// hold).
using CrowdFigures = std::map<std::string, double>;

// kInvalid: what is wrong.
Result<Crowd> ParseCrowd(const std::string& text);
// All *.yaml of a folder, by name. kNotFound: there are none.
Result<std::vector<Crowd>> ReadCrowds(const std::string& folder);

CrowdFigures Simulate(const Crowd& crowd, std::uint64_t seed);

struct CrowdResult {
  std::string title;
  CrowdFigures figures;  // means over the seeds
  std::string missed;    // gates; empty: all are kept
};
std::vector<CrowdResult> HoldCrowds(const std::vector<Crowd>& crowds, std::uint64_t first_seed,
                                    int seeds);

// A section of the page.
std::string ToMarkdown(const std::vector<CrowdResult>& results, int seeds);

}  // namespace backfill::throttle_bench
