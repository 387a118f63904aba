#include "operator/lease/lease_book.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <utility>

#include "operator/lease/report.h"
#include "operator/lease/straggler.h"

namespace backfill::lease {
namespace {

using ledger::Shard;
using ledger::ShardState;

constexpr std::size_t kMaxGone = 1024;
// A Shrink crosses the report that is under way; the one after it is the answer.
constexpr int kReportsUntilAnswered = 2;

bool IsName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxName &&
         std::ranges::all_of(name, [](char c) { return c > ' ' && c < '\x7f' && c != '/'; });
}

std::string HolderOf(const std::string& worker, const std::string& instance) {
  return worker + "/" + instance;
}

std::uint64_t RecordsLeft(const Shard& s) { return s.range.size() - s.counts.total(); }

}  // namespace

LeaseBook::LeaseBook(const LeaseOptions& options, ledger::Ledger& ledger, Epoch epoch, Time now,
                     Predecessors predecessors,
                     const std::map<ShardId, std::uint64_t>& sent_at_most)
    : options_(options), ledger_(ledger), epoch_(epoch), waits_(ledger) {
  if (!options.Validate().empty() || epoch < ledger.highest_epoch()) std::abort();
  const Duration freeze =
      predecessors == Predecessors::kProvenGone ? options.wire_time : options.recovery_freeze;
  ledger.ForEach([&](const Shard& s) {
    if (s.state == ShardState::kPending) reserve_.AddPending(s.id);
    if (s.state != ShardState::kInFlight) return;
    Lease& lease = table_.Put(s.id, {.attempt = s.attempt,
                                     .holder = s.holder,
                                     .expires = now + freeze,
                                     .granted = now,
                                     .naming = Naming::kOmitted});
    if (const auto known = sent_at_most.find(s.id); known != sent_at_most.end()) {
      lease.sent_at_most = known->second;
    }
  });
  for (int chunk = 0; chunk < ledger.chunks(); ++chunk) {
    if (ledger.EpochOf(chunk) == epoch) continue;
    ledger.Touch(chunk);
    waits_.Want(chunk);
  }
}

// ---- sessions

// nullptr: the message is dropped.
Session* LeaseBook::Accept(SessionId id, std::uint64_t sequence, Time now) {
  Session* const session = table_.Find(id);
  if (session == nullptr || sequence <= session->last) return nullptr;
  session->last = sequence;
  session->heard = now;
  return session;
}

void LeaseBook::Close(SessionId id, std::string_view reason) {
  table_.Detach(id);
  effects_.emplace_back(CloseSession{id, std::string(reason)});
}

LeaseName LeaseBook::NameOf(ShardId shard) const {
  return {.shard = shard, .attempt = table_.leases().at(shard).attempt, .epoch = epoch_};
}

// The worker extends what an answer lists, from the sending of the message that it answers. So
// whatever an answer to the latest message may list is extended here, from its receipt.
void LeaseBook::Extend(SessionId id, Time now) {
  for (const ShardId shard : table_.Extended(id)) {
    table_.Find(shard)->expires = now + options_.ttl;
  }
}

void LeaseBook::Acknowledge(SessionId id, std::vector<LeaseName> done) {
  effects_.emplace_back(SendAck{
      .session = id, .answers = table_.Find(id)->last, .held = Kept(id), .done = std::move(done)});
}

std::vector<LeaseName> LeaseBook::NamesOf(const std::vector<ShardId>& shards) const {
  std::vector<LeaseName> names;
  names.reserve(shards.size());
  for (const ShardId shard : shards) names.push_back(NameOf(shard));
  return names;
}

std::vector<LeaseName> LeaseBook::Kept(SessionId session) const {
  return NamesOf(table_.Accepted(session));
}

