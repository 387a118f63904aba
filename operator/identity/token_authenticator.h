#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/coordinator/authenticator.h"
#include "operator/identity/refusal.h"
#include "operator/identity/review_cache.h"
#include "operator/identity/worker_directory.h"
#include "operator/kube/client/api_client.h"

namespace backfill::identity {

struct TokenAuthenticatorOptions {
  std::string audience = "backfill-operator";
  ReviewCacheOptions cache;
  int threads = 8;                                   // so many calls to the API server at once
  std::size_t max_waiting = 4'000;                   // tokens that wait for a thread
  std::size_t max_together = 64;                     // streams that wait for one token
  Duration call_timeout = std::chrono::seconds(10);  // for all calls about one token
};

// Tells by TokenReview and by the pods, Jobs and Backfills of the cluster for which worker a token
// speaks. Fails closed: whatever is not understood is a refusal.
//
// What the API server says of a token is kept for a minute; whether its pod is still a worker is
// looked up each time. Several streams with one token wait for one review. Answers come at once
// from what is known, else on a thread of its own. A token is kept only while it waits, and is in
// no log.
//
// Thread-safe. The references must outlive it. `client` should have connections and a rate of its
// own (R34): when a leader is new, all workers come at once.
class TokenAuthenticator final : public coordinator::Authenticator {
 public:
  TokenAuthenticator(const kube::ApiClient& client, const WorkerDirectory& directory,
                     const Clock& clock, const TokenAuthenticatorOptions& options = {});
  ~TokenAuthenticator() override;  // Stop()
  TokenAuthenticator(const TokenAuthenticator&) = delete;
  TokenAuthenticator& operator=(const TokenAuthenticator&) = delete;

  void Start();
  // Those who wait are told kUnavailable, threads are joined. Idempotent.
  void Stop();

  void Authenticate(std::string token, std::string peer, Done done) override;

  struct Counts {
    std::uint64_t accepted = 0;
    std::uint64_t reviews = 0;                          // calls to the API server
    std::array<std::uint64_t, kRefusals> refused = {};  // by Refusal
  };
  [[nodiscard]] Counts counts() const;

 private:
  struct Waiter {
    std::string peer;
    Done done;
  };
  struct Waiting {
    std::string token;
    std::vector<Waiter> waiters;
  };
  using Found = WorkerDirectory::Found;

  void Run(const std::stop_token& stop);
  [[nodiscard]] ReviewCache::Review Review(const std::string& token, const std::string& digest,
                                           const kube::CallLimits& limits);
  void Answer(const std::vector<Waiter>& waiters, const Found& found);
  void Report(const Refused& refused, const std::string& peer);

  const kube::ApiClient& client_;
  const WorkerDirectory& directory_;
  const Clock& clock_;
  const TokenAuthenticatorOptions options_;

  std::atomic<std::uint64_t> accepted_{0}, reviews_{0};
  std::array<std::atomic<std::uint64_t>, kRefusals> refused_ = {};

  Mutex log_mu_;
  std::array<std::optional<Time>, kRefusals> logged_ GUARDED_BY(log_mu_) = {};

  Mutex mu_;
  std::condition_variable_any changed_;
  bool stopped_ GUARDED_BY(mu_) = false;
  ReviewCache cache_ GUARDED_BY(mu_);
  std::map<std::string, Waiting> waiting_ GUARDED_BY(mu_);  // by digest: queued, or with a thread
  std::deque<std::string> queue_ GUARDED_BY(mu_);           // digests without a thread yet

  std::vector<std::jthread> threads_;  // last: they use the rest
};

}  // namespace backfill::identity
