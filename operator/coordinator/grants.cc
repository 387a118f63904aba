#include "operator/coordinator/grants.h"

#include <algorithm>
#include <cmath>

namespace backfill::coordinator {
namespace {

// Workers are told what they may do; what they say about themselves is taken with bounds.
double Bounded(double value, double most) {
  return std::isfinite(value) ? std::clamp(value, 0.0, most) : 0.0;
}

}  // namespace

Grants::Grants(const throttle::RateShareOptions& options, int batch_size)
    : options_(options), batch_size_(batch_size), share_(options, batch_size) {}

void Grants::Stop(Time now) {
  free_running_ = false;
  share_.SetRate(0, now);
}

void Grants::Limit(double records_per_second, Time now) {
  limited_ = true;
  free_running_ = false;
  share_.SetRate(Bounded(records_per_second, kFree), now);
}

void Grants::Free(Time now) {
  limited_ = false;
  free_running_ = true;
  share_.SetRate(0, now);
}

void Grants::SetTimes(const throttle::GrantTimes& times, Time now) {
  if (times == options_.times) return;
  options_.times = times;
  share_.SetTimes(times, now);
  for (auto& [session, member] : members_) member.renew_at = now;
}

void Grants::Join(SessionId session, const std::string& process, const std::optional<Held>& held,
                  Time now) {
  // The same process on a new stream: what it says it holds replaces what the old stream was given.
  if (const auto it = processes_.find(process); it != processes_.end()) {
    share_.Forget(it->second.session);
    members_.erase(it->second.session);
  }
  processes_[process] = {.session = session, .left = std::nullopt};
  share_.Join(session, now);
  if (held) {
    const Duration valid_for =
        std::clamp(held->valid_for, Duration::zero(), throttle::kMostGrantTtl);
    const double rate = Bounded(held->records_per_second, kFree);
    if (limited_ && valid_for > Duration::zero() && rate > 0) {
      share_.Adopt(session, rate, valid_for, now);
    }
  }
  // As if the share had given the number before its first: the next one is new, whoever gives it.
  members_.emplace(
      session, Member{.share_sequence = std::max<std::uint64_t>(1, options_.first_sequence) - 1});
}

void Grants::Leave(SessionId session, Time now) {
  members_.erase(session);
  share_.Leave(session);
  for (auto& [name, known] : processes_) {
    if (known.session == session) known.left = now;
  }
}

void Grants::ProcessGone(const std::string& process) {
  const auto it = processes_.find(process);
  if (it == processes_.end()) return;
  share_.Forget(it->second.session);
  members_.erase(it->second.session);
  processes_.erase(it);
}

void Grants::OnDemand(SessionId session, double wanted, std::uint64_t grant_sequence, Time now) {
  const auto it = members_.find(session);
  if (it == members_.end()) return;
  const std::uint64_t shared = grant_sequence - std::min(grant_sequence, it->second.sent);
  share_.OnDemand(session, {.wanted = Bounded(wanted, kFree), .grant_sequence = shared}, now);
}

std::vector<throttle::GrantAction> Grants::Tick(Time now) {
  // After its grant has expired nothing depends on a process that is away.
  std::erase_if(processes_, [&](const auto& entry) {
    return entry.second.left && now - *entry.second.left > throttle::kMostGrantTtl;
  });
  std::vector<throttle::GrantAction> actions;
  if (limited_) {
    actions = share_.Tick(now);
    for (throttle::GrantAction& action : actions) {
      Member& grant = members_[action.session];
      grant.share_sequence = action.sequence;
      action.sequence += grant.sent;
    }
    return actions;
  }
  for (auto& [session, grant] : members_) {
    if (grant.sent != 0 && grant.running == free_running_ && now < grant.renew_at) continue;
    grant.sent += 1;
    grant.running = free_running_;
    grant.renew_at = now + options_.times.refresh;
    actions.push_back({.session = session,
                       .sequence = grant.share_sequence + grant.sent,
                       .records_per_second = free_running_ ? kFree : 0,
                       .burst = free_running_ ? kFree : batch_size_,
                       .valid_for = options_.times.ttl});
  }
  return actions;
}

double Grants::InForce(Time now) const { return limited_ ? share_.Outstanding(now) : 0; }

std::optional<double> Grants::Reported(Time now) const {
  return limited_ ? share_.Reported(now) : std::nullopt;
}

}  // namespace backfill::coordinator
