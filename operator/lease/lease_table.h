#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

// Who holds what: leases, sessions, and which session speaks for which lease.
namespace backfill::lease {

// What the worker's latest list of its leases says about one.
enum class Naming {
  kNotYet,   // granted on this stream and not mentioned since: the grant may be under way
  kNamed,    // it has it
  kOmitted,  // it does not: it has dropped the lease, or never received it
};

struct Lease {
  Attempt attempt;
  std::string holder{};  // empty: a predecessor had reserved it and may have given it to anyone
  std::optional<SessionId> session{};  // whose messages extend it; absent: none does
  Time expires{};                      // then the shard is given away
  Time granted{};
  Naming naming = Naming::kNotYet;
  bool gone = false;      // its process has ended: nothing extends it any more
  bool finished = false;  // the shard is done, the ledger's write is under way
  // Of a process that has ended, if it is known: so many records of the shard it has sent at most,
  // those with an outcome before its lease included.
  std::optional<std::uint64_t> sent_at_most{};
  int shrink_reports = 0;  // > 0: a Shrink is outstanding, for so many reports at most

  // Its session may speak for it: what was granted or taken up on that stream, until a list leaves
  // it out.
  [[nodiscard]] bool accepted() const { return session && naming != Naming::kOmitted; }
  // An answer to its session's latest message extends it.
  [[nodiscard]] bool extended() const { return accepted() && !gone; }
};

struct Session {
  std::string worker{};
  std::string holder{};    // worker and instance
  std::uint64_t last = 0;  // sequence number of the latest message
  Time heard{};            // its receipt
  int wanted = 0;          // leases asked for and not sent since
  bool draining = false;
  bool told = false;  // that there is no more work
  std::set<ShardId> leases{};
};

// Pure, not thread-safe. A lease names its session exactly when the session lists the lease.
class LeaseTable {
 public:
  [[nodiscard]] const std::map<ShardId, Lease>& leases() const { return leases_; }
  [[nodiscard]] const std::map<SessionId, Session>& sessions() const { return sessions_; }

  // nullptr: there is none. Valid until it is dropped or detached.
  Lease* Find(ShardId shard);
  Session* Find(SessionId session);
  // nullopt: that worker has no stream.
  [[nodiscard]] std::optional<SessionId> SessionOf(const std::string& worker) const;

  // The worker must not have a session.
  void Open(SessionId id, const std::string& worker, const std::string& holder, Time now);
  // Ends a session. Its leases stay, without one.
  void Detach(SessionId id);

  Lease& Put(ShardId shard, const Lease& lease);  // without a session
  void Attach(ShardId shard, SessionId session);
  void Drop(ShardId shard);

  // The leases for which the session may speak.
  [[nodiscard]] std::vector<ShardId> Accepted(SessionId id) const;
  // Those of them that an answer to the session's latest message extends.
  [[nodiscard]] std::vector<ShardId> Extended(SessionId id) const;
  // How many its worker still works on.
  [[nodiscard]] int Active(const Session& session) const;

 private:
  std::map<ShardId, Lease> leases_;
  std::map<SessionId, Session> sessions_;
  std::map<std::string, SessionId> by_worker_;
};

}  // namespace backfill::lease
