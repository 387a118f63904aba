#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/ids.h"
#include "operator/kube/client/api_error.h"

// Who leads: the decisions of one candidate for a Lease of coordination.k8s.io/v1, without I/O.
namespace backfill::kube {

using namespace std::chrono_literals;

// spec of a Lease. The times are for people: nothing is decided by them.
struct LeaseRecord {
  std::string holder;                 // "": nobody
  std::int64_t duration_seconds = 0;  // as its holder claims
  WallTime acquired{};
  WallTime renewed{};
  std::int64_t transitions = 0;
  bool operator==(const LeaseRecord&) const = default;
};

// As it was read. What is written replaces it, and fails if there is another version by then.
struct StoredLease {
  LeaseRecord record;
  std::string version;
  std::string object;  // all of it, so that a write keeps what others have put there
};

struct ElectionOptions {
  std::string identity;  // <pod>_<random>: no two candidates ever have the same (R37)
  // Others take the Lease when it stood still for this long. Whole seconds.
  Duration lease = 5s;
  // A leader stops this long after it sent its last successful renewal (R38). What is between the
  // two has to cover how much faster another's clock may run.
  Duration renew_deadline = 3s;
  Duration retry = 1s;      // between renewals; who waits looks four times as often
  Duration spread = 200ms;  // who waits tries within that time after the Lease has expired, or
                            // within a quarter of it after it was given back
  std::uint64_t seed = 0;   // of the spread

  [[nodiscard]] std::string Validate() const;  // empty: fine
};

// A state machine: Next() says what to ask the API server, OnResult() takes the answer. A value,
// not thread-safe; time is an argument, on the candidate's own monotonic clock, and never goes
// back.
//
// What holds, whatever the network, the clocks of day, and pauses of the process do:
// - At most one candidate is leader at any moment. A Lease has expired only when its record,
// version
//   included, has not changed for its duration while this candidate looked on (R37, KEP-589 and
//   client-go's leaderelection); a leader counts from before it sent its renewal, and for less
//   (R38). The clocks of two machines may differ in rate by (lease - renew_deadline) / lease.
// - The same for a Lease that is deleted or emptied by hand: who finds none creates an empty one,
// which
//   has to stand still like any other. Here client-go is quicker, and has two leaders for a moment.
//   Only a Lease that its holder has given back (R39) is taken at once.
// - If a candidate and the API server are alive, and no other leads, it leads within lease + 2
// retry +
//   spread, plus the time its requests take.
// - Each leader's epoch is higher than that of the one before, unless the Lease was deleted and
//   nobody who is alive has seen it.
//
// What does not hold: a machine that is suspended together with its monotonic clock, such as a
// virtual one that is paused, wakes up as the leader it was, until its next renewal. As everywhere
// in Kubernetes.
//
// Being leader is no fence: what was sent in time may arrive late. Whoever stores something
// compares versions or epochs.
class Election {
 public:
  enum class Phase {
    kFollower,
    kLeader,
    kReleasing,  // no leader any more, but its name may still stand in the Lease
    kLost,       // was leader and did not want to end: the process must exit, R38
    kStopped,    // ended as asked
  };
  struct Request {
    enum class Kind { kRead, kCreate, kUpdate };
    Kind kind = Kind::kRead;
    StoredLease base;    // kUpdate: what is replaced
    LeaseRecord record;  // kCreate, kUpdate
    Time deadline{};
  };

  explicit Election(const ElectionOptions& options);

  // What to send now; its result must be told before the next call. Absent: nothing before
  // NextAt(). Also notices that the leader's time is up.
  std::optional<Request> Next(Time now, WallTime wall);
  [[nodiscard]] Time NextAt() const;
  // kNotFound, kConflict and kAlreadyExists say something; after any other error it is not known
  // whether the write happened.
  void OnResult(const ApiResult<StoredLease>& result, Time now);

  // To end: from now on it is no leader, and the Lease is given back as soon as it can be.
  void Release(Time now);

  [[nodiscard]] Phase phase() const { return phase_; }
  // Until when it leads; in the past if it does not.
  [[nodiscard]] Time valid_until() const { return valid_until_; }
  [[nodiscard]] bool IsLeaderAt(Time now) const { return now < valid_until_; }
  // Of a leader: leaseTransitions.
  [[nodiscard]] Epoch epoch() const { return epoch_; }
  // Who holds it as far as is known, for logs.
  [[nodiscard]] std::string_view holder() const;
  // kLost: why. Else the last failure, or empty.
  [[nodiscard]] const std::string& reason() const { return reason_; }
  // When a request last succeeded; the start of the epoch of clocks if none has.
  [[nodiscard]] Time heard_at() const { return heard_at_; }

 private:
  struct Pending {
    Request request;
    Time sent{};
  };

  [[nodiscard]] Request ReadRequest(Time now) const;
  [[nodiscard]] Request ClaimRequest(Time now, WallTime wall) const;
  [[nodiscard]] Request ReleaseRequest(Time now, WallTime wall) const;
  [[nodiscard]] Time Until(Time now) const;

  void OnRead(const ApiResult<StoredLease>& result, const Pending& pending, Time now);
  void OnWritten(const StoredLease& stored, const Pending& pending, Time now);
  void OnRefused(const ApiError& error, const Pending& pending, Time now);
  void Observe(const std::optional<StoredLease>& seen, Time now);
  void Wait(const Pending& pending, Time now);
  void Retry(const Pending& pending, Time now);
  void Lose(std::string reason);

  [[nodiscard]] bool IsOurs() const;
  [[nodiscard]] Time ExpiresAt() const;
  Duration Random(Duration below);

  ElectionOptions options_;
  std::uint64_t random_;

  Phase phase_ = Phase::kFollower;
  Time valid_until_ = Time::min();
  Epoch epoch_;
  std::string reason_;

  bool looked_ = false;                      // what follows is known
  std::optional<StoredLease> lease_;         // absent: there is none
  Time unchanged_since_{};                   // when this was first seen
  Duration longest_;                         // that the Lease as last seen may be valid
  std::optional<std::int64_t> transitions_;  // the last that were seen, also of a Lease now deleted

  std::optional<Pending> pending_;
  bool look_first_ = false;  // another has written: look before the next write
  int conflicts_ = 0;        // since the last success
  Time next_at_ = Time::min();
  Time heard_at_{};
  Time release_by_{};
};

std::string_view ToString(Election::Phase phase);

}  // namespace backfill::kube
