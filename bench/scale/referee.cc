#include "bench/scale/referee.h"

#include <fmt/format.h>

#include <algorithm>

namespace backfill::scale {
namespace {

constexpr std::size_t kMaxComplaints = 20;
constexpr double kRounding = 1e-6;

std::string Say(const worker::LeaseKey& lease) {
  return fmt::format("shard {} attempt {}", lease.shard.value, lease.attempt.value);
}

}  // namespace

void Referee::Complain(const std::string& what) {
  ++broken_;
  if (complaints_.size() < kMaxComplaints) complaints_.push_back(what);
}

void Referee::OnLease(int worker, const worker::LeaseKey& lease) {
  ++leases_;
  Shard& shard = shards_[lease.shard.value];
  if (shard.durable) Complain(Say(lease) + " was leased, and its end was durable");
  if (lease.attempt < shard.given)
    Complain(fmt::format("{} was leased after attempt {}", Say(lease), shard.given.value));
  if (lease.attempt == shard.given && shard.holder != worker)
    Complain(fmt::format("{} was leased to workers {} and {}", Say(lease), shard.holder, worker));
  shard.given = lease.attempt;
  shard.holder = worker;
}

void Referee::OnSent(int worker, const worker::LeaseKey& lease,
                     const std::vector<worker::Record>& records) {
  Shard& shard = shards_[lease.shard.value];
  if (shard.durable) Complain(Say(lease) + " was sent, and its end was durable");
  const bool same = lease.attempt == shard.sending && shard.sender == worker;
  if (!same && lease.attempt <= shard.sending)
    Complain(fmt::format("worker {} sent {} after worker {} had begun attempt {}", worker,
                         Say(lease), shard.sender, shard.sending.value));
  if (!same && shard.in_flight > 0)
    Complain(fmt::format("worker {} sent {} while worker {} was sending", worker, Say(lease),
                         shard.sender));
  if (!same) {
    shard.sending = lease.attempt;
    shard.sender = worker;
    shard.in_flight = 0;
  }
  ++shard.in_flight;
  for (const worker::Record& record : records) {
    ++sends_;
    if (record.position < 0 || static_cast<std::size_t>(record.position) >= sent_.size()) {
      Complain(fmt::format("record {} was sent, and there is none", record.position));
      continue;
    }
    std::uint8_t& times = sent_[static_cast<std::size_t>(record.position)];
    if (times > 0) ++sent_again_;
    if (times < 255) ++times;
  }
}

void Referee::OnAnswered(int worker, const worker::LeaseKey& lease) {
  Shard& shard = shards_[lease.shard.value];
  if (lease.attempt == shard.sending && shard.sender == worker) --shard.in_flight;
}

void Referee::OnDurable(int worker, const worker::LeaseKey& lease) {
  Shard& shard = shards_[lease.shard.value];
  if (shard.durable && shard.done != lease.attempt)
    Complain(fmt::format("{} is done, and attempt {} was", Say(lease), shard.done.value));
  if (lease.attempt != shard.given || shard.holder != worker)
    Complain(fmt::format("worker {} was told that {} is done, which it does not hold", worker,
                         Say(lease)));
  if (!shard.durable) ++durable_;
  shard.durable = true;
  shard.done = lease.attempt;
}

void Referee::OnRate(double records_per_second, Time now, Duration ttl) {
  rate_before_ = now < before_until_ ? std::max(rate_before_, rate_) : rate_;
  before_until_ = now + ttl;
  rate_ = records_per_second;
}

void Referee::OnGrants(double records_per_second, Time now) {
  const double most = now < before_until_ ? std::max(rate_, rate_before_) : rate_;
  if (records_per_second > most * (1 + kRounding))
    Complain(fmt::format("grants add up to {:.1f} records/s, the rate is {:.1f}",
                         records_per_second, most));
}

std::uint64_t Referee::NeverSent() const {
  return static_cast<std::uint64_t>(std::count(sent_.begin(), sent_.end(), 0));
}

}  // namespace backfill::scale
