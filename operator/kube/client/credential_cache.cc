#include "operator/kube/client/credential_cache.h"

#include <utility>

namespace backfill::kube {
namespace {

constexpr Duration kKeep = std::chrono::seconds(60);
constexpr Duration kBeforeExpiry = std::chrono::seconds(10);
constexpr Duration kAfterFailure = std::chrono::seconds(1);  // not a program for each request

}  // namespace

CredentialCache::CredentialCache(std::unique_ptr<CredentialSource> source, const Clock& clock)
    : source_(std::move(source)), clock_(clock) {}

bool CredentialCache::IsFresh() const {
  if (current_ == nullptr || clock_.Steady() - loaded_at_ >= kKeep) return false;
  return !current_->expires || clock_.Wall() + kBeforeExpiry < *current_->expires;
}

Result<CredentialCache::Snapshot> CredentialCache::Get(Time deadline, std::stop_token stop) {
  bool first = false;
  {
    MutexLock l(mu_);
    if (IsFresh()) return current_;
    first = current_ == nullptr;
    if (!first && loading_) return current_;
    if (problem_ && clock_.Steady() - loaded_at_ < kAfterFailure) {
      if (first) return *problem_;
      return current_;
    }
  }
  Result<Snapshot> loaded = Load(first, deadline, stop);
  if (loaded.ok()) return loaded;
  MutexLock l(mu_);
  if (current_ != nullptr) return current_;
  return loaded;
}

Result<CredentialCache::Snapshot> CredentialCache::Replace(const Snapshot& refused, Time deadline,
                                                           std::stop_token stop) {
  {
    MutexLock l(mu_);
    if (current_ != nullptr && current_ != refused) return current_;  // another has been here
    const Time now = clock_.Steady();
    if (replaced_at_ && now - *replaced_at_ < kAfterFailure && current_ != nullptr) return current_;
    replaced_at_ = now;
  }
  return Load(/*wait=*/true, deadline, stop);
}

// With `wait` the outcome of a load that another thread is at counts as ours.
Result<CredentialCache::Snapshot> CredentialCache::Load(bool wait, Time deadline,
                                                        const std::stop_token& stop) {
  {
    MutexLock l(mu_);
    if (loading_ && !wait) return current_;
    if (loading_) {
      const std::uint64_t seen = loads_;
      const bool ended =
          loaded_.wait_until(mu_, stop, deadline, [&]() REQUIRES(mu_) { return loads_ != seen; });
      if (stop.stop_requested())
        return Error{ErrorCode::kAborted, "stopped while credentials were being read"};
      if (!ended) return Error{ErrorCode::kDeadline, "credentials are still being read"};
      if (problem_) return *problem_;
      return current_;
    }
    loading_ = true;
  }
  Result<Credentials> loaded = source_->Load(deadline, stop);
  MutexLock l(mu_);
  loading_ = false;
  ++loads_;
  problem_.reset();
  if (loaded.ok()) {
    current_ = std::make_shared<const Credentials>(std::move(loaded).value());
  } else {
    problem_ = loaded.error();
  }
  loaded_at_ = clock_.Steady();
  loaded_.notify_all();
  if (problem_) return *problem_;
  return current_;
}

}  // namespace backfill::kube
