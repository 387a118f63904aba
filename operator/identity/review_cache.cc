#include "operator/identity/review_cache.h"

#include <algorithm>
#include <utility>

namespace backfill::identity {

std::optional<ReviewCache::Review> ReviewCache::Find(const std::string& digest, Time now) const {
  const auto it = entries_.find(digest);
  if (it == entries_.end() || now >= it->second.until) return std::nullopt;
  return it->second.review;
}

void ReviewCache::Learn(const std::string& digest, const Review& review,
                        std::optional<Duration> valid, Time now) {
  Duration keep = options_.refused;
  if (review.ok()) keep = std::min(options_.accepted, valid.value_or(options_.accepted));
  if (const auto known = entries_.find(digest); known != entries_.end()) Forget(known);
  if (keep <= Duration::zero() || options_.entries == 0) return;
  if (entries_.size() >= options_.entries) Forget(entries_.find(order_.begin()->second));
  entries_.emplace(digest, Entry{.review = review, .until = now + keep, .learned = ++learned_});
  order_.emplace(learned_, digest);
}

void ReviewCache::Forget(std::map<std::string, Entry>::iterator it) {
  order_.erase(it->second.learned);
  entries_.erase(it);
}

}  // namespace backfill::identity