Effects LeaseBook::OnHello(SessionId session, const std::string& worker,
                           const std::string& instance, const std::vector<LeaseReport>& held,
                           Time now) {
  const std::string holder = HolderOf(worker, instance);
  if (table_.Find(session) != nullptr) {
    Close(session, "a second Hello on one stream");
  } else if (!IsName(worker) || !IsName(instance)) {
    Close(session, "the name of the worker or of its instance is not valid");
  } else if (std::cmp_greater(held.size(), kMaxReports)) {
    Close(session, "too many leases in one message");
  } else if (std::ranges::find(gone_, holder) != gone_.end()) {
    Close(session, "this process has ended");
  } else {
    if (const auto old = table_.SessionOf(worker)) {
      // Leases of the same process come along below, if it names them. Those of another process may
      // still be in use.
      Close(*old, table_.Find(*old)->holder == holder
                      ? "replaced by a newer stream of this process"
                      : "replaced by a newer process of this worker");
    }
    table_.Open(session, worker, holder, now);
    for (const LeaseReport& report : held) TakeUp(session, report, now);
  }
  return TakeEffects();
}

// The worker is the source of truth for what is in flight: it keeps what it names, if no one else
// can have it.
void LeaseBook::TakeUp(SessionId id, const LeaseReport& report, Time now) {
  Lease* const lease = table_.Find(report.shard);
  if (lease == nullptr || lease->gone || lease->session) return;
  if (lease->attempt != report.attempt || report.epoch > epoch_) return;
  const std::string& holder = table_.Find(id)->holder;
  if (!lease->holder.empty() && lease->holder != holder) return;
  if (!lease->finished) {
    if (Judge(report, Get(report.shard)).kind == Judgement::Kind::kBroken) return;
    lease->holder = holder;
    lease->sent_at_most.reset();  // it goes on
    RecordHolder(report.shard, holder);
  }
  table_.Attach(report.shard, id);
  lease->naming = Naming::kNamed;
  lease->expires = now + options_.ttl;
}

void LeaseBook::OnDisconnect(SessionId session) { table_.Detach(session); }

void LeaseBook::OnWorkerGone(const std::string& worker, const std::string& instance, Time now,
                             const std::optional<SentBounds>& sent) {
  const std::string holder = HolderOf(worker, instance);
  gone_.push_back(holder);
  if (gone_.size() > kMaxGone) gone_.pop_front();
  for (const auto& [shard, held] : table_.leases()) {
    if (held.holder != holder || held.gone || held.finished) continue;
    Lease* const lease = table_.Find(shard);
    lease->gone = true;
    lease->expires = std::min(lease->expires, now + options_.wire_time);
    if (!sent) continue;
    const auto bound = sent->find({shard, held.attempt});
    lease->sent_at_most = bound == sent->end() ? 0 : bound->second;
  }
  // What its stream still delivers is true and counts; but it gets nothing more.
  const auto id = table_.SessionOf(worker);
  if (!id || table_.Find(*id)->holder != holder) return;
  table_.Find(*id)->draining = true;
  table_.Find(*id)->wanted = 0;
}

// ---- reports

// The lease that a report names, if its session may speak for it.
Lease* LeaseBook::FindNamed(SessionId id, const LeaseReport& report) {
  Lease* const lease = table_.Find(report.shard);
  const bool own = lease != nullptr && lease->session == id && lease->accepted();
  return own && lease->attempt == report.attempt && report.epoch == epoch_ ? lease : nullptr;
}

// Closes the session unless all reports are sound; no outcome has been taken then.
bool LeaseBook::CheckReports(SessionId id, const std::vector<LeaseReport>& reports) {
  const auto broken = [&](std::string_view reason) {
    Close(id, reason);
    return false;
  };
  if (std::cmp_greater(reports.size(), kMaxReports))
    return broken("too many leases in one message");
  std::set<ShardId> named;
  for (const LeaseReport& report : reports) {
    if (!named.insert(report.shard).second) return broken("a shard is named twice");
    const Shard* shard = ledger_.Find(report.shard);
    if (shard == nullptr) return broken("a shard is named that does not exist");
    const Lease* lease = FindNamed(id, report);
    if (lease == nullptr || lease->finished) continue;
    const Judgement judgement = Judge(report, *shard);
    if (judgement.kind == Judgement::Kind::kBroken) return broken(judgement.problem);
  }
  return true;
}

void LeaseBook::AnswerStale(SessionId id, const LeaseReport& report, std::vector<LeaseName>& done) {
  const LeaseName name{report.shard, report.attempt, report.epoch};
  const Shard& shard = Get(report.shard);
  const bool recorded = table_.Find(report.shard) == nullptr;
  if (recorded && shard.state == ShardState::kDone && shard.attempt == report.attempt) {
    done.push_back(name);  // said before, and repeated by a worker that has not heard the answer
  } else {
    effects_.emplace_back(SendRevoke{id, name, "the shard is not leased to this worker"});
  }
}

