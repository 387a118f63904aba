#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/sent_file.h"
#include "operator/lease/lease_table.h"
#include "operator/lease/reserve.h"
#include "operator/lease/write_waits.h"
#include "operator/ledger/ledger.h"

// Who may work on which shard: a pure state machine over the ledger. Input: what workers said, what
// the store confirmed, the time. Output: effects. Invariants and their reasons: README.md,
// tests/model/lease.pml.
namespace backfill::lease {

using namespace std::chrono_literals;

struct LeaseOptions {
  // The shard is given away this long after the last accepted report of its holder was received.
  Duration ttl = 60s;
  // The worker stops this long after it sent the last answered message. ttl - fence must be at
  // least wire_time.
  Duration fence = 50s;
  // The longest time a request may stay on the wire: the target's timeout + 5 s. What a worker that
  // is known to be dead held is given away only after it.
  Duration wire_time = 10s;
  // A new leader leaves shards that were in flight alone this long, for their workers to come back.
  // At least ttl.
  Duration recovery_freeze = 65s;
  int max_leases = 2;  // a worker holds at the same time
  int max_reserved =
      500;  // shards that are in the ledger as in flight before anyone asked for them
  // As many shards as were asked for in the last such time are reserved ahead: about as long as a
  // write takes. After a crash they count as sent to somebody.
  Duration reserve_ahead = 2s;
  std::uint64_t min_split = 64;  // records; a straggler's rest is not split below twice this

  [[nodiscard]] std::string Validate() const;  // empty: fine
};

// As on the wire: where the sender says a lease stands.
struct LeaseReport {
  ShardId shard;
  Attempt attempt;
  Epoch epoch;
  Position end = 0;
  Position cursor = 0;
  std::string done_above;
  ledger::OutcomeCounts counts;
  std::uint32_t in_flight = 0;
};

// Bounds on what a worker may say.
inline constexpr int kMaxLeases = 64;  // open at the same time, whatever LeaseOptions say
// Leases in one message. A worker has up to 64 more whose end is not durable yet, and has kept
// those of an earlier leader that may have allowed more.
inline constexpr int kMaxReports = 256;
inline constexpr std::size_t kMaxName = 100;  // bytes of worker and of instance: two make a holder

struct LeaseName {
  ShardId shard;
  Attempt attempt;
  Epoch epoch;
  bool operator==(const LeaseName&) const = default;
};

// ---- effects: what the owner of the book has to do, in order

struct SendLease {  // the shard is in the ledger as in flight, durably
  SessionId session;
  ledger::Shard shard;
};
struct SendAck {
  SessionId session;
  std::uint64_t answers = 0;
  std::vector<LeaseName> held;  // of this session, extended by this answer
  std::vector<LeaseName> done;  // durable
};
struct SendRevoke {
  SessionId session;
  LeaseName lease;
  std::string reason;
};
struct SendShrink {
  SessionId session;
  LeaseName lease;
  Position end = 0;
};
struct SendNoMoreWork {
  SessionId session;
};
struct CloseSession {  // replaced by a newer instance, or broke the protocol
  SessionId session;
  std::string reason;
};
// The shard is about to be leased again from this state: failures that earlier attempts recorded
// beyond it no longer stand (FailureLog::Supersede).
struct Supersede {
  ShardId shard;
  Attempt next_attempt;
  Position from = 0;
  std::string done_above;
};
struct LeaseExpired {  // for events and metrics
  ShardId shard;
  std::string holder;
};
using Effect = std::variant<SendLease, SendAck, SendRevoke, SendShrink, SendNoMoreWork,
                            CloseSession, Supersede, LeaseExpired>;
using Effects = std::vector<Effect>;

// How soon a dirty chunk has to be written.
enum class Urgency { kClean, kCursorsOnly, kWaited };  // kWaited: a lease or an Ack waits for it

// What the book knows when it starts over a ledger that a predecessor left.
enum class Predecessors {
  kMayLive,     // workers of the previous leader may still be sending: freeze what is in flight for
                // recovery_freeze
  kProvenGone,  // every one of their processes has ended: wire_time is enough
};

// Not thread-safe; no I/O; the time is an argument and never goes back. The ledger must outlive the
// book, and only the book changes it. The owner (1) performs effects in order, (2) writes dirty
// chunks with ledger.Encode() and calls OnWritten() after the store has confirmed, one write per
// chunk at a time, and (3) makes no call and performs no effect while its own leadership is not
// certain.
class LeaseBook {
 public:
  // Ends the process if the options are invalid. Chunks that were not written under `epoch` yet are
  // marked as dirty.
  // `sent_at_most`: of shards in flight whose process has ended, so many records were sent at most.
  LeaseBook(const LeaseOptions& options, ledger::Ledger& ledger, Epoch epoch, Time now,
            Predecessors predecessors, const std::map<ShardId, std::uint64_t>& sent_at_most = {});
  LeaseBook(const LeaseBook&) = delete;
  LeaseBook& operator=(const LeaseBook&) = delete;

