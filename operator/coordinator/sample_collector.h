#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "operator/reconcile/stage_host.h"

namespace backfill::coordinator {

// Which rendered requests of a dry run are kept for the report: the first 10 in the order of the
// plan, and one of each tenth of the shards. Not thread-safe. Bounded whatever the workers send.
class SampleCollector {
 public:
  static constexpr std::size_t kFirst = 10;
  static constexpr std::size_t kSpread = 10;
  static constexpr std::size_t kMaxKey = 256;       // bytes
  static constexpr std::size_t kMaxRequest = 4096;  // bytes

  // `chunks`: how many the ledger has.
  explicit SampleCollector(int chunks) : chunks_(chunks) {}

  void Add(ShardId shard, const std::string& key, const std::string& request);
  // In the order of the shards.
  [[nodiscard]] std::vector<reconcile::Sample> Samples() const;

 private:
  using Place = std::pair<ShardId, std::uint64_t>;  // the number is the order of arrival

  const int chunks_;
  std::uint64_t arrivals_ = 0;
  std::map<Place, reconcile::Sample> first_;
  std::map<std::size_t, std::pair<Place, reconcile::Sample>> spread_;  // by tenth
};

}  // namespace backfill::coordinator
