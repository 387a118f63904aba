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
  std::optional<std::uint64_t> under_way;
  {
    MutexLock l(mu_);
    if (IsFresh()) return current_;
    const bool first = current_ == nullptr;
    if (!first && loading_) return current_;
    if (problem_ && clock_.Steady() - loaded_at_ < kAfterFailure) {
      if (first) return *problem_;
      return current_;
    }
    under_way = Claim();
  }
  Result<Snapshot> loaded = under_way ? Await(*under_way, deadline, stop) : Load(deadline, stop);
  if (loaded.ok()) return loaded;
  MutexLock l(mu_);
  if (current_ != nullptr) return current_;
  return loaded;
}

Result<CredentialCache::Snapshot> CredentialCache::Replace(const Snapshot& refused, Time deadline,
                                                           std::stop_token stop) {
  std::optional<std::uint64_t> under_way;
  {
    MutexLock l(mu_);
    const bool others =
        current_ != nullptr && (current_->token != refused->token || !current_->SameTls(*refused));
    if (others) return current_;  // another has been here
    if (!loading_) {
      const Time now = clock_.Steady();
      if (replaced_at_ && now - *replaced_at_ < kAfterFailure && current_ != nullptr)
        return current_;
      replaced_at_ = now;
    }
    under_way = Claim();
  }
  // Who is refused while another looks for others already gets what that one finds.
  return under_way ? Await(*under_way, deadline, stop) : Load(deadline, stop);
}

// The number of the load that is under way; nothing: it is the caller's to do, now.
std::optional<std::uint64_t> CredentialCache::Claim() {
  if (loading_) return loads_;
  loading_ = true;
  return std::nullopt;
}

Result<CredentialCache::Snapshot> CredentialCache::Await(std::uint64_t load, Time deadline,
                                                         const std::stop_token& stop) {
  MutexLock l(mu_);
  const bool ended =
      loaded_.wait_until(mu_, stop, deadline, [&]() REQUIRES(mu_) { return loads_ != load; });
  if (stop.stop_requested())
    return Error{ErrorCode::kAborted, "stopped while credentials were being read"};
  if (!ended) return Error{ErrorCode::kDeadline, "credentials are still being read"};
  if (problem_) return *problem_;
  return current_;
}

Result<CredentialCache::Snapshot> CredentialCache::Load(Time deadline,
                                                        const std::stop_token& stop) {
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
