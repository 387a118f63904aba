#include "operator/coordinator/sample_collector.h"

#include <algorithm>

#include "operator/ledger/ledger.h"

namespace backfill::coordinator {
namespace {

// At most `size` bytes, not cut inside a UTF-8 character.
std::string Cut(const std::string& text, std::size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return text.substr(0, size);
}

}  // namespace

void SampleCollector::Add(ShardId shard, const std::string& key, const std::string& request) {
  const Place place{shard, arrivals_++};
  const reconcile::Sample sample{Cut(key, kMaxKey), Cut(request, kMaxRequest)};
  const auto slots =
      static_cast<std::size_t>(ledger::kSlotsPerChunk) * static_cast<std::size_t>(chunks_);
  const auto tenth = std::min(kSpread - 1, static_cast<std::size_t>(shard.value) * kSpread / slots);
  spread_.try_emplace(tenth, place, sample);
  if (first_.size() < kFirst || place < std::prev(first_.end())->first) {
    first_.emplace(place, sample);
    if (first_.size() > kFirst) first_.erase(std::prev(first_.end()));
  }
}

std::vector<reconcile::Sample> SampleCollector::Samples() const {
  std::map<Place, reconcile::Sample> all = first_;
  for (const auto& [tenth, entry] : spread_) all.insert(entry);
  std::vector<reconcile::Sample> samples;
  samples.reserve(all.size());
  for (const auto& [place, sample] : all) samples.push_back(sample);
  return samples;
}

}  // namespace backfill::coordinator
