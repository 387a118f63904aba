#include "sim_worker.h"

#include <algorithm>
#include <iterator>

namespace backfill::lease::sim {

WorkerMessage Worker::Number(decltype(WorkerMessage::body) body, Time now) {
  sent_at_[++last_sent_] = now;
  return {last_sent_, std::move(body)};
}

LeaseReport Worker::ReportOf(ShardId shard, const Held& lease) const {
  LeaseReport r{.shard = shard,
                .attempt = lease.attempt,
                .epoch = epoch_,
                .end = lease.range.end,
                .cursor = lease.cursor,
                .done_above = {},
                .counts = lease.counts,
                .in_flight = static_cast<std::uint32_t>(lease.in_flight.size())};
  for (const Position p : lease.above) {
    const std::uint64_t bit = Range{lease.cursor, p}.size();
    if (r.done_above.size() <= bit / 8) r.done_above.resize(bit / 8 + 1, '\0');
    r.done_above[bit / 8] = static_cast<char>(r.done_above[bit / 8] | (1 << (bit % 8)));
  }
  return r;
}

WorkerMessage Worker::Connect(Time now) {
  DropExpired(now);
  last_sent_ = 0;
  sent_at_.clear();
  welcomed_ = false;
  Hello hello{slot_, instance_, {}};
  for (auto& [shard, lease] : leases_) {
    lease.failures_sent.clear();
    lease.first_reported = 0;
    hello.held.push_back(ReportOf(shard, lease));
  }
  return Number(std::move(hello), now);
}

std::vector<WorkerMessage> Worker::Report(std::mt19937& random, Time now) {
  std::vector<WorkerMessage> out;
  DropExpired(now);
  if (!welcomed_ || drained_) return out;
  Progress progress;
  Draining draining;
  bool quiet = true;
  int open = 0;
  for (auto& [shard, lease] : leases_) {
    Failures failures{{shard, lease.attempt, epoch_}, {}};
    std::ranges::set_difference(lease.failures, lease.failures_sent,
                                std::back_inserter(failures.positions));
    lease.failures_sent = lease.failures;
    if (!failures.positions.empty()) out.push_back(Number(std::move(failures), now));
    quiet = quiet && lease.in_flight.empty();
    if (lease.first_reported == 0) lease.first_reported = last_sent_ + 1;
    if (lease.complete()) {
      out.push_back(Number(ShardDone{ReportOf(shard, lease)}, now));
      if (random() % 4 != 0) continue;  // workers may list it as well, or not
    } else {
      ++open;
    }
    progress.reports.push_back(ReportOf(shard, lease));
    if (!lease.complete()) draining.reports.push_back(ReportOf(shard, lease));
  }
  if (draining_ && quiet) {
    out.push_back(Number(std::move(draining), now));
    drained_ = true;
    return out;
  }
  progress.wanted = draining_ ? 0 : std::max(0, options_.max_leases - open);
  out.push_back(Number(std::move(progress), now));
  return out;
}

void Worker::DropExpired(Time now) {
  std::erase_if(leases_, [&](const auto& e) { return now >= e.second.fence; });
}

// Before anything is extended, what has expired is gone.
void Worker::Receive(const LeaderMessage& message, Time now) {
  DropExpired(now);
  if (!welcomed_ && !std::holds_alternative<Welcome>(message.body)) return;
  std::visit([&](const auto& body) { On(body, message.answers, now); }, message.body);
}

void Worker::Extend(Held& lease, std::uint64_t answers, Time now) {
  const auto sent = sent_at_.find(answers);
  if (sent == sent_at_.end()) return;
  const Time from = options_.faults.counts_from_receipt ? now : sent->second;
  lease.fence = std::max(lease.fence, from + options_.fence);
}

void Worker::On(const Welcome& welcome, std::uint64_t /*answers*/, Time /*now*/) {
  welcomed_ = true;
  epoch_ = welcome.epoch;
  std::erase_if(leases_, [&](const auto& e) {
    return std::ranges::none_of(welcome.kept, [&](const LeaseName& n) {
      return n.shard == e.first && n.attempt == e.second.attempt;
    });
  });
}

void Worker::On(const Grant& grant, std::uint64_t answers, Time now) {
  const ledger::Shard& s = grant.shard;
  if (drained_ || s.epoch != epoch_) return;
  Held lease{.attempt = s.attempt,
             .range = s.range,
             .end_used = s.range.end,
             .cursor = s.cursor,
             .above = {},
             .counts = s.counts,
             .in_flight = {},
             .failures = {},
             .failures_sent = {}};
  for (Position p = s.cursor; p < s.range.end; ++p) {
    if (ledger::IsCovered(p, s.cursor, s.done_above)) lease.above.insert(p);
  }
  Extend(lease, answers, now);
  if (now >= lease.fence) return;
  sent_.try_emplace({s.id, s.attempt}, s.counts.total());
  leases_[s.id] = std::move(lease);
}

void Worker::On(const Ack& ack, std::uint64_t answers, Time now) {
  const auto find = [this](const LeaseName& name) {
    const auto it = leases_.find(name.shard);
    return name.epoch == epoch_ && it != leases_.end() && it->second.attempt == name.attempt
               ? it
               : leases_.end();
  };
  std::set<ShardId> listed;
  for (const LeaseName& name : ack.held) {
    const auto it = find(name);
    if (it == leases_.end()) continue;
    listed.insert(name.shard);
    Extend(it->second, answers, now);
  }
  for (const LeaseName& name : ack.done) {
    const auto it = find(name);
    if (it != leases_.end()) leases_.erase(it);
  }
  // What it reported and is missing is lost.
  std::erase_if(leases_, [&](const auto& e) {
    const Held& lease = e.second;
    return !lease.complete() && !listed.contains(e.first) && lease.first_reported != 0 &&
           lease.first_reported <= answers;
  });
}

void Worker::On(const Revoke& revoke, std::uint64_t /*answers*/, Time /*now*/) {
  const auto it = leases_.find(revoke.lease.shard);
  if (it == leases_.end() || revoke.lease.epoch != epoch_) return;
  if (it->second.attempt == revoke.lease.attempt) leases_.erase(it);
}

void Worker::On(const Shrink& shrink, std::uint64_t /*answers*/, Time /*now*/) {
  const auto it = leases_.find(shrink.lease.shard);
  if (it == leases_.end() || it->second.attempt != shrink.lease.attempt) return;
  Held& lease = it->second;
  Position lowest = lease.cursor;
  if (!lease.above.empty()) lowest = std::max(lowest, *lease.above.rbegin() + 1);
  if (!lease.in_flight.empty()) lowest = std::max(lowest, lease.in_flight.rbegin()->first + 1);
  lease.range.end = std::min(lease.range.end, std::max(shrink.end, lowest));
  if (!options_.faults.ignores_its_own_end) lease.end_used = lease.range.end;
}

void Worker::SendSomeRecord(std::mt19937& random, Time now) {
  std::vector<std::pair<ShardId, Position>> choices;
  for (const auto& [shard, lease] : leases_) {
    if (!MaySend(lease, now)) continue;
    for (Position p = lease.cursor; p < std::min(lease.end_used, lease.cursor + 12); ++p) {
      if (!lease.above.contains(p) && !lease.in_flight.contains(p)) choices.emplace_back(shard, p);
    }
  }
  if (choices.empty()) return;
  const auto [shard, position] = choices[random() % choices.size()];
  Held& lease = leases_.at(shard);
  const Time ends = now + options_.wire_time * (random() % 100) / 100;
  lease.in_flight[position] = ends;
  target_.on_the_wire.push_back({instance_, shard, lease.attempt, position, ends});
  const bool first = target_.senders[position].insert({shard, lease.attempt}).second;
  if (first) ++sent_[{shard, lease.attempt}];
}

void Worker::Mark(Held& lease, Position p) {
  if (Target::Fails(p)) {
    ++lease.counts.failed;
    lease.failures.insert(p);
  } else {
    ++lease.counts.updated;
  }
  lease.above.insert(p);
  while (lease.above.erase(lease.cursor) > 0) ++lease.cursor;
}

// Or learns that none will come: then the record is sent again later.
void Worker::TakeSomeAnswer(std::mt19937& random, Time now) {
  for (auto& [shard, lease] : leases_) {
    std::erase_if(lease.in_flight, [now](const auto& e) { return e.second <= now; });
    if (lease.in_flight.empty()) continue;
    auto it = lease.in_flight.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(random() % lease.in_flight.size()));
    const Position p = it->first;
    lease.in_flight.erase(it);
    std::erase_if(target_.on_the_wire, [&, id = shard](const Request& r) {
      return r.instance == instance_ && r.shard == id && r.position == p;
    });
    target_.answered.insert(p);
    if (p < lease.range.end) Mark(lease, p);
    return;
  }
}

}  // namespace backfill::lease::sim
