#include "sim_world.h"

#include <algorithm>

namespace backfill::lease::sim {
namespace {

constexpr Duration kLeadership = 15s;
constexpr LeaseOptions kLeaseOptions{.ttl = 60s,
                                     .fence = 50s,
                                     .wire_time = 10s,
                                     .recovery_freeze = 60s,
                                     .max_leases = 2,
                                     .max_reserved = 3,
                                     .min_split = 3};

plan::Plan MakeSmallPlan(const WorldOptions& options) {
  plan::Plan plan{.hash = "sha256:small"};
  for (int i = 0; i < options.shards; ++i) {
    const Range r{i * options.records_per_shard, (i + 1) * options.records_per_shard};
    plan.shards.push_back({r, r.size()});
    plan.records += r.size();
  }
  return plan;
}

std::string Text(Position p) { return std::to_string(p); }

}  // namespace

World::World(const WorldOptions& options, std::uint32_t seed)
    : options_(options),
      lease_options_(kLeaseOptions),
      random_(seed),
      delay_(options.delay),
      range_{0, options.shards * options.records_per_shard} {
  ledger::Ledger ledger = ledger::Ledger::FromPlan(MakeSmallPlan(options));
  for (int c = 0; c < ledger.chunks(); ++c) {
    store_.chunks.push_back({1, ledger.Encode(c, Epoch{0}).data});
  }
  workers_.resize(static_cast<std::size_t>(options.workers));
  for (std::size_t w = 0; w < workers_.size(); ++w) StartWorker(w);
}

std::optional<std::string> World::Run(int steps) {
  for (int i = 0; i < steps; ++i) {
    Step();
    if (auto wrong = Check()) return "step " + Text(i) + ": " + *wrong;
  }
  chaos_ = false;
  for (Slot& slot : workers_) slot.asleep_until = {};
  for (auto& leader : leaders_) leader->asleep_until = {};
  // Long enough for what has to expire and for all records that are left.
  for (int i = 0; i < 60'000; ++i) {
    Step();
    if (auto wrong = Check()) return "calm step " + Text(i) + ": " + *wrong;
    const bool all_exited = std::ranges::all_of(workers_, [](const Slot& s) { return s.finished; });
    if (all_exited && std::ranges::any_of(
                          leaders_, [&](const auto& l) { return l->Leads(now_) && l->Clean(); })) {
      return CheckEnd();
    }
  }
  return "the work does not end: " + Describe();
}

void World::Step() {
  PassTime();
  if (Happens(20)) {
    const Duration delays[] = {options_.delay, options_.delay, 20s, 2 * lease_options_.ttl};
    delay_ = delays[random_() % 4];
  }
  if (Happens(options_.takeovers) || !chaos_) TakeOver();
  for (auto it = streams_.begin(); it != streams_.end();) {
    const bool forgotten = !it->second.open_at_worker && !it->second.open_at_leader;
    it = forgotten ? streams_.erase(it) : std::next(it);
  }
  if (!streams_.empty() && Happens(options_.breaks)) {
    Break(std::next(streams_.begin(), static_cast<std::ptrdiff_t>(random_() % streams_.size()))
              ->first);
  }
  if (leaders_.empty() || random_() % 3 != 0) {
    StepWorker(random_() % workers_.size());
  } else {
    std::vector<std::size_t> alive;
    for (std::size_t l = 0; l < leaders_.size(); ++l) {
      if (!leaders_[l]->dead) alive.push_back(l);
    }
    if (!alive.empty()) StepLeader(alive[random_() % alive.size()]);
  }
}

void World::PassTime() {
  // Mostly in small steps, so that much happens at the same time; sometimes a laptop sleeps.
  now_ += Happens(10) ? UpTo(4 * lease_options_.ttl) : UpTo(300ms);
  std::erase_if(target_.on_the_wire, [this](const Request& r) { return r.ends <= now_; });
}

// One side notices before the other, if the other notices at all.
void World::Break(SessionId id) {
  Stream& s = streams_.at(id);
  switch (random_() % 3) {
    case 0:
      s.up.Lose();
      break;
    case 1:
      s.down.Lose();
      break;
    default:
      break;
  }
  if (random_() % 2 == 0) s.down.Lose();
  s.open_at_worker = false;
  Slot& slot = workers_.at(s.worker);
  if (slot.stream == id) slot.stream.reset();
  if (random_() % 3 != 0 && s.open_at_leader) {
    s.open_at_leader = false;
    leaders_.at(s.leader)->OnDisconnect(id);
  }
}

std::string World::Describe() const {
  std::string text;
  for (const auto& l : leaders_) {
    if (l->dead) continue;
    text += l->Leads(now_) ? "leader: " : "deposed leader: ";
    l->ledger().ForEach([&](const ledger::Shard& s) {
      text += Text(s.id.value) +
              (s.state == ledger::ShardState::kPending    ? " pending "
               : s.state == ledger::ShardState::kInFlight ? " in flight "
                                                          : " done ") +
              Text(s.cursor) + "/" + Text(s.range.end) + " " + s.holder + "; ";
    });
  }
  for (const Slot& slot : workers_) {
    text += slot.process->instance() + (slot.finished ? " finished" : "") +
            (slot.stream ? " connected" : "") + " holds " +
            Text(static_cast<Position>(slot.process->leases().size())) + "; ";
  }
  return text;
}

// ---- workers

void World::StartWorker(std::size_t w) {
  workers_[w] = {};
  workers_[w].process = std::make_unique<Worker>(
      WorkerOptions{.fence = lease_options_.fence,
                    .wire_time = lease_options_.wire_time,
                    .max_leases = lease_options_.max_leases,
                    .faults = options_.worker_faults},
      "run-" + std::to_string(w), "i" + std::to_string(++instances_), target_);
}

void World::EndWorker(std::size_t w) {
  Slot& slot = workers_[w];
  if (slot.stream) Break(*slot.stream);
  const Worker& process = *slot.process;
  gone_.push_back({process.slot(), process.instance(), process.sent()});
  notes_[process.slot() + "/" + process.instance()] = process.sent();
  StartWorker(w);
}

void World::StepWorker(std::size_t w) {
  Slot& slot = workers_[w];
  if (slot.finished || slot.asleep_until > now_) return;
  if (Happens(options_.crashes)) return EndWorker(w);
  if (Happens(options_.sleeps)) {
    slot.asleep_until = now_ + UpTo(4 * lease_options_.ttl);
    return;
  }
  Worker& worker = *slot.process;
  if (Happens(options_.drains)) worker.Drain();
  if (slot.stream && !streams_.at(*slot.stream).open_at_leader && random_() % 2 == 0) {
    Break(*slot.stream);  // it notices
  }
  if (!slot.stream) {
    if (leaders_.empty()) return;
    // To any operator process: it cannot know which one leads.
    const std::size_t l = chaos_ ? random_() % leaders_.size() : leaders_.size() - 1;
    if (leaders_[l]->dead) return;
    const SessionId id{++last_stream_};
    slot.stream = id;
    streams_[id].worker = w;
    streams_[id].leader = l;
    streams_[id].up.Send(worker.Connect(now_), now_ + UpTo(Out().delay));
    return;
  }
  Stream& stream = streams_.at(*slot.stream);
  for (int i = 0; i < 3 && stream.down.HasArrived(now_); ++i) {
    worker.Receive(stream.down.Receive(), now_);
  }
  if (now_ >= slot.next_report) {
    slot.next_report = now_ + 2s;
    for (WorkerMessage& m : worker.Report(random_, now_)) {
      stream.up.Send(std::move(m), now_ + UpTo(Out().delay));
    }
    if (worker.drained()) ++counters_.drained;
  }
  // Slow enough in the storm that there is work left to fight over.
  if (!chaos_ || random_() % 6 == 0) worker.SendSomeRecord(random_, now_);
  if (!chaos_ || random_() % 4 == 0) worker.TakeSomeAnswer(random_, now_);
  if (worker.told_to_exit()) {
    slot.finished = true;
    Break(*slot.stream);
  } else if (worker.drained() && random_() % 20 == 0) {
    EndWorker(w);
  }
}

// ---- leaders

void World::TakeOver() {
  if (now_ < lock_until_) return;
  const bool has_one = std::ranges::any_of(leaders_, [&](const auto& l) {
    return !l->dead && l->asleep_until <= now_ && l->valid_until > now_;
  });
  if (has_one && !chaos_) return;
  const auto alive = std::ranges::count_if(leaders_, [](const auto& l) { return !l->dead; });
  if (alive > 2) return;
  lock_until_ = now_ + kLeadership;
  Predecessors predecessors =
      options_.falsely_proven_gone ? Predecessors::kProvenGone : Predecessors::kMayLive;
  std::map<ShardId, std::uint64_t> sent_at_most;
  if (Happens(options_.fleet_deaths)) {
    for (std::size_t w = 0; w < workers_.size(); ++w) EndWorker(w);
    predecessors = Predecessors::kProvenGone;
    ++counters_.proven_gone;
    sent_at_most = SentByTheDead();
  }
  leaders_.push_back(std::make_unique<Leader>(lease_options_, store_, Epoch{++last_epoch_},
                                              predecessors, sent_at_most, now_, lock_until_));
  leaders_.back()->ignores_its_end = options_.leaders_ignore_their_end;
  ++counters_.takeovers;
}

std::map<ShardId, std::uint64_t> World::SentByTheDead() const {
  std::map<ShardId, std::uint64_t> sent_at_most;
  ledger::Ledger::FromChunks(store_.Chunks()).value().ForEach([&](const ledger::Shard& s) {
    if (s.state != ledger::ShardState::kInFlight) return;
    std::uint64_t& most = sent_at_most[s.id];
    for (const auto& [holder, sent] : notes_) {
      const auto bound = sent.find({s.id, s.attempt});
      const bool asked = s.holder.empty() || s.holder == holder;
      if (asked && bound != sent.end()) most = std::max(most, bound->second);
    }
  });
  return sent_at_most;
}

void World::Count(const Effects& effects) {
  for (const Effect& e : effects) {
    counters_.expirations += std::holds_alternative<LeaseExpired>(e) ? 1 : 0;
    counters_.shrinks += std::holds_alternative<SendShrink>(e) ? 1 : 0;
  }
}

void World::CloseStreamsOf(std::size_t leader) {
  for (auto& [id, s] : streams_) {
    if (s.leader == leader) s.open_at_leader = false;
  }
}

void World::StepLeader(std::size_t l) {
  Leader& leader = *leaders_[l];
  if (leader.dead) return;
  // The store takes a write whatever became of its writer.
  if (leader.writing() && !leader.arrived() && leader.write_arrives() <= now_) {
    leader.Arrive(store_, now_);
  }
  if (leader.asleep_until > now_) return;
  if (Happens(options_.crashes)) {
    if (leader.writing() && !leader.arrived() && random_() % 2 == 0) leader.Arrive(store_, now_);
    leader.dead = true;
  } else if (Happens(options_.leader_sleeps)) {
    leader.asleep_until = now_ + UpTo(2 * lease_options_.ttl);
  }
  const bool newest = l + 1 == leaders_.size();
  // Renewing: only the owner of the lock can, and it counts from before the request.
  if (newest && !leader.dead && now_ < lock_until_ && random_() % 4 == 0) {
    lock_until_ = now_ + kLeadership;
    leader.valid_until = lock_until_;
  }
  if (!leader.dead && !leader.Leads(now_) && random_() % 30 == 0) leader.dead = true;  // it notices
  if (leader.dead) return CloseStreamsOf(l);
  if (leader.asleep_until > now_) return;
  // Writing needs no leadership: the store compares versions.
  leader.StartWrite(random_, !chaos_, now_ + UpTo(chaos_ ? 3s : 50ms));
  if (leader.arrived() && (leader.refused() || leader.Leads(now_)) && random_() % 2 == 0) {
    leader.Confirm(Out(), now_);
    if (leader.dead) {
      ++counters_.conflicts;
      return CloseStreamsOf(l);
    }
  }
  if (!leader.Leads(now_)) return;
  for (auto& [id, s] : streams_) {
    if (s.leader != l || !s.open_at_leader || !s.up.HasArrived(now_) || random_() % 2 == 0)
      continue;
    const WorkerMessage message = s.up.Receive();
    const int times = Happens(300) ? 2 : 1;  // a repeated message changes nothing
    for (int i = 0; i < times && s.open_at_leader; ++i) {
      leader.OnMessage(id, message, Out(), now_);
    }
  }
  if (!gone_.empty() && random_() % 8 == 0) {
    const Ended& ended = gone_.back();
    const bool known = random_() % 4 != 0;
    leader.OnWorkerGone(ended.worker, ended.instance,
                        known ? std::optional(ended.sent) : std::nullopt, now_);
    gone_.pop_back();
  }
  leader.Tick(Out(), now_);
  Count(leader.last_effects());
}

// ---- invariants

std::optional<std::string> World::Check() {
  if (auto wrong = CheckSenders()) return wrong;
  for (const auto& l : leaders_) {
    if (l->dead) continue;
    if (auto wrong = CheckLedger(l->ledger())) return "in memory: " + *wrong;
  }
  if (checked_version_ == store_.writes) return std::nullopt;
  checked_version_ = store_.writes;
  const auto durable = ledger::Ledger::FromChunks(store_.Chunks());
  if (!durable.ok()) return durable.error().message;
  if (auto wrong = CheckLedger(*durable)) return "durable: " + *wrong;
  counters_.split_off = std::max(counters_.split_off, durable->totals().shards - options_.shards);
  return std::nullopt;
}

// At no moment may two workers send records of one shard, nor of overlapping shards after a split.
// Requests of a lease that has ended are off the wire before someone else may send the same record.
std::optional<std::string> World::CheckSenders() const {
  struct MaySend {
    Range range;
    std::string instance;
    ShardId shard;
    Attempt attempt;
  };
  std::vector<MaySend> all;
  for (const Slot& slot : workers_) {
    for (const auto& [shard, lease] : slot.process->leases()) {
      if (!slot.process->MaySend(lease, now_) || lease.cursor >= lease.end_used) continue;
      all.push_back(
          {{lease.cursor, lease.end_used}, slot.process->instance(), shard, lease.attempt});
    }
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const MaySend& a = all[i];
      const MaySend& b = all[j];
      if (a.range.begin < b.range.end && b.range.begin < a.range.end) {
        return a.instance + " and " + b.instance + " may both send records of shard " +
               Text(a.shard.value);
      }
    }
    for (const Request& r : target_.on_the_wire) {
      const bool same_lease =
          r.instance == all[i].instance && r.shard == all[i].shard && r.attempt == all[i].attempt;
      if (!same_lease && all[i].range.Contains(r.position)) {
        return all[i].instance + " may send record " + Text(r.position) + " while a request of " +
               r.instance + " is on the wire";
      }
    }
  }
  return std::nullopt;
}

