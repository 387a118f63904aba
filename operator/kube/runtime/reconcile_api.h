#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "operator/kube/client/api_client.h"
#include "operator/kube/runtime/reconciler.h"

namespace backfill::kube {

// The API server's verbs within one reconcile: ApiClient for who must not forget what a reconcile
// owes. Each call asks BeginCall first (R18, R38), ends by the reconcile's deadline or with its
// stop, and a write that the server confirmed is reported with OnWrite (R21).
//
// What only the reconciler knows stays its own: Expect and Lower of children that its controller
// follows. Of one thread, as the context, which must outlive it together with the client. Errors
// are the client's; kDeadline and kAborted also when no call may begin.
class ReconcileApi {
 public:
  ReconcileApi(const ApiClient& api, ReconcileContext& context) : api_(api), context_(context) {}

  ApiResult<ApiObjectPtr> Get(const Resource& resource, const ObjectKey& key);
  // Get, where it is the live read that R22 asks for, and reported as that.
  ApiResult<ApiObjectPtr> ReadLive(const Resource& resource, const ObjectKey& key);
  ApiResult<ApiObjectPtr> Create(const Resource& resource, std::string_view ns, std::string body);
  ApiResult<ApiObjectPtr> Update(const Resource& resource, const ObjectKey& key, std::string body,
                                 std::string_view subresource = {});
  ApiResult<ApiObjectPtr> Patch(const Resource& resource, const ObjectKey& key, std::string body,
                                const PatchOptions& options = {});
  // As `body` says, which needs no name and no version: made, or, if there is `current`, replaced
  // at the version of that. kConflict and kAlreadyExists: it was decided on what is not so any
  // more.
  ApiResult<ApiObjectPtr> CreateOrUpdate(const Resource& resource, const ObjectKey& key,
                                         nlohmann::json body, const ApiObject* current);
  ApiResult<Ok> Delete(const Resource& resource, const ObjectKey& key,
                       const DeleteOptions& options = {});

 private:
  ApiResult<CallLimits> Begin();
  ApiResult<ApiObjectPtr> Written(const Resource& resource, ApiResult<ApiObjectPtr> written);

  const ApiClient& api_;
  ReconcileContext& context_;
};

}  // namespace backfill::kube