// Takes what the report has in addition. False: the lease has come back whole and is gone.
bool LeaseBook::Absorb(const LeaseReport& report) {
  const Shard& shard = Get(report.shard);
  if (Judge(report, shard).kind != Judgement::Kind::kNews) return true;
  if (IsReturnedUntouched(report, shard)) {
    GiveBack(report.shard);
    return false;
  }
  const Shard next = WithProgress(report, shard);
  if (next != shard) ledger_.Update(next);
  if (report.end < next.range.end) {
    table_.Find(report.shard)->shrink_reports = 0;
    // Without a free slot the rest stays with this shard, and is given out when this lease ends.
    const Result<ShardId> rest = ledger_.Split(report.shard, report.end);
    if (rest.ok()) reserve_.AddPending(*rest);
  }
  return true;
}

Effects LeaseBook::OnProgress(SessionId session, std::uint64_t sequence,
                              const std::vector<LeaseReport>& reports, int shards_wanted,
                              Time now) {
  Session* const s = Accept(session, sequence, now);
  if (s == nullptr || !CheckReports(session, reports)) return TakeEffects();
  std::set<ShardId> named;
  std::vector<LeaseName> done;
  for (const LeaseReport& report : reports) {
    Lease* const lease = FindNamed(session, report);
    if (lease == nullptr) {
      AnswerStale(session, report, done);
      continue;
    }
    named.insert(report.shard);
    lease->naming = Naming::kNamed;
    if (lease->finished || !Absorb(report)) continue;
    if (lease->shrink_reports > 0) --lease->shrink_reports;
  }
  for (const ShardId shard : s->leases) {
    Lease& lease = *table_.Find(shard);
    if (named.contains(shard) || lease.finished) continue;
    const bool never_arrived = now - lease.granted > options_.ttl;
    if (lease.naming == Naming::kNamed || never_arrived) lease.naming = Naming::kOmitted;
  }
  s->wanted = s->draining ? 0 : std::clamp(shards_wanted, 0, options_.max_leases);
  Extend(session, now);
  Acknowledge(session, std::move(done));
  return TakeEffects();
}

Effects LeaseBook::OnShardDone(SessionId session, std::uint64_t sequence, const LeaseReport& report,
                               Time now) {
  if (Accept(session, sequence, now) == nullptr || !CheckReports(session, {report})) {
    return TakeEffects();
  }
  std::vector<LeaseName> done;
  Lease* const lease = FindNamed(session, report);
  if (lease == nullptr) {
    AnswerStale(session, report, done);
  } else {
    lease->naming = Naming::kNamed;
    if (!lease->finished) {
      if (!IsComplete(report, Get(report.shard))) {
        Close(session, "a shard is reported as done with records left");
        return TakeEffects();
      }
      const LeaseName name = NameOf(report.shard);
      if (Absorb(report)) {
        Finish(report.shard);
        // It took a Shrink, and the ledger had no slot for the rest.
        if (table_.Find(report.shard) == nullptr) {
          effects_.emplace_back(
              SendRevoke{session, name, "the rest of the shard is given out again"});
        }
      }
    }
  }
  Extend(session, now);
  Acknowledge(session, std::move(done));
  return TakeEffects();
}

Effects LeaseBook::OnDraining(SessionId session, std::uint64_t sequence,
                              const std::vector<LeaseReport>& reports, Time now) {
  Session* const s = Accept(session, sequence, now);
  if (s == nullptr || !CheckReports(session, reports)) return TakeEffects();
  s->draining = true;
  s->wanted = 0;
  std::vector<LeaseName> done;
  for (const LeaseReport& report : reports) {
    const Lease* const lease = FindNamed(session, report);
    if (lease == nullptr) {
      AnswerStale(session, report, done);
    } else if (!lease->finished && Absorb(report)) {
      Finish(report.shard);  // at once: the worker has promised that nothing is on the wire
    }
  }
  Extend(session, now);
  Acknowledge(session, std::move(done));
  return TakeEffects();
}

