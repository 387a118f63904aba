#pragma once

#include <condition_variable>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "cli/link_state.h"
#include "operator/kube/cache/informer.h"
#include "operator/kube/cache/object_cache.h"
#include "operator/kube/client/http_transport.h"
#include "operator/kube/object_store.h"

namespace backfill::cli {

// One Backfill of an API server, kept up to date by a watch of that object alone: what looks at it
// four times a second asks the server nothing. A watch that ends, breaks or expires goes on by
// itself (R1 to R9).
//
// A thread of its own from Start() to the end; all else is for one caller. The transport and the
// clock must outlive it.
class FollowedBackfill final : private kube::CacheListener {
 public:
  FollowedBackfill(kube::HttpTransport& watches, const Clock& clock, kube::ObjectRef ref);
  ~FollowedBackfill() override;

  // Begins. Errors: the object cannot be listed or watched, or not within `patience`; whoever asks
  // gets what the server said.
  Status Start(Duration patience);

  // As it is, or as it was last seen while the server is away. kNotFound: it is not there, or no
  // more. kInternal: it cannot be read.
  Result<kube::Object> Get() const;

  // Returns as soon as something has changed since `seen`, or at `deadline`.
  std::uint64_t WaitForChange(std::uint64_t seen, Time deadline);

  // Why nothing new can come now.
  [[nodiscard]] std::optional<LinkState::Problem> problem() const { return link_.problem(); }

 private:
  void OnDelta(const kube::Delta& delta) override;
  void OnVersion(std::string_view version) override;
  void Count();

  const kube::ObjectRef ref_;
  const Clock& clock_;
  LinkState link_;
  kube::ObjectCache cache_;
  mutable Mutex mu_;
  std::condition_variable_any changed_;
  std::uint64_t count_ GUARDED_BY(mu_) = 1;
  kube::Informer informer_;  // last: its thread uses the rest
};

}  // namespace backfill::cli
