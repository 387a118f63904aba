#include "operator/kube/runtime/election.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <utility>

namespace backfill::kube {
namespace {

constexpr Duration kLongestLease = 1h;  // that is believed of another's record
constexpr std::size_t kMaxIdentity = 253;
// How client-go marks a Lease that its holder gave back, besides the empty name. One that was
// merely emptied, by hand or by a manifest, says nothing about whether its holder knows.
constexpr std::int64_t kReleasedSeconds = 1;
constexpr int kReleaseTries = 5;
// Who waits looks so many times in a retry period: how soon it sees that the Lease was given back.
constexpr int kLooksARetry = 4;

bool IsReleased(const LeaseRecord& record) {
  return record.holder.empty() && record.duration_seconds == kReleasedSeconds;
}

// splitmix64, by Sebastiano Vigna.
std::uint64_t NextRandom(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15;
  std::uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

std::string ElectionOptions::Validate() const {
  if (identity.empty() || identity.size() > kMaxIdentity) {
    return "the identity must have 1 to 253 bytes";
  }
  if (lease < 1s || lease > kLongestLease || lease % 1s != Duration::zero()) {
    return "the lease duration must be whole seconds, 1 s to 1 h";
  }
  if (lease <= renew_deadline) return "the lease duration must be longer than the renew deadline";
  if (renew_deadline * 10 <= retry * 12) {
    return "the renew deadline must be longer than 1.2 retry periods";
  }
  if (retry < 10ms) return "the retry period must be at least 10 ms";
  if (spread < Duration::zero() || spread > lease) {
    return "the spread must be 0 to the lease duration";
  }
  return "";
}

Election::Election(const ElectionOptions& options)
    : options_(options), random_(options.seed), longest_(options.lease) {}

std::optional<Election::Request> Election::Next(Time now, WallTime wall) {
  if (pending_) std::abort();
  if (phase_ == Phase::kLeader && now >= valid_until_) {
    Lose("the Lease was not renewed in time" + (reason_.empty() ? "" : ": " + reason_));
  }
  if (phase_ == Phase::kReleasing && (now >= release_by_ || conflicts_ > kReleaseTries)) {
    phase_ = Phase::kStopped;  // it expires by itself
  }
  if (now < next_at_) return std::nullopt;

  Request request;
  switch (phase_) {
    case Phase::kFollower:
      request =
          !looked_ || look_first_ || now < ExpiresAt() ? ReadRequest(now) : ClaimRequest(now, wall);
      break;
    case Phase::kLeader:
      request = look_first_ ? ReadRequest(now) : ClaimRequest(now, wall);
      break;
    case Phase::kReleasing:
      request = look_first_ ? ReadRequest(now) : ReleaseRequest(now, wall);
      break;
    case Phase::kLost:
    case Phase::kStopped:
      return std::nullopt;
  }
  pending_ = Pending{.request = request, .sent = now};
  return request;
}

Time Election::NextAt() const {
  switch (phase_) {
    case Phase::kFollower:
      return next_at_;
    case Phase::kLeader:
      return std::min(next_at_, valid_until_);
    case Phase::kReleasing:
      return std::min(next_at_, release_by_);
    case Phase::kLost:
    case Phase::kStopped:
      return Time::max();
  }
  return Time::max();
}

void Election::OnResult(const ApiResult<StoredLease>& result, Time now) {
  if (!pending_) std::abort();
  const Pending pending = *std::exchange(pending_, std::nullopt);
  if (phase_ == Phase::kLost || phase_ == Phase::kStopped) return;
  if (pending.request.kind == Request::Kind::kRead) {
    OnRead(result, pending, now);
  } else if (result.ok()) {
    OnWritten(*result, pending, now);
  } else {
    OnRefused(result.error(), pending, now);
  }
}

void Election::Release(Time now) {
  switch (phase_) {
    case Phase::kFollower:
      phase_ = Phase::kStopped;
      return;
    case Phase::kLeader:
      valid_until_ = Time::min();  // before anybody else can know
      phase_ = Phase::kReleasing;
      conflicts_ = 0;
      next_at_ = now;
      release_by_ = now + options_.renew_deadline;
      return;
    case Phase::kReleasing:
    case Phase::kLost:
    case Phase::kStopped:
      return;
  }
}

std::string_view Election::holder() const {
  return lease_ ? std::string_view(lease_->record.holder) : std::string_view();
}

// ---- what is sent

// Half of what a leader has, so that one request that hangs leaves time for another.
Time Election::Until(Time now) const {
  const Time half = now + options_.renew_deadline / 2;
  return phase_ == Phase::kLeader ? std::min(half, valid_until_) : half;
}

Election::Request Election::ReadRequest(Time now) const {
  return {.kind = Request::Kind::kRead, .base = {}, .record = {}, .deadline = Until(now)};
}

Election::Request Election::ClaimRequest(Time now, WallTime wall) const {
  LeaseRecord record{.holder = options_.identity,
                     .duration_seconds = options_.lease / 1s,
                     .acquired = wall,
                     .renewed = wall,
                     .transitions = 0};
  constexpr std::int64_t kMax = std::numeric_limits<std::int32_t>::max();  // as the API has it
  const std::int64_t transitions = std::clamp<std::int64_t>(transitions_.value_or(0), 0, kMax - 1);
  if (!lease_) {
    // Empty: a create replaces no version, so it cannot tell that there was no leader just now.
    record.holder.clear();
    record.duration_seconds = std::max(record.duration_seconds, kReleasedSeconds + 1);
    record.transitions = transitions;
    return {.kind = Request::Kind::kCreate, .base = {}, .record = record, .deadline = Until(now)};
  }
  record.transitions = transitions + 1;
  if (IsOurs()) {
    record.acquired = lease_->record.acquired;
    record.transitions = lease_->record.transitions;
  }
  return {
      .kind = Request::Kind::kUpdate, .base = *lease_, .record = record, .deadline = Until(now)};
}

Election::Request Election::ReleaseRequest(Time now, WallTime wall) const {
  const LeaseRecord record{.holder = "",
                           .duration_seconds = kReleasedSeconds,
                           .acquired = wall,
                           .renewed = wall,
                           .transitions = lease_->record.transitions};
  return {.kind = Request::Kind::kUpdate,
          .base = *lease_,
          .record = record,
          .deadline = std::min(Until(now), release_by_)};
}

// ---- what comes back

void Election::OnRead(const ApiResult<StoredLease>& result, const Pending& pending, Time now) {
  if (result.ok()) {
    Observe(*result, now);
  } else if (result.error().kind == ApiErrorKind::kNotFound) {
    Observe(std::nullopt, now);
  } else {
    reason_ = result.error().message;
    return Retry(pending, now);
  }
  look_first_ = false;
  if (phase_ == Phase::kFollower) {
    reason_.clear();
    conflicts_ = 0;
    return Wait(pending, now);
  }
  // A write of our own that seemed to be lost, or another's that left the spec alone.
  if (IsOurs()) {
    next_at_ = conflicts_ > 1 ? std::max(now, pending.sent + options_.retry) : now;
    return;
  }
  if (phase_ == Phase::kReleasing) {
    phase_ = Phase::kStopped;
    return;
  }
  Lose(!lease_                         ? "the Lease was deleted"
       : lease_->record.holder.empty() ? "the Lease was taken away from us"
                                       : "the Lease is held by " + lease_->record.holder);
}

void Election::OnWritten(const StoredLease& stored, const Pending& pending, Time now) {
  Observe(stored, now);
  reason_.clear();
  conflicts_ = 0;
  look_first_ = false;
  if (phase_ == Phase::kReleasing) {
    if (!IsOurs()) phase_ = Phase::kStopped;
    next_at_ = now;  // if this was a renewal: now give it back
    return;
  }
  if (!IsOurs()) {  // an API server that does not keep what it is given
    if (phase_ == Phase::kLeader) return Lose("the Lease does not keep what was written to it");
    return Wait(pending, now);
  }
  const Time valid_until = pending.sent + options_.renew_deadline;
  next_at_ = std::max(now, pending.sent + options_.retry);
  if (now >= valid_until) {  // so late that it is no leadership: renew at once, if it still is ours
    next_at_ = now;
    return;
  }
  valid_until_ = valid_until;
  if (phase_ == Phase::kLeader) return;
  phase_ = Phase::kLeader;
  epoch_ = {static_cast<std::uint64_t>(std::max<std::int64_t>(0, stored.record.transitions))};
}

void Election::OnRefused(const ApiError& error, const Pending& pending, Time now) {
  reason_ = error.message;
  if (error.kind == ApiErrorKind::kNotFound && pending.request.kind == Request::Kind::kUpdate) {
    Observe(std::nullopt, now);
    if (phase_ == Phase::kLeader) return Lose("the Lease was deleted");
    if (phase_ == Phase::kReleasing) {
      phase_ = Phase::kStopped;
      return;
    }
    return Wait(pending, now);
  }
  if (error.kind == ApiErrorKind::kConflict || error.kind == ApiErrorKind::kAlreadyExists) {
    look_first_ = true;
    ++conflicts_;
    next_at_ = conflicts_ > 1 ? std::max(now, pending.sent + options_.retry) : now;
    return;
  }
  // It may have been written. To write again on the same version is right in both cases: it
  // conflicts if it has been. Retry-After is not waited for: one request in a retry period is
  // little, and who does not ask loses the Lease.
  Retry(pending, now);
}

void Election::Observe(const std::optional<StoredLease>& seen, Time now) {
  heard_at_ = now;
  const bool same = looked_ && seen.has_value() == lease_.has_value() &&
                    (!seen || (seen->version == lease_->version && seen->record == lease_->record));
  if (seen) {
    longest_ = std::max<Duration>(
        options_.lease,
        1s * std::clamp<std::int64_t>(seen->record.duration_seconds, 0, kLongestLease / 1s));
    transitions_ = seen->record.transitions;
  }
  looked_ = true;
  lease_ = seen;
  if (!same) unchanged_since_ = now;
}

// For the next look, or until the Lease has expired.
void Election::Wait(const Pending& pending, Time now) {
  if (now < ExpiresAt()) {
    const Duration look = options_.retry / kLooksARetry;
    next_at_ = std::min(std::max(now, pending.sent + look) + Random(look / 5),
                        ExpiresAt() + Random(options_.spread));
  } else {
    // One that was given back is waited for, and who comes second learns so at once.
    next_at_ =
        now + Random(lease_ && IsReleased(lease_->record) ? options_.spread / 4 : options_.spread);
  }
}

void Election::Retry(const Pending& pending, Time now) {
  next_at_ = std::max(now, pending.sent + options_.retry);
  if (phase_ == Phase::kFollower) next_at_ += Random(options_.retry / 5);
}

void Election::Lose(std::string reason) {
  phase_ = Phase::kLost;
  valid_until_ = Time::min();
  reason_ = std::move(reason);
}

bool Election::IsOurs() const { return lease_ && lease_->record.holder == options_.identity; }

Time Election::ExpiresAt() const {
  // As ours it can only stand there by an update whose answer was lost, which nobody else's
  // followed.
  if (!lease_ || IsOurs() || IsReleased(lease_->record)) return unchanged_since_;
  return unchanged_since_ + longest_;
}

Duration Election::Random(Duration below) {
  if (below <= Duration::zero()) return Duration::zero();
  return Duration(
      static_cast<Duration::rep>(NextRandom(random_) % static_cast<std::uint64_t>(below.count())));
}

std::string_view ToString(Election::Phase phase) {
  switch (phase) {
    case Election::Phase::kFollower:
      return "follower";
    case Election::Phase::kLeader:
      return "leader";
    case Election::Phase::kReleasing:
      return "releasing";
    case Election::Phase::kLost:
      return "lost";
    case Election::Phase::kStopped:
      return "stopped";
  }
  return "unknown";
}

}  // namespace backfill::kube
