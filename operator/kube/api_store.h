#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/kube/api_store_objects.h"
#include "operator/kube/change_counter.h"
#include "operator/kube/client/api_error.h"
#include "operator/kube/client/http_transport.h"
#include "operator/kube/object_store.h"

namespace backfill::kube {

// API objects on an API server. Every read is live, every write is durable (etcd), whatever was
// asked for. Of an object it replaces annotations, labels and content, or the status; all else,
// such as finalizers and owners, stays as the server has it.
//
// Where it differs from the other stores:
// - content and status must be JSON objects; they come back with sorted keys and without blanks;
// - names of labels and annotations, and content of kinds with a CRD, are judged by the server;
// - a Backfill with a finalizer is still there after Delete(), until who set it removes it;
// - what an object owns goes some time after it (garbage collection);
// - ConfigMaps have no generation, and WaitForChange() does not see what others do to them: that
//   would need the right to watch all of them.
//
// Thread-safe; no lock is held across a call. Nothing is repeated: after kUnavailable or kDeadline
// a write may have happened, and names and versions make it safe to do it again. Errors beyond
// those of ObjectStore: kPermission, kUnauthenticated, kDeadline. Transports and clock must outlive
// it. The right to update is needed for Update(), the right to patch the status for UpdateStatus().
class ApiStore final : public ObjectStore {
 public:
  struct Options {
    std::string ns;  // what WaitForChange() looks at; "": all namespaces
    std::chrono::milliseconds call_timeout{10'000};
  };
  // `watches` may be the same; one of its own keeps long watches off the connections of calls.
  ApiStore(HttpTransport& calls, HttpTransport& watches, const Clock& clock, Options options);

  Result<Object> Get(const ObjectRef& ref) override;
  Result<std::vector<Object>> List(std::string_view kind, std::string_view ns) override;
  Result<Object> Create(const Object& object, Durability durability) override;
  Result<Object> Update(const Object& object, Durability durability) override;
  Result<Object> UpdateStatus(const Object& object, Durability durability) override;
  Status Delete(const ObjectRef& ref, std::string_view uid) override;
  Result<std::uint64_t> WaitForChange(std::uint64_t seen, Time deadline,
                                      std::stop_token stop) override;

 private:
  // What was seen last of an object, so that a replacement needs no read before it.
  struct Seen {
    std::string version;
    std::string uid;
    HiddenMeta hidden;
    std::string digest;  // of what a replacement would replace
  };

  Result<HttpResponse> Call(HttpMethod method, std::string target, std::string body = {},
                            std::string content_type = {}, std::size_t max_response_bytes = 0);
  Result<StoredObject> GetStored(const StoredKind& kind, const ObjectRef& ref);
  // The object in an answer to a write.
  Result<Object> Written(const StoredKind& kind, const ObjectRef& ref,
                         const Result<HttpResponse>& response);
  Result<std::vector<Object>> ListAll(const StoredKind& kind, std::string_view ns, bool& expired);
  Result<std::optional<OwnerReference>> OwnerOf(const Object& object);
  std::optional<OwnerReference> KnownOwner(const Object& object);
  std::optional<Seen> SeenOf(const ObjectRef& ref);
  void Remember(const StoredObject& stored);
  void Forget(const ObjectRef& ref);

  HttpTransport& calls_;
  const Clock& clock_;
  const Options options_;
  Mutex mu_;
  std::map<ObjectRef, Seen> seen_ GUARDED_BY(mu_);  // bounded
  ChangeCounter counter_;
};

}  // namespace backfill::kube
