#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "operator/coordinator/authenticator.h"

namespace backfill::coordinator {

// The worker in that slot, as a pod that was created in that second.
inline WorkerIdentity WorkerPod(
    const std::string& instance, int slot = 0, int second = 0,
    const reconcile::StageKey& stage = {
        .ns = "shop", .name = "reprice", .uid = "u", .stage = reconcile::Stage::kRun}) {
  return {.stage = stage,
          .worker = "run-" + std::to_string(slot),
          .instance = instance,
          .created = "2026-11-23T03:00:" + std::to_string(10 + second) + "Z"};
}

// Knows tokens; answers at once, or when it is told to. Thread-safe.
class FakeAuthenticator final : public Authenticator {
 public:
  void Know(const std::string& token, WorkerIdentity identity) {
    MutexLock l(mu_);
    known_.insert_or_assign(token, Result<std::optional<WorkerIdentity>>(std::move(identity)));
  }
  void Refuse(const std::string& token, ErrorCode code) {
    MutexLock l(mu_);
    known_.insert_or_assign(token,
                            Result<std::optional<WorkerIdentity>>(Error{code, "a secret reason"}));
  }
  void Hold() {
    MutexLock l(mu_);
    hold_ = true;
  }
  // Those who wait, and who come from now on.
  void Release() {
    std::vector<std::pair<std::string, Done>> held;
    {
      MutexLock l(mu_);
      hold_ = false;
      held.swap(held_);
    }
    for (const auto& [token, done] : held) done(Find(token));
  }
  std::size_t held() {
    MutexLock l(mu_);
    return held_.size();
  }
  int asked() {
    MutexLock l(mu_);
    return asked_;
  }

  void Authenticate(std::string token, std::string /*peer*/, Done done) override {
    {
      MutexLock l(mu_);
      ++asked_;
      if (hold_) {
        held_.emplace_back(std::move(token), std::move(done));
        return;
      }
    }
    done(Find(token));
  }

 private:
  Result<std::optional<WorkerIdentity>> Find(const std::string& token) {
    MutexLock l(mu_);
    const auto it = known_.find(token);
    if (it == known_.end()) return Error{ErrorCode::kUnauthenticated, "a secret reason"};
    return it->second;
  }

  Mutex mu_;
  std::map<std::string, Result<std::optional<WorkerIdentity>>> known_ GUARDED_BY(mu_);
  bool hold_ GUARDED_BY(mu_) = false;
  std::vector<std::pair<std::string, Done>> held_ GUARDED_BY(mu_);
  int asked_ GUARDED_BY(mu_) = 0;
};

}  // namespace backfill::coordinator