Effects LeaseBook::OnOther(SessionId session, std::uint64_t sequence, Time now) {
  if (Accept(session, sequence, now) == nullptr) return {};
  Extend(session, now);
  Acknowledge(session, {});
  return TakeEffects();
}

// ---- the life of a lease

// Makes the next attempt of a pending shard, before anyone has asked for it.
void LeaseBook::ReserveShard(const Shard& shard) {
  Shard next = shard;
  next.attempt = {shard.attempt.value + 1};
  if (shard.attempt.value > 0) {
    effects_.emplace_back(Supersede{.shard = shard.id,
                                    .next_attempt = next.attempt,
                                    .from = shard.cursor,
                                    .done_above = shard.done_above});
  }
  next.state = ShardState::kInFlight;
  next.epoch = epoch_;
  ledger_.Update(next);
  reserve_.Begin(next.id, next.attempt);
  waits_.Add({.kind = WriteWaits::Kind::kReserved, .shard = next.id, .attempt = next.attempt});
}

void LeaseBook::Grant(SessionId id, ShardId shard, Time now) {
  Session& session = *table_.Find(id);
  table_.Put(shard, {.attempt = Get(shard).attempt,
                     .holder = session.holder,
                     .expires = now + options_.ttl,
                     .granted = now});
  table_.Attach(shard, id);
  RecordHolder(shard, session.holder);
  --session.wanted;
  effects_.emplace_back(SendLease{id, Get(shard)});
}

// Durable with the chunk's next write. Should that be lost, a successor still finds the shard in
// flight under this attempt, and its worker comes forward.
void LeaseBook::RecordHolder(ShardId shard, const std::string& holder) {
  Shard next = Get(shard);
  next.holder = holder;
  next.epoch = epoch_;
  ledger_.Update(next);
}

// The lease has ended in order: the shard is done, or pending with what was reached.
void LeaseBook::Finish(ShardId shard) {
  if (RecordsLeft(Get(shard)) > 0) return GiveBack(shard);
  Shard next = Get(shard);
  next.state = ShardState::kDone;
  next.cursor = next.range.end;
  next.done_above.clear();
  next.holder.clear();
  next.epoch = {};
  next.in_flight = 0;
  ledger_.Update(next);
  table_.Find(shard)->finished = true;
  waits_.Add({.kind = WriteWaits::Kind::kDone, .shard = shard, .attempt = next.attempt});
}

void LeaseBook::GiveBack(ShardId shard) {
  table_.Drop(shard);
  Shard next = Get(shard);
  next.state = ShardState::kPending;
  next.holder.clear();
  next.epoch = {};
  next.in_flight = 0;
  ledger_.Update(next);
  reserve_.AddPending(shard);
}

// Records that its worker may have sent and that have no outcome here: README.md.
std::uint64_t LeaseBook::SentInVain(ShardId shard) const {
  const Shard& s = Get(shard);
  const std::uint64_t known = s.counts.total();
  const std::optional<std::uint64_t>& sent = table_.leases().at(shard).sent_at_most;
  return sent ? std::min(RecordsLeft(s), *sent > known ? *sent - known : 0) : RecordsLeft(s);
}

void LeaseBook::ExpireLeases(Time now) {
  std::vector<std::pair<ShardId, std::string>> expired;
  for (const auto& [shard, lease] : table_.leases()) {
    if (!lease.finished && lease.expires <= now) expired.emplace_back(shard, lease.holder);
  }
  for (const auto& [shard, holder] : expired) {
    ledger_.AddRedone(shard, SentInVain(shard));
    GiveBack(shard);
    if (!holder.empty()) effects_.emplace_back(LeaseExpired{shard, holder});
  }
}

Effects LeaseBook::OnWritten(int chunk, std::uint64_t sequence) {
  std::map<SessionId, std::vector<LeaseName>> done;
  for (const WriteWaits::Wait& wait : waits_.OnWritten(chunk, sequence)) {
    if (wait.kind == WriteWaits::Kind::kReserved) {
      reserve_.Written(wait.shard, wait.attempt);
      continue;
    }
    const std::optional<SessionId> session = table_.Find(wait.shard)->session;
    if (session) done[*session].push_back(NameOf(wait.shard));
    table_.Drop(wait.shard);
  }
  for (auto& [session, names] : done) Acknowledge(session, std::move(names));
  return TakeEffects();
}

