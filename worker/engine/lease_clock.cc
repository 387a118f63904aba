#include "worker/engine/lease_clock.h"

#include <algorithm>

namespace backfill::worker {

std::uint64_t LeaseClock::OnSend(Time now) {
  ++last_sent_;
  sent_[last_sent_ % kRemembered] = now;
  return last_sent_;
}

std::optional<Time> LeaseClock::SentAt(std::uint64_t sequence) const {
  if (sequence == 0 || sequence > last_sent_ || last_sent_ - sequence >= kRemembered)
    return std::nullopt;
  return sent_[sequence % kRemembered];
}

bool LeaseClock::Add(const LeaseKey& lease, std::uint64_t answers, Time now) {
  const auto sent = SentAt(answers);
  if (!sent || *sent + fence_ <= now) return false;
  ends_[lease] = *sent + fence_;
  return true;
}

void LeaseClock::Extend(const LeaseKey& lease, std::uint64_t answers, Time now) {
  const auto it = ends_.find(lease);
  // An expired lease may belong to another worker by now: no answer brings it back, however fresh.
  if (it == ends_.end() || it->second <= now) return;
  const auto sent = SentAt(answers);
  if (sent) it->second = std::max(it->second, *sent + fence_);
}

bool LeaseClock::MaySend(const LeaseKey& lease, Time now) const {
  const auto it = ends_.find(lease);
  return it != ends_.end() && now < it->second;
}

std::optional<Time> LeaseClock::End(const LeaseKey& lease) const {
  const auto it = ends_.find(lease);
  if (it == ends_.end()) return std::nullopt;
  return it->second;
}

std::vector<LeaseKey> LeaseClock::Expire(Time now) {
  std::vector<LeaseKey> expired;
  std::erase_if(ends_, [&](const auto& e) {
    if (now < e.second) return false;
    expired.push_back(e.first);
    return true;
  });
  return expired;
}

}  // namespace backfill::worker
