#include "operator/kube/runtime/leader_election.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <utility>

#include "base/digest.h"
#include "base/log.h"
#include "operator/kube/runtime/runtime_metrics.h"

namespace backfill::kube {
namespace {

constexpr std::size_t kIdentityBytes = 8;
// However far away the next step is, the clock is looked at this often: a machine may sleep.
constexpr Duration kLongestElectionWait = 1s;

}  // namespace

std::string NewIdentity(const std::string& pod) { return pod + "_" + RandomHex(kIdentityBytes); }

LeaderElection::LeaderElection(ElectionOptions options, std::string lease_name, LeaseApi& api,
                               const Clock& clock, LeaderEvents& events, MetricRegistry& metrics)
    : options_(std::move(options)),
      lease_name_(std::move(lease_name)),
      api_(api),
      clock_(clock),
      events_(events),
      status_(LeaderStatus(metrics, lease_name_)),
      valid_until_(Time::min().time_since_epoch().count()) {
  if (const std::string problem = options_.Validate(); !problem.empty()) {
    Log(LogLevel::kError, "leader election cannot work with its options", {{"problem", problem}});
    std::abort();
  }
}

void LeaderElection::Start() {
  {
    MutexLock l(mu_);
    heard_at_ = clock_.Steady();  // overdue is counted from here
  }
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void LeaderElection::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

std::optional<Epoch> LeaderElection::epoch() const {
  MutexLock l(mu_);
  return epoch_;
}

std::string LeaderElection::holder() const {
  MutexLock l(mu_);
  return holder_;
}

Time LeaderElection::heard_at() const {
  MutexLock l(mu_);
  return heard_at_;
}

void LeaderElection::Run(const std::stop_token& stop) {
  ElectionOptions options = options_;
  // Candidates that start together must not try together.
  options.seed ^= std::hash<std::string>{}(options.identity);
  Election election(options);
  Mutex idle;
  std::condition_variable_any never;
  Election::Phase before = election.phase();
  while (election.phase() != Election::Phase::kStopped &&
         election.phase() != Election::Phase::kLost) {
    if (stop.stop_requested()) election.Release(clock_.Steady());
    const auto request = election.Next(clock_.Steady(), clock_.Wall());
    Publish(election);  // before a request: it may have noticed that its time is up
    if (request) {
      const ApiResult<StoredLease> result = Perform(*request, stop);
      election.OnResult(result, clock_.Steady());
      Publish(election);
    }
    if (const Election::Phase phase = election.phase(); phase != before) {
      before = phase;
      Log(LogLevel::kInfo, "leader election",
          {{"lease", lease_name_},
           {"phase", std::string(ToString(phase))},
           {"holder", std::string(election.holder())},
           {"reason", election.reason()}});
      if (phase == Election::Phase::kLeader) events_.OnLeading(election.epoch());
      if (phase == Election::Phase::kLost) events_.OnLost(election.reason());
    }
    if (request) continue;
    // From what is left, not from how far away it is: "never" is too far for a difference.
    const Time now = clock_.Steady();
    const Time next = std::min(election.NextAt(), now + kLongestElectionWait);
    const Duration wait = std::max<Duration>(next - now, 0s);
    MutexLock l(idle);
    if (stop.stop_requested()) {  // giving it back: the stop has been heard
      never.wait_for(idle, wait, [] { return false; });
    } else {
      never.wait_for(idle, stop, wait, [] { return false; });
    }
  }
}

ApiResult<StoredLease> LeaderElection::Perform(const Election::Request& request,
                                               const std::stop_token& stop) {
  // To give the Lease back is done after the stop, so it is not stopped by it.
  const std::stop_token token = stop.stop_requested() ? std::stop_token() : stop;
  switch (request.kind) {
    case Election::Request::Kind::kRead:
      return api_.Get(request.deadline, token);
    case Election::Request::Kind::kCreate:
      return api_.Create(request.record, request.deadline, token);
    case Election::Request::Kind::kUpdate:
      return api_.Update(request.base, request.record, request.deadline, token);
  }
  std::abort();
}

void LeaderElection::Publish(const Election& election) {
  valid_until_.store(election.valid_until().time_since_epoch().count(), std::memory_order_release);
  const bool leads = election.phase() == Election::Phase::kLeader;
  status_.Set(leads ? 1 : 0);
  MutexLock l(mu_);
  epoch_ = leads ? std::optional(election.epoch()) : std::nullopt;
  holder_ = std::string(election.holder());
  heard_at_ = std::max(heard_at_, election.heard_at());
}

}  // namespace backfill::kube