// ---- handing out

Effects LeaseBook::Tick(Time now) {
  ExpireLeases(now);
  if (!paused_) {
    HandOut(now);
    FillReserve(now);
    AskForSplits(now);
  }
  TellNoMoreWork();
  return TakeEffects();
}

void LeaseBook::SetPaused(bool paused) {
  paused_ = paused;
  if (!paused) return;
  for (const ShardId shard : reserve_.TakeBack()) GiveBack(shard);
}

// How many leases to send to it now. To a worker that has been silent for long they would come
// expired.
int LeaseBook::Asking(const Session& session, Time now) const {
  if (session.wanted <= 0 || now - session.heard > options_.fence / 2) return 0;
  return std::max(0, std::min(session.wanted, options_.max_leases - table_.Active(session)));
}

// One each, those with the fewest first, so that no worker waits while another one stores up.
void LeaseBook::HandOut(Time now) {
  if (!reserve_.HasReady()) return;
  std::vector<SessionId> asking;  // few of many
  for (const auto& [id, session] : table_.sessions()) {
    if (Asking(session, now) > 0) asking.push_back(id);
  }
  for (int active = 0; active < options_.max_leases; ++active) {
    for (const SessionId id : asking) {
      if (!reserve_.HasReady()) return;
      const Session& session = *table_.Find(id);
      if (Asking(session, now) > 0 && table_.Active(session) == active) {
        Grant(id, reserve_.Take(now), now);
      }
    }
  }
}

void LeaseBook::FillReserve(Time now) {
  int target = reserve_.TakenLately(now, options_.reserve_ahead);
  if (!reserve_.NextPending()) return;
  for (const auto& [id, session] : table_.sessions()) {
    if (target >= options_.max_reserved) break;
    // What it asks for now, and one for its next question.
    if (!session.draining) target += 1 + Asking(session, now);
  }
  target = std::min(target, options_.max_reserved);
  while (reserve_.reserved() < target) {
    const std::optional<ShardId> shard = reserve_.NextPending();
    if (!shard) return;
    ReserveShard(Get(*shard));
  }
}

void LeaseBook::AskForSplits(Time now) {
  if (!reserve_.Empty()) return;
  auto idle = std::ranges::count_if(table_.sessions(), [&](const auto& entry) {
    return Asking(entry.second, now) > 0 && table_.Active(entry.second) == 0;
  });
  idle -= std::ranges::count_if(table_.leases(), [](const auto& entry) {
    return entry.second.shrink_reports > 0;  // asked for already
  });
  if (idle <= 0) return;
  for (const Shrinking& s : ChooseShrinks(table_, ledger_, idle, options_.min_split)) {
    Lease& lease = *table_.Find(s.shard);
    lease.shrink_reports = kReportsUntilAnswered;
    effects_.emplace_back(SendShrink{*lease.session, NameOf(s.shard), s.end});
  }
}

void LeaseBook::TellNoMoreWork() {
  if (!ledger_.AllDone() || waits_.unrecorded_done() > 0) return;
  for (const auto& [id, session] : table_.sessions()) {
    if (std::exchange(table_.Find(id)->told, true)) continue;
    effects_.emplace_back(SendNoMoreWork{id});
  }
}

// ---- what others see

Urgency LeaseBook::UrgencyOf(int chunk) const {
  if (!ledger_.IsDirty(chunk)) return Urgency::kClean;
  return waits_.IsAwaited(chunk) ? Urgency::kWaited : Urgency::kCursorsOnly;
}

int LeaseBook::leases_held() const {
  return static_cast<int>(std::ranges::count_if(table_.leases(), [](const auto& entry) {
    return entry.second.session && !entry.second.finished;
  }));
}

LeaseBook::Frozen LeaseBook::frozen() const {
  Frozen out;
  for (const auto& [shard, lease] : table_.leases()) {
    if (lease.finished || (lease.session && !lease.gone)) continue;
    ++out.shards;
    out.until = std::max(out.until.value_or(lease.expires), lease.expires);
  }
  return out;
}

}  // namespace backfill::lease
