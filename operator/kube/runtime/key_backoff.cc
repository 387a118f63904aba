#include "operator/kube/runtime/key_backoff.h"

#include <algorithm>
#include <limits>

namespace backfill::kube {

Duration KeyBackoff::Next(const ObjectKey& key, Time now) {
  const Duration of_all = bucket_.Reserve(now);
  const auto found = failures_.find(key);
  if (found == failures_.end() && failures_.size() >= options_.max_keys) {
    return std::max(of_all, options_.longest);
  }
  int& failures = failures_[key];
  const Duration of_key = OfFailure(failures);
  if (failures < std::numeric_limits<int>::max()) ++failures;
  return std::max(of_all, of_key);
}

int KeyBackoff::failures(const ObjectKey& key) const {
  const auto found = failures_.find(key);
  return found == failures_.end() ? 0 : found->second;
}

Duration KeyBackoff::OfFailure(int earlier) const {
  Duration delay = options_.first;
  for (int i = 0; i < earlier && delay < options_.longest; ++i) delay *= 2;
  return std::min(delay, options_.longest);
}

}  // namespace backfill::kube