std::optional<std::string> World::CheckLedger(const ledger::Ledger& ledger) const {
  std::vector<Range> ranges;
  std::uint64_t records = 0;
  std::optional<std::string> wrong;
  ledger.ForEach([&](const ledger::Shard& s) {
    ranges.push_back(s.range);
    const std::string_view problem = ledger::Inconsistency(s);
    if (!problem.empty()) wrong = "shard " + Text(s.id.value) + " has " + std::string(problem);
    for (Position p = s.range.begin; p < s.range.end; ++p) {
      if (!ledger::IsCovered(p, s.cursor, s.done_above)) continue;
      ++records;
      if (!target_.answered.contains(p)) wrong = "record " + Text(p) + " counts and was not done";
    }
  });
  std::ranges::sort(ranges);
  Position at = range_.begin;
  for (const Range& r : ranges) {
    if (r.begin != at) wrong = "a gap or an overlap at " + Text(r.begin);
    at = r.end;
  }
  if (at != range_.end) wrong = "the end is missing";
  const ledger::Totals& t = ledger.totals();
  if (records != t.counts.total()) wrong = "the totals differ from the records that count";
  if (t.planned != range_.size()) wrong = "planned records were lost";
  if (t.shards_pending + t.shards_in_flight + t.shards_done != t.shards)
    wrong = "states do not add up";
  return wrong;
}

