#include "operator/throttle/rate_share.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

namespace backfill::throttle {
namespace {

// A grant that differs by less waits for the next refresh: figures of workers are never quite
// still.
constexpr double kSlack = 0.05;
// Of a fair share: what even a worker gets that wants nothing, so that it can show that it does
// want something.
constexpr double kToehold = 0.02;
// Tokens of one batch take at most 5 s to gather; with less, fewer workers share the rate.
constexpr double kBatchesPerSecond = 0.2;
// Depth of a worker's token bucket: what it may send at once after a pause (docs/adr/0001).
constexpr double kBurstSeconds = 0.25;
// Unacknowledged grants kept apart per worker; older ones are counted as one.
constexpr std::size_t kMaxSent = 16;
// Above any rate in use: keeps sums finite whatever a worker says.
constexpr double kMaxRate = 1e12;
// Sums of doubles are not exact.
constexpr double kRounding = 1e-9;

double Sane(double rate) {
  if (!(rate > 0)) return 0;  // NaN, too
  return std::min(rate, kMaxRate);
}

// +-20 %, different for each grant, the same on each run.
Duration Jittered(Duration d, std::uint64_t seed) {
  const std::uint64_t mixed = (seed + 1) * 0x9E3779B97F4A7C15ULL;
  const auto permille = static_cast<Duration::rep>(800 + (mixed >> 32) % 401);
  return d / 1000 * permille;
}

}  // namespace

RateShare::RateShare(const RateShareOptions& options, int batch_size)
    : options_(options),
      batch_size_(std::max(1, batch_size)),
      next_sequence_(std::max<std::uint64_t>(1, options.first_sequence)) {}

void RateShare::SetRate(double records_per_second, Time now) {
  if (!learning_until_) learning_until_ = now + options_.learning;
  rate_ = Sane(records_per_second);
}

void RateShare::SetTimes(const GrantTimes& times, Time now) {
  if (times == options_.times) return;
  options_.times = times;
  for (auto& [session, worker] : workers_) worker.refresh_at = now;
}

void RateShare::Join(SessionId session, Time now) {
  if (!learning_until_) learning_until_ = now + options_.learning;
  Worker& worker = workers_[session];
  worker.session = session;
  worker.joined = true;
  worker.heard = now;
}

void RateShare::Adopt(SessionId session, double records_per_second, Duration valid_for, Time now) {
  Join(session, now);
  Worker& worker = workers_[session];
  // By an earlier leader, whose grants may have lasted longer than ours.
  const Duration valid = std::min(valid_for, kMostGrantTtl);
  if (valid <= Duration::zero()) return;
  worker.adopted = Sane(records_per_second);
  worker.granted = worker.adopted;
  worker.sent.push_front({.sequence = 0, .rate = worker.adopted, .expires = now + valid});
}

void RateShare::Leave(SessionId session) {
  const auto it = workers_.find(session);
  if (it != workers_.end()) it->second.joined = false;
}

void RateShare::Forget(SessionId session) { workers_.erase(session); }

void RateShare::OnDemand(SessionId session, const Demand& demand, Time now) {
  const auto it = workers_.find(session);
  if (it == workers_.end() || !it->second.joined) return;
  Worker& worker = it->second;
  worker.heard = now;
  worker.wanted = Sane(demand.wanted);
  // Only a number that this session was sent counts; it may also speak of an earlier leader's.
  const auto acknowledged = std::find_if(
      worker.sent.begin(), worker.sent.end(),
      [&](const Sent& s) { return s.sequence != 0 && s.sequence == demand.grant_sequence; });
  if (acknowledged == worker.sent.end()) return;
  worker.acknowledged = demand.grant_sequence;
  worker.sent.erase(worker.sent.begin(), acknowledged);
}

double RateShare::Outstanding(const Worker& worker, Time now) {
  double highest = 0;
  for (const Sent& s : worker.sent) {
    if (s.expires > now) highest = std::max(highest, s.rate);
  }
  return highest;
}

double RateShare::Outstanding(Time now) const {
  double sum = 0;
  for (const auto& [session, worker] : workers_) sum += Outstanding(worker, now);
  return sum;
}

std::optional<double> RateShare::Reported(Time now) const {
  const bool learns =
      learning_until_ ? now < *learning_until_ : options_.learning > Duration::zero();
  if (!learns) return std::nullopt;
  double sum = 0;
  for (const auto& [session, worker] : workers_) sum += worker.joined ? worker.adopted : 0;
  return sum;
}

void RateShare::Expire(Time now) {
  for (auto it = workers_.begin(); it != workers_.end();) {
    Worker& worker = it->second;
    // The last one stays while the worker is here: it may still be acknowledged.
    const std::size_t keep = worker.joined ? 1 : 0;
    while (worker.sent.size() > keep && worker.sent.front().expires <= now) worker.sent.pop_front();
    const bool gone = !worker.joined && worker.sent.empty();
    it = gone ? workers_.erase(it) : std::next(it);
  }
}

void RateShare::SetTargetsWhileLearning() {
  double reported = 0;
  for (const auto& [session, worker] : workers_) reported += worker.adopted;
  const double scale = reported > rate_ ? rate_ / reported : 1;
  for (auto& [session, worker] : workers_)
    worker.target = worker.joined ? worker.adopted * scale : 0;
}

// Workers that are here and speak. One that is silent for half a ttl gets nothing more: what it has
// expires.
std::vector<RateShare::Worker*> RateShare::Eligible(Time now) {
  std::vector<Worker*> eligible;
  for (auto& [session, worker] : workers_) {
    worker.target = 0;
    if (worker.joined && now - worker.heard < options_.times.ttl / 2) {
      eligible.push_back(&worker);
    } else {
      worker.chosen = false;
    }
  }
  return eligible;
}

void RateShare::SetTargets(Time now) {
  if (now < learning_until_.value_or(now)) return SetTargetsWhileLearning();
  std::vector<Worker*> eligible = Eligible(now);
  ChooseFew(eligible, now);
  Fill(eligible);
}

// Keeps in `eligible` only as many as the rate is enough for.
void RateShare::ChooseFew(std::vector<Worker*>& eligible, Time now) {
  if (rate_ <= 0) return;  // nothing to choose for, and no pace to rotate at
  const double per_worker = kBatchesPerSecond * batch_size_;
  if (rate_ >= per_worker * static_cast<double>(eligible.size())) {
    for (Worker* worker : eligible) worker->chosen = false;
    return;
  }
  // Those that want nothing only count when nobody wants anything.
  const auto wants = [](const Worker* worker) { return worker->wanted.value_or(1) > 0; };
  if (std::any_of(eligible.begin(), eligible.end(), wants)) {
    std::erase_if(eligible, [&](Worker* worker) {
      if (wants(worker)) return false;
      worker->chosen = false;
      return true;
    });
  }
  const std::size_t few = std::min(
      eligible.size(), static_cast<std::size_t>(std::max(1.0, std::floor(rate_ / per_worker))));
  // At a very small rate a turn is long enough for many batches: each one loses the tokens for a
  // part of one. Measured by the rate of now, not by the one at which the turn began.
  const double batch_seconds = std::min(batch_size_ / std::max(rate_, 1e-6), 1e6);
  const auto for_batches =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(20 * batch_seconds));
  if (!rotated_at_ || now - *rotated_at_ >= std::max(options_.rotation, for_batches)) {
    rotated_at_ = now;
    for (Worker* worker : eligible) worker->chosen = false;
  }
  // Those who have it keep it until the next rotation; then those who have waited longest.
  std::sort(eligible.begin(), eligible.end(), [](const Worker* a, const Worker* b) {
    if (a->chosen != b->chosen) return a->chosen;
    return std::tie(a->chosen_at, a->session) < std::tie(b->chosen_at, b->session);
  });
  for (std::size_t i = 0; i < eligible.size(); ++i) {
    const bool chosen = i < few;
    if (chosen) eligible[i]->chosen_at = now;
    eligible[i]->chosen = chosen;
  }
  eligible.resize(few);
}

