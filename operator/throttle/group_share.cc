#include "operator/throttle/group_share.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>

namespace backfill::throttle {
namespace {

// Above any rate in use: keeps sums finite whatever is said.
constexpr double kHighest = 1e12;
// Sums of doubles are not exact.
constexpr double kInexact = 1e-9;
// Of a fair share: what even a member gets that wants nothing, so that it can show that it does.
constexpr double kTasting = 0.02;
// Of what is sent: room to show that more would be.
constexpr double kMargin = 1.2;
// Below so much of what it was taken to want, a member is taken to want less.
constexpr double kMuchLess = 0.7;
// One that does not wait for this long leaves to others what it does not use. Two ticks: a moment
// without records is no reason to share anew.
constexpr Duration kPatience = 20s;
constexpr double kLeastWeight = 1e-3, kMostWeight = 1e6;

double AsRate(double rate) {
  if (!(rate > 0)) return 0;  // NaN, too
  return std::min(rate, kHighest);
}

}  // namespace

void FillByWeight(double rate, std::vector<Share>& shares) {
  std::vector<std::size_t> order(shares.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto level = [&shares](std::size_t i) {
    return std::pair(shares[i].most / shares[i].weight, i);
  };
  // Who is satisfied soonest comes first, and leaves the rest of what is theirs to the others.
  std::ranges::sort(order, {}, level);
  double weights = 0;
  for (const Share& share : shares) weights += share.weight;
  double left = rate * (1 - kInexact);
  for (const std::size_t i : order) {
    Share& share = shares[i];
    const double fair = weights > 0 ? left * share.weight / weights : 0;
    share.gets = std::clamp(fair, 0.0, share.most);
    left -= share.gets;
    weights -= share.weight;
  }
}

void GroupShare::SetRate(double records_per_second) { rate_ = AsRate(records_per_second); }

double GroupShare::InForce(const Place& place, Time now) {
  const double lingers = now < place.lingers_until ? place.lingers : 0;
  if (!place.here) return lingers;
  return std::max({lingers, place.believed, place.member.open ? place.member.in_force : 0});
}

// What is in force is seen no more from now on, and ends by itself.
void GroupShare::Linger(Place& place, Time now) const {
  place.lingers = InForce(place, now);
  place.lingers_until = now + longest_grant_;
  place.allowed = place.believed = 0;
}

double GroupShare::InForce(Time now) const {
  double sum = 0;
  for (const auto& [name, place] : places_) sum += InForce(place, now);
  return sum;
}

double GroupShare::Reported() const {
  double sum = 0;
  for (const auto& [name, place] : places_) sum += place.here ? place.reported : 0;
  return sum;
}

std::size_t GroupShare::members() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(places_, [](const auto& entry) { return entry.second.here; }));
}

bool GroupShare::Empty(Time now) const { return members() == 0 && InForce(now) <= 0; }

void GroupShare::NoteAppetite(Place& place, Time now) {
  const GroupMember& member = place.member;
  if (member.waits) {
    place.hungry = true;
    place.full_since.reset();
  } else if (!place.full_since) {
    place.full_since = now;
  } else if (now - *place.full_since >= kPatience) {
    place.hungry = false;
  }
  const double wants = kMargin * AsRate(member.sent);
  if (wants > place.appetite || wants < kMuchLess * place.appetite) place.appetite = wants;
}

void GroupShare::Update(std::string_view name, const GroupMember& member, Time now) {
  auto it = places_.find(name);
  if (it == places_.end()) it = places_.emplace(std::string(name), Place{}).first;
  Place& place = it->second;
  if (place.here && place.member.open && !member.open) Linger(place, now);
  place.here = true;
  if (member.seen) place.believed = place.allowed;
  place.member = member;
  place.member.weight = std::clamp(AsRate(member.weight), kLeastWeight, kMostWeight);
  place.member.limit = AsRate(member.limit);
  place.member.in_force = AsRate(member.in_force);
  if (member.reported) place.reported = AsRate(*member.reported);
  if (!member.open) place.reported = 0;
  NoteAppetite(place, now);
}

void GroupShare::Leave(std::string_view name, Time now) {
  const auto it = places_.find(name);
  if (it == places_.end() || !it->second.here) return;
  Place& place = it->second;
  // One that is closed has begun to linger when it was closed.
  if (place.member.open) Linger(place, now);
  place.here = false;
  place.allowed = place.believed = 0;
  place.reported = 0;
  if (InForce(place, now) <= 0) places_.erase(it);
}

void GroupShare::SetTargetsWhileLearning() {
  const double reported = Reported();
  const double scale = reported > rate_ ? rate_ / reported : 1;
  for (auto& [name, place] : places_)
    place.target = place.here ? std::min(place.reported * scale, place.member.limit) : 0;
}

// First what each makes use of, by weight; what nobody makes use of goes to all that may have more.
void GroupShare::SetTargets(Time now) {
  for (auto& [name, place] : places_) place.target = 0;
  if (Learns(now)) return SetTargetsWhileLearning();
  std::vector<Place*> eligible;
  double weights = 0;
  for (auto& [name, place] : places_) {
    if (!place.here || !place.member.open || place.member.limit <= 0) continue;
    eligible.push_back(&place);
    weights += place.member.weight;
  }
  std::vector<Share> shares;
  for (const Place* place : eligible) {
    const double tasting = kTasting * rate_ * place->member.weight / weights;
    const double wants = place->hungry ? kHighest : std::max(place->appetite, tasting);
    shares.push_back(
        {.weight = place->member.weight, .most = std::min(wants, place->member.limit)});
  }
  FillByWeight(rate_, shares);
  double left = rate_;
  for (std::size_t i = 0; i < eligible.size(); ++i) {
    eligible[i]->target = shares[i].gets;
    left -= shares[i].gets;
    shares[i].most = eligible[i]->member.limit - shares[i].gets;
  }
  FillByWeight(std::max(0.0, left), shares);
  for (std::size_t i = 0; i < eligible.size(); ++i) eligible[i]->target += shares[i].gets;
}

double GroupShare::Allow(std::string_view name, Time now) {
  std::erase_if(places_, [now](const auto& entry) {
    return !entry.second.here && now >= entry.second.lingers_until;
  });
  const auto it = places_.find(name);
  if (it == places_.end() || !it->second.here) return 0;
  SetTargets(now);
  Place& place = it->second;
  // Less at once, more of what is free only. What counts for it already it may have; but while more
  // could be in force than the rate, only what is seen of it: the rest may have ended.
  const double free = rate_ - InForce(now);
  const double known = place.member.seen ? place.member.in_force : place.allowed;
  const double most = free >= 0 ? InForce(place, now) + free : place.member.open ? known : 0;
  place.allowed = std::min(place.target, most);
  place.believed = std::max(place.believed, place.allowed);
  return place.allowed;
}

}  // namespace backfill::throttle
