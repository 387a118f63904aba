#pragma once

#include <string>
#include <vector>

#include "cli/environment.h"
#include "cli/place.h"
#include "operator/ledger/shard.h"

namespace backfill::cli {

struct ShardsOptions {
  std::string name;
  std::string output = "text";  // text, json: one object a line
  Place place;
};

// Prints the shards of the dry run while the backfill is one, of the real run after that, as they
// stand in the ledger.
int RunShards(const ShardsOptions& options, const Environment& env);

// In the order of their ranges. Pure.
std::string ShardsToTable(std::vector<ledger::Shard> shards);
std::string ShardsToJsonLines(std::vector<ledger::Shard> shards);

}  // namespace backfill::cli
