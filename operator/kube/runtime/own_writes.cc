#include "operator/kube/runtime/own_writes.h"

#include <algorithm>

namespace backfill::kube {

void OwnWrites::OnWrite(const ObjectKey& key, const ObjectVersion& written, Time now) {
  Await(key, written, false, now);
}

void OwnWrites::OnLiveRead(const ObjectKey& key, const ObjectVersion& read, Time now) {
  Await(key, read, true, now);
}

OwnWrites::Gate OwnWrites::Check(const ObjectKey& key, const CacheView& caches, Time now) {
  const auto found = keys_.find(key);
  if (found == keys_.end()) return {};
  auto& awaited = found->second.awaited;
  std::erase_if(awaited, [&](const auto& entry) {
    const auto& [resource, object] = entry.first;
    return caches.HasSeen(resource, object, entry.second.version);
  });
  if (awaited.empty()) return {};

  Time oldest = now;
  Time latest = Time::min();
  for (const auto& [object, write] : awaited) {
    oldest = std::min(oldest, write.since);
    latest = std::max(latest, write.since);
  }
  if (now - oldest >= options_.patience) {
    keys_.erase(found);
    return {.open = true, .look_again = {}, .gave_up = true};
  }
  // At first the event is under way, and comes with the next look; later it is a matter of seconds.
  return {.open = false,
          .look_again = std::clamp<Duration>(now - latest, options_.soonest, options_.latest),
          .gave_up = false};
}

bool OwnWrites::MustReadLive(const ObjectKey& key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() || !found->second.read_live;
}

void OwnWrites::Await(const ObjectKey& key, const ObjectVersion& object, bool read_live, Time now) {
  auto found = keys_.find(key);
  if (found == keys_.end()) {
    if (keys_.size() >= options_.max_keys) return;
    found = keys_.try_emplace(key).first;
  }
  found->second.read_live |= read_live;
  found->second.awaited[{object.resource, object.object}] = {.version = object.version,
                                                             .since = now};
}

}  // namespace backfill::kube