// Water-filling: small wishes are met, the rest is split evenly, and what nobody wants goes to all.
void RateShare::Fill(std::vector<Worker*>& workers) const {
  if (workers.empty()) return;
  const double toehold = kToehold * rate_ / static_cast<double>(workers.size());
  const auto wish = [&](const Worker* worker) {
    return std::max(worker->wanted.value_or(kMaxRate), toehold);
  };
  std::sort(workers.begin(), workers.end(),
            [&](const Worker* a, const Worker* b) { return wish(a) < wish(b); });
  double left = rate_ * (1 - kRounding);
  std::size_t waiting = workers.size();
  for (Worker* worker : workers) {
    worker->target = std::min(wish(worker), left / static_cast<double>(waiting));
    left -= worker->target;
    --waiting;
  }
  for (Worker* worker : workers)
    worker->target += std::max(0.0, left) / static_cast<double>(workers.size());
}

std::vector<GrantAction> RateShare::Tick(Time now) {
  Expire(now);
  SetTargets(now);

  double free = rate_ - Outstanding(now);
  double missing = 0;  // of what workers should have by now
  for (const auto& [session, worker] : workers_) {
    const double has = Outstanding(worker, now);
    if (worker.target > has * (1 + kSlack)) missing += worker.target - has;
  }
  const bool short_of_rate = free < 0 || missing > free;

  std::vector<GrantAction> actions;
  // Never beyond what the worker may believe to have plus what is free. While more is outstanding
  // than the rate, not even that: what a cut has left has to expire, so only the latest grant is
  // renewed.
  const auto ceiling = [&](const Worker& worker, double has) {
    return free >= 0 ? has + free : std::min(has, worker.granted);
  };
  const auto grant = [&](Worker& worker, double has) {
    const double rate = std::min(worker.target, ceiling(worker, has));
    actions.push_back(Send(worker, rate, now));
    free -= std::max(0.0, rate - has);
  };
  // Decreases first. They free nothing yet: the worker has to say that it obeys.
  for (auto& [session, worker] : workers_) {
    if (!worker.joined || worker.target >= worker.granted) continue;
    const bool small = worker.target > worker.granted * (1 - kSlack);
    if (small && !short_of_rate && now < worker.refresh_at) continue;
    grant(worker, Outstanding(worker, now));
  }
  // Increases and renewals.
  for (auto& [session, worker] : workers_) {
    if (!worker.joined || worker.target < worker.granted) continue;
    const double has = Outstanding(worker, now);
    const double possible = std::min(worker.target, ceiling(worker, has));
    const bool higher = possible - std::min(worker.granted, has) > kSlack * worker.target;
    // A zero that was understood needs no renewal: it does not expire into something else.
    const bool quiet = worker.granted == 0 && possible == 0 && !worker.sent.empty() &&
                       worker.acknowledged == worker.sent.back().sequence;
    const bool due = now >= worker.refresh_at && !quiet;
    if (!worker.greeted || higher || due) grant(worker, has);
  }
  return actions;
}

GrantAction RateShare::Send(Worker& worker, double rate, Time now) {
  const std::uint64_t sequence = next_sequence_++;
  worker.greeted = true;
  worker.granted = rate;
  worker.refresh_at = now + Jittered(options_.times.refresh, sequence);
  if (worker.sent.size() >= kMaxSent) {
    // The two oldest as one: the higher rate for the longer time.
    const Sent oldest = worker.sent.front();
    worker.sent.pop_front();
    worker.sent.front().rate = std::max(worker.sent.front().rate, oldest.rate);
    worker.sent.front().expires = std::max(worker.sent.front().expires, oldest.expires);
  }
  worker.sent.push_back({.sequence = sequence, .rate = rate, .expires = now + options_.times.ttl});
  const double burst = rate > 0 ? std::max({kBurstSeconds * rate, batch_size_, 1.0}) : 0;
  return {.session = worker.session,
          .sequence = sequence,
          .records_per_second = rate,
          .burst = burst,
          .valid_for = options_.times.ttl};
}

}  // namespace backfill::throttle