  // A worker's stream has begun. `worker` is the slot, `instance` the process. Reports under
  // earlier epochs are taken up if (shard, attempt) is what the ledger has and the shard is not
  // done; the others are absent from Kept().
  Effects OnHello(SessionId session, const std::string& worker, const std::string& instance,
                  const std::vector<LeaseReport>& held, Time now);
  // The leases for which that session may speak: for Welcome.kept, and the only ones whose failures
  // may be recorded.
  [[nodiscard]] std::vector<LeaseName> Kept(SessionId session) const;

  // Each is answered by a SendAck for `sequence` at once; what must be durable first (`done`) comes
  // in a later SendAck. A message of an unknown session, or with a sequence number that is not
  // higher than the session's last, is dropped.
  Effects OnProgress(SessionId session, std::uint64_t sequence,
                     const std::vector<LeaseReport>& reports, int shards_wanted, Time now);
  Effects OnShardDone(SessionId session, std::uint64_t sequence, const LeaseReport& report,
                      Time now);
  Effects OnDraining(SessionId session, std::uint64_t sequence,
                     const std::vector<LeaseReport>& reports, Time now);
  // An accepted message that says nothing about leases.
  Effects OnOther(SessionId session, std::uint64_t sequence, Time now);

  // The stream ended. Changes nothing but where effects can go: the worker may come back before the
  // TTL.
  void OnDisconnect(SessionId session);
  // That process has ended for certain: what it held is given away after wire_time. `sent`: what it
  // has sent at most, if that is known.
  void OnWorkerGone(const std::string& worker, const std::string& instance, Time now,
                    const std::optional<SentBounds>& sent = std::nullopt);

  // The store has confirmed the write of a chunk with this sequence number.
  Effects OnWritten(int chunk, std::uint64_t sequence);

  // Expiry, reservation, splits, NoMoreWork. Call at least every 250 ms and after every batch of
  // inputs.
  Effects Tick(Time now);

  // No new leases while paused; what was reserved goes back, so that pausing before the end leaves
  // nothing to freeze. Reports and Acks go on.
  void SetPaused(bool paused);

  [[nodiscard]] Urgency UrgencyOf(int chunk) const;
  [[nodiscard]] int leases_held() const;
  // There is a shard that nobody has, to be handed out now or once it is written.
  [[nodiscard]] bool HasShards() const { return !reserve_.Empty(); }
  // Shards that wait for the requests of a lost worker to end, and when the last of them is free.
  struct Frozen {
    int shards = 0;
    std::optional<Time> until;
  };
  [[nodiscard]] Frozen frozen() const;

 private:
  // ---- sessions
  Session* Accept(SessionId id, std::uint64_t sequence, Time now);
  void Close(SessionId id, std::string_view reason);
  void Extend(SessionId id, Time now);
  void Acknowledge(SessionId id, std::vector<LeaseName> done);

  // ---- reports
  bool CheckReports(SessionId id, const std::vector<LeaseReport>& reports);
  Lease* FindNamed(SessionId id, const LeaseReport& report);
  void AnswerStale(SessionId id, const LeaseReport& report, std::vector<LeaseName>& done);
  bool Absorb(const LeaseReport& report);
  void TakeUp(SessionId id, const LeaseReport& report, Time now);

  // ---- the life of a lease
  void ReserveShard(const ledger::Shard& shard);
  void Grant(SessionId id, ShardId shard, Time now);
  void RecordHolder(ShardId shard, const std::string& holder);
  void Finish(ShardId shard);
  void GiveBack(ShardId shard);
  [[nodiscard]] std::uint64_t SentInVain(ShardId shard) const;
  void ExpireLeases(Time now);

  // ---- handing out
  [[nodiscard]] int Asking(const Session& session, Time now) const;
  void HandOut(Time now);
  void FillReserve(Time now);
  void AskForSplits(Time now);
  void TellNoMoreWork();

  [[nodiscard]] const ledger::Shard& Get(ShardId shard) const { return *ledger_.Find(shard); }
  [[nodiscard]] LeaseName NameOf(ShardId shard) const;
  [[nodiscard]] std::vector<LeaseName> NamesOf(const std::vector<ShardId>& shards) const;
  Effects TakeEffects() { return std::exchange(effects_, {}); }

  const LeaseOptions options_;
  ledger::Ledger& ledger_;
  const Epoch epoch_;
  LeaseTable table_;  // what is in flight and not reserved by this leader
  Reserve reserve_;
  WriteWaits waits_;
  bool paused_ = false;
  std::deque<std::string> gone_;  // holders that have ended, the latest ones
  Effects effects_;               // of the call that is running
};

}  // namespace backfill::lease
