#pragma once

#include <cstddef>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "operator/kube/client/api_error.h"
#include "operator/kube/client/api_object.h"
#include "operator/kube/client/http_transport.h"
#include "operator/kube/client/rate_limiter.h"
#include "operator/kube/client/wire.h"

namespace backfill::kube {

// How long a call may take, the wait for its turn included, and who may end it before.
struct CallLimits {
  Time deadline;
  std::stop_token stop = {};
};

struct ListOptions {
  std::string ns = {};  // "" for all
  std::string label_selector = {};
  std::string field_selector = {};
  std::string resource_version = {};  // "0": what the server has in memory (R1); "": the newest
  std::string next = {};              // ListPage::next of the page before
  std::size_t page = 500;             // R33
};

enum class PatchType {
  kJson,   // a list of operations. A failed `test` is kInvalid, 422 (R26)
  kMerge,  // with metadata.resourceVersion it is kConflict if that is not the newest (R27)
  kApply,  // server-side apply
};

struct PatchOptions {
  PatchType type = PatchType::kMerge;
  std::string_view subresource = {};
  bool force =
      false;  // of apply alone: takes fields from others, which the operator never does (R28)
};

// What becomes of what the object owns.
enum class Propagation { kBackground, kForeground, kOrphan };

struct DeleteOptions {
  Propagation propagation = Propagation::kBackground;
  std::string_view uid = {};               // kConflict if it is another
  std::string_view resource_version = {};  // kConflict if it has another
};

struct ApiClientOptions {
  std::string field_manager = "backfill-operator";  // R28
  // Each warning of a server (R31: unknown fields vanish with nothing but that), on the calling
  // thread, without a lock.
  std::function<void(std::string_view doing, std::string_view warning)> on_warning = {};
};

// The API server's verbs. One request for a call, except for ListAll: what to do about a conflict,
// a refusal or a lost answer is the caller's to decide, by ApiError::kind. JSON goes in as text;
// what comes out is decoded as Resource says. Errors say what was being done, with kind and name.
//
// Thread-safe. `transport` and `limiter` outlive it; without a limiter nothing is held
// back (the Lease, R34).
class ApiClient {
 public:
  ApiClient(HttpTransport& transport, RateLimiter* limiter, ApiClientOptions options = {});

  ApiResult<ApiObjectPtr> Get(const Resource& resource, const ObjectKey& key,
                              const CallLimits& limits) const;
  ApiResult<ListPage> List(const Resource& resource, const ListOptions& options,
                           const CallLimits& limits) const;
  // All pages, as one. kTooLarge: more than `max_items`. kGone: the pages have expired in between.
  ApiResult<ListPage> ListAll(const Resource& resource, ListOptions options, std::size_t max_items,
                              const CallLimits& limits) const;
  // `ns`: "" for kinds without one. The name is in the body.
  ApiResult<ApiObjectPtr> Create(const Resource& resource, std::string_view ns, std::string body,
                                 const CallLimits& limits) const;
  // Whether it could be made now. It is judged as by Create, and nothing is kept (dryRun=All).
  ApiResult<Ok> WouldCreate(const Resource& resource, std::string_view ns, std::string body,
                            const CallLimits& limits) const;
  // The whole object; kConflict unless metadata.resourceVersion in the body is the newest.
  ApiResult<ApiObjectPtr> Update(const Resource& resource, const ObjectKey& key, std::string body,
                                 const CallLimits& limits, std::string_view subresource = {}) const;
  ApiResult<ApiObjectPtr> Patch(const Resource& resource, const ObjectKey& key, std::string body,
                                const PatchOptions& options, const CallLimits& limits) const;
  // Success says that it is being deleted: finalizers may keep it for longer.
  ApiResult<Ok> Delete(const Resource& resource, const ObjectKey& key, const DeleteOptions& options,
                       const CallLimits& limits) const;

  // Any other request: the body of a 2xx, an error of anything else, which begins with `doing`.
  ApiResult<std::string> Call(HttpRequest request, std::string_view doing,
                              const CallLimits& limits) const;

 private:
  ApiResult<ApiObjectPtr> CallForObject(const Resource& resource, HttpRequest request,
                                        const std::string& doing, const CallLimits& limits) const;

  HttpTransport& transport_;
  RateLimiter* const limiter_;
  const ApiClientOptions options_;
};

}  // namespace backfill::kube
