#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "cli/ending.h"
#include "cli/place.h"
#include "operator/api/backfill.h"

namespace backfill::cli {

struct SummaryView {
  std::optional<Ending> ending;                   // nullopt: stopped on request
  Duration took{};                                // this run of the program
  std::uint64_t records_before = 0;               // had an outcome when it began
  std::map<std::string, std::uint64_t> failures;  // by class, if known
  Place place;
  std::string file;    // that was run
  bool stored = true;  // all that was done; else the next run does some of it again
  bool color = false;
};

// What a run has come to, and what to do next: some lines, each with its line feed. Pure.
std::string Summarize(const api::Backfill& backfill, const SummaryView& view);

}  // namespace backfill::cli
