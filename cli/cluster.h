#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "cli/cluster_errors.h"
#include "cli/followed_backfill.h"
#include "operator/kube/api_store.h"
#include "operator/kube/client/api_client.h"
#include "operator/kube/client/http_transport.h"
#include "operator/kube/object_store.h"

namespace backfill::cli {

// How an API server is reached.
struct Connection {
  ClusterFacts facts;
  std::unique_ptr<kube::HttpTransport> calls;
  std::unique_ptr<kube::HttpTransport> watches;  // of their own, so that no call waits for one
};

// The backfills of a cluster as a command sees them. It reads; of an object it can change
// annotations alone, by a patch of just these under a field manager of its own, so that tools which
// manage the rest (GitOps) see nothing taken from them. Errors say what a user can do.
//
// For one thread. `clock` must outlive it.
class Cluster final : public kube::ObjectStore {
 public:
  Cluster(Connection connection, const Clock& clock);
  ~Cluster() override;

  [[nodiscard]] const ClusterFacts& facts() const { return connection_.facts; }

  // Live; of an object that is followed, as the watch has it.
  Result<kube::Object> Get(const kube::ObjectRef& ref) override;
  Result<std::vector<kube::Object>> List(std::string_view kind, std::string_view ns) override;

  // From now on reads of this one come from a watch. Where it may be read but not watched it is
  // looked at every two seconds instead.
  void Follow(const kube::ObjectRef& ref);
  // Returns when what is followed has changed, or when it is time to look again.
  Result<std::uint64_t> WaitForChange(std::uint64_t seen, Time deadline,
                                      std::stop_token stop) override;
  // What a watcher should know: since when the server has not been heard. Printable; empty:
  // nothing.
  [[nodiscard]] std::string WatchNote() const;

  // Sets annotations, or removes them (nullopt), if the object still has that version. kConflict:
  // it has another.
  Result<kube::Object> PatchAnnotations(
      const kube::ObjectRef& ref, const std::string& version,
      const std::map<std::string, std::optional<std::string>>& annotations);

  // As whom the server knows us; empty: it does not say. Needs no role.
  std::string UserName();

  // kInvalid: not from the command line.
  Result<kube::Object> Create(const kube::Object& object, kube::Durability durability) override;
  Result<kube::Object> Update(const kube::Object& object, kube::Durability durability) override;
  Result<kube::Object> UpdateStatus(const kube::Object& object,
                                    kube::Durability durability) override;
  Status Delete(const kube::ObjectRef& ref, std::string_view uid) override;

 private:
  [[nodiscard]] kube::CallLimits Limits() const;

  const Connection connection_;
  const Clock& clock_;
  kube::ApiStore store_;
  kube::ApiClient client_;
  std::unique_ptr<FollowedBackfill> followed_;
  std::optional<kube::ObjectRef> polled_;  // in place of that
  kube::ObjectRef followed_ref_;
};

}  // namespace backfill::cli
