#include "operator/coordinator/partition_share.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

namespace backfill::coordinator {
namespace {

// Of a partition's rate, for those that have records of it, where there are others.
constexpr double kForActive = 0.9;

bool LowersAny(const reconcile::PartitionRates& from, const reconcile::PartitionRates& to) {
  return to.others < from.others ||
         std::ranges::any_of(
             from.named,
             [&](const auto& entry) {
               const auto now = to.named.find(entry.first);
               return (now == to.named.end() ? to.others : now->second) < entry.second;
             });
}

}  // namespace

void PartitionShare::SetRates(const reconcile::PartitionRates& rates) {
  if (rates_ == rates) return;
  // A cut does not wait.
  deal_now_ = deal_now_ || !rates_ || LowersAny(*rates_, rates);
  rates_ = rates;
  const auto sane = [](double rate) { return std::isfinite(rate) ? std::max(rate, 0.0) : 0.0; };
  rates_->others = sane(rates.others);
  while (rates_->named.size() > kMax) rates_->named.erase(std::prev(rates_->named.end()));
  for (auto& [name, rate] : rates_->named) rate = sane(rate);
}

void PartitionShare::Join(SessionId session, const std::string& process) {
  Member& member = members_[process];
  sessions_.erase(member.session);
  // Its totals go on: the process is the same.
  member.session = session;
  member.left = false;
  member.sent_at.reset();
  sessions_[session] = process;
  deal_now_ = true;
}

void PartitionShare::Leave(SessionId session) {
  if (Member* member = Find(session)) member->left = true;
  sessions_.erase(session);
}

PartitionShare::Member* PartitionShare::Find(SessionId session) {
  const auto known = sessions_.find(session);
  if (known == sessions_.end()) return nullptr;
  const auto member = members_.find(known->second);
  return member == members_.end() ? nullptr : &member->second;
}

std::string PartitionShare::Counted(const std::string& name) {
  if (meters_.contains(name)) return name;
  // One of them has no name.
  if (meters_.size() > kMax) return "";
  meters_.try_emplace(name);
  return name;
}

void PartitionShare::OnReport(SessionId session,
                              const std::map<std::string, PartitionTotals>& totals, Time now) {
  Member* member = Find(session);
  if (member == nullptr) return;
  for (auto& [name, seen] : member->partitions) {
    if (totals.contains(name)) continue;
    seen.last.waiting = 0;
    seen.last.limited = false;
  }
  meters_.try_emplace("");
  for (const auto& [name, said] : totals) {
    const std::string counted = Counted(name);
    const auto [at, first] = member->partitions.try_emplace(counted);
    Seen& seen = at->second;
    // As for all attempts: the first report is where counting begins.
    const std::uint64_t grown =
        !first && said.attempts > seen.last.attempts ? said.attempts - seen.last.attempts : 0;
    if (grown > 0) meters_.at(counted).Add(grown, 0, now);
    if (grown > 0 || said.waiting > 0) seen.active = now;
    seen.last = said;
  }
}

// What each would get now.
void PartitionShare::Deal(Time now) {
  dealt_.clear();
  const auto workers = static_cast<double>(members_.size());
  for (const auto& [process, member] : members_) {
    if (member.left) continue;
    dealt_[member.session] = {
        .session = member.session, .caps = {}, .others = rates_->others / workers};
  }
  for (const auto& [name, rate] : rates_->named) {
    std::map<SessionId, bool> active;
    double have = 0;
    for (const auto& [process, member] : members_) {
      const auto seen = member.partitions.find(name);
      const bool has = seen != member.partitions.end() && seen->second.active &&
                       now - *seen->second.active < kActiveFor;
      have += has ? 1 : 0;
      if (!member.left) active[member.session] = has;
    }
    const double have_not = workers - have;
    const double for_active = have == 0 ? 0 : have_not == 0 ? rate : kForActive * rate;
    for (const auto& [session, has] : active) {
      dealt_[session].caps[name] = has ? for_active / have : (rate - for_active) / have_not;
    }
  }
}

std::vector<PartitionAction> PartitionShare::Tick(Time now) {
  std::erase_if(members_,
                [&](const auto& entry) { return entry.second.left && now > entry.second.expires; });
  std::vector<PartitionAction> actions;
  if (!rates_ || members_.empty()) return actions;
  if (!deal_now_ && now - dealt_at_ < kDealEvery) return actions;
  deal_now_ = false;
  dealt_at_ = now;
  Deal(now);
  for (auto& [process, member] : members_) {
    if (member.left) continue;
    const PartitionAction& deal = dealt_.at(member.session);
    const bool same = member.sent.caps == deal.caps && member.sent.others == deal.others;
    if (member.sent_at && same && now - *member.sent_at < times_.refresh) continue;
    member.sent = deal;
    member.sent.valid_for = times_.ttl;
    member.sent_at = now;
    member.expires = std::max(member.expires, now + times_.ttl);
    actions.push_back(member.sent);
  }
  return actions;
}

std::map<std::string, reconcile::PartitionFlow> PartitionShare::Flows(Time now) const {
  std::map<std::string, reconcile::PartitionFlow> flows;
  for (const auto& [name, meter] : meters_) {
    reconcile::PartitionFlow flow{.attempts_per_second = meter.PerSecond(now)};
    for (const auto& [process, member] : members_) {
      const auto seen = member.partitions.find(name);
      if (member.left || seen == member.partitions.end()) continue;
      flow.waiting += seen->second.last.waiting;
      flow.limited = flow.limited || seen->second.last.limited;
    }
    if (flow.attempts_per_second > 0 || flow.waiting > 0) flows.emplace(name, flow);
  }
  return flows;
}

}  // namespace backfill::coordinator