std::optional<std::string> World::CheckEnd() {
  for (const auto& l : leaders_) counters_.taken_up += l->taken_up();
  const auto ledger = ledger::Ledger::FromChunks(store_.Chunks()).value();
  if (!ledger.AllDone()) return "workers were sent home before all was durably done";
  const ledger::Totals& t = ledger.totals();
  std::uint64_t redone = 0;
  for (const auto& [p, leases] : target_.senders) redone += leases.size() - 1;
  if (redone > t.redone_at_most) {
    return Text(static_cast<Position>(redone)) + " records were sent again, at most " +
           Text(static_cast<Position>(t.redone_at_most)) + " were reported";
  }
  std::vector<Position> failed;
  for (const auto& r : ledger::FailureLog::FromPages(store_.Pages()).value().Standing()) {
    failed.push_back(r.position);
  }
  std::ranges::sort(failed);
  std::vector<Position> expected;
  for (Position p = range_.begin; p < range_.end; ++p) {
    if (Target::Fails(p)) expected.push_back(p);
  }
  if (failed.size() != t.counts.failed) {
    return Text(static_cast<Position>(failed.size())) + " failures stand, " +
           Text(static_cast<Position>(t.counts.failed)) + " are counted";
  }
  if (failed != expected) return "the failures that stand are not those that happened";
  return std::nullopt;
}

}  // namespace backfill::lease::sim
