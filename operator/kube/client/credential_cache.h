#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "operator/kube/client/credentials.h"

namespace backfill::kube {

// Keeps credentials for 60 s, or until 10 s before they expire (R35). Thread-safe; one thread loads
// at a time, without a lock, and the others go on with what there is. If loading fails, what there
// was is used until a server refuses it: files are replaced one by one, and a volume may be away
// for a moment.
class CredentialCache {
 public:
  using Snapshot = std::shared_ptr<const Credentials>;

  CredentialCache(std::unique_ptr<CredentialSource> source, const Clock& clock);

  Result<Snapshot> Get(Time deadline, std::stop_token stop);
  // After a server has refused these: others, or the same again if there are none. Looks for others
  // once in a second, however many requests are refused; who is refused meanwhile waits for that.
  Result<Snapshot> Replace(const Snapshot& refused, Time deadline, std::stop_token stop);

 private:
  [[nodiscard]] bool IsFresh() const REQUIRES(mu_);
  std::optional<std::uint64_t> Claim() REQUIRES(mu_);
  Result<Snapshot> Await(std::uint64_t load, Time deadline, const std::stop_token& stop);
  Result<Snapshot> Load(Time deadline, const std::stop_token& stop);

  const std::unique_ptr<CredentialSource> source_;
  const Clock& clock_;
  mutable Mutex mu_;
  std::condition_variable_any loaded_;
  Snapshot current_ GUARDED_BY(mu_);
  Time loaded_at_ GUARDED_BY(mu_);
  std::optional<Time> replaced_at_ GUARDED_BY(mu_);
  bool loading_ GUARDED_BY(mu_) = false;
  std::uint64_t loads_ GUARDED_BY(mu_) = 0;       // that have ended
  std::optional<Error> problem_ GUARDED_BY(mu_);  // of the last
};

}  // namespace backfill::kube
