#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/place.h"
#include "cli/run_by.h"
#include "operator/api/backfill.h"

// A stored backfill as text, for `status`. Pure.
namespace backfill::cli {

struct StatusView {
  WallTime now;
  bool color = false;
  bool wide = false;  // of a table: also shards, workers, plan, reason
  Place place;
  std::optional<RunBy> runner;  // who runs it now
};

// One backfill in full.
std::string DescribeBackfill(const api::Backfill& backfill, const StatusView& view);

struct ListedBackfill {
  api::Backfill backfill;
  bool is_run = false;  // someone runs it now
};

// One line each.
std::string TabulateBackfills(const std::vector<ListedBackfill>& backfills, const StatusView& view);

}  // namespace backfill::cli
