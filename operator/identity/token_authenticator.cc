#include "operator/identity/token_authenticator.h"

#include <pthread.h>

#include <utility>

#include "base/digest.h"
#include "base/log.h"

namespace backfill::identity {
namespace {

constexpr Duration kLogEvery = std::chrono::seconds(1);  // for each reason

ReviewCache::Review ReviewOf(const kube::ApiError& error) {
  // What the server cannot read as a token will not become one. All else is trouble of ours or of
  // the server, which says nothing of the token.
  const bool hopeless =
      error.kind == kube::ApiErrorKind::kInvalid || error.kind == kube::ApiErrorKind::kTooLarge;
  return Refused{hopeless ? Refusal::kMalformed : Refusal::kUnavailable, error.message};
}

}  // namespace

TokenAuthenticator::TokenAuthenticator(const kube::ApiClient& client,
                                       const WorkerDirectory& directory, const Clock& clock,
                                       const TokenAuthenticatorOptions& options)
    : client_(client),
      directory_(directory),
      clock_(clock),
      options_(options),
      cache_(options.cache) {}

TokenAuthenticator::~TokenAuthenticator() { Stop(); }

void TokenAuthenticator::Start() {
  for (int i = 0; i < options_.threads; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) {
      pthread_setname_np(pthread_self(), "bf-identity");
      Run(stop);
    });
  }
}

void TokenAuthenticator::Stop() {
  {
    MutexLock l(mu_);
    stopped_ = true;
  }
  for (auto& thread : threads_) thread.request_stop();
  threads_.clear();  // joins
  std::map<std::string, Waiting> left;
  {
    MutexLock l(mu_);
    left.swap(waiting_);
    queue_.clear();
  }
  for (const auto& [digest, waiting] : left)
    Answer(waiting.waiters, Refused{Refusal::kUnavailable, "the operator ends"});
}

TokenAuthenticator::Counts TokenAuthenticator::counts() const {
  Counts counts{.accepted = accepted_, .reviews = reviews_};
  for (std::size_t i = 0; i < kRefusals; ++i) counts.refused[i] = refused_[i];
  return counts;
}

void TokenAuthenticator::Authenticate(std::string token, std::string peer, Done done) {
  std::vector<Waiter> self;
  self.push_back({std::move(peer), std::move(done)});
  if (!LooksLikeToken(token)) return Answer(self, Refused{Refusal::kMalformed, "this is no token"});
  std::string digest = Sha256Hex(token);

  std::optional<ReviewCache::Review> known;
  {
    MutexLock l(mu_);
    known = cache_.Find(digest, clock_.Steady());
  }
  if (known && !known->ok()) return Answer(self, known->error());
  if (known) {
    if (const auto found = directory_.FindCached(**known)) return Answer(self, *found);
  }

  std::optional<Refused> refused;
  {
    MutexLock l(mu_);
    const auto it = waiting_.find(digest);
    if (stopped_) {
      refused = {Refusal::kUnavailable, "the operator ends"};
    } else if (it != waiting_.end() && it->second.waiters.size() < options_.max_together) {
      it->second.waiters.push_back(std::move(self.front()));
    } else if (it != waiting_.end() || queue_.size() >= options_.max_waiting) {
      refused = {Refusal::kOverloaded, "too many tokens wait for their review"};
    } else {
      waiting_.emplace(digest, Waiting{.token = std::move(token), .waiters = std::move(self)});
      queue_.push_back(std::move(digest));
      changed_.notify_one();
    }
  }
  if (refused) Answer(self, *refused);
}

void TokenAuthenticator::Run(const std::stop_token& stop) {
  while (true) {
    std::string digest;
    std::string token;
    {
      MutexLock l(mu_);
      changed_.wait(mu_, stop, [this]() REQUIRES(mu_) { return !queue_.empty(); });
      if (stop.stop_requested()) return;
      digest = std::move(queue_.front());
      queue_.pop_front();
      token = waiting_.at(digest).token;
    }
    const kube::CallLimits limits{clock_.Steady() + options_.call_timeout, stop};
    const auto review = Review(token, digest, limits);
    const Found found = review.ok() ? directory_.Find(*review, limits) : Found(review.error());
    Waiting waiting;
    {
      MutexLock l(mu_);
      const auto it = waiting_.find(digest);
      waiting = std::move(it->second);
      waiting_.erase(it);
    }
    Answer(waiting.waiters, found);
  }
}

ReviewCache::Review TokenAuthenticator::Review(const std::string& token, const std::string& digest,
                                               const kube::CallLimits& limits) {
  {
    MutexLock l(mu_);
    // It waited for the pod, or somebody has asked in between.
    if (const auto known = cache_.Find(digest, clock_.Steady())) return *known;
  }
  reviews_ += 1;
  const Time asked = clock_.Steady();
  const auto answer = kube::ReviewToken(client_, token, {options_.audience}, limits);
  auto review = answer.ok() ? ClaimOf(*answer, options_.audience) : ReviewOf(answer.error());
  if (!review.ok() && review.error().why == Refusal::kUnavailable) return review;
  std::optional<Duration> valid;
  if (const auto expiry = ExpiryOf(token)) valid = *expiry - clock_.Wall();
  MutexLock l(mu_);
  cache_.Learn(digest, review, valid, asked);
  return review;
}

void TokenAuthenticator::Answer(const std::vector<Waiter>& waiters, const Found& found) {
  for (const Waiter& waiter : waiters) {
    if (found.ok()) {
      accepted_ += 1;
      waiter.done(std::optional(*found));
      continue;
    }
    const Refused& refused = found.error();
    refused_[static_cast<std::size_t>(refused.why)] += 1;
    Report(refused, waiter.peer);
    waiter.done(Error{CodeOf(refused.why), std::string(ToString(refused.why))});
  }
}

// A flood of them must not become one of the log: the counters have them all.
void TokenAuthenticator::Report(const Refused& refused, const std::string& peer) {
  const Time now = clock_.Steady();
  {
    MutexLock l(log_mu_);
    auto& last = logged_[static_cast<std::size_t>(refused.why)];
    if (last && now - *last < kLogEvery) return;
    last = now;
  }
  const bool later = CodeOf(refused.why) == ErrorCode::kUnavailable;
  Log(later ? LogLevel::kInfo : LogLevel::kWarning, "a worker was not accepted",
      {{"reason", std::string(ToString(refused.why))}, {"peer", peer}, {"detail", refused.detail}});
}

}  // namespace backfill::identity
