#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "operator/kube/client/api_client.h"

namespace backfill::kube {

// What somebody may do: verb `approve` on `backfills` of group `backfill.dev` in `shop`.
struct AccessQuestion {
  std::string verb = {};
  std::string group = {};
  std::string resource = {};
  std::string subresource = {};
  std::string ns = {};    // "" for all, or for kinds without
  std::string name = {};  // "" for all
};

struct UserInfo {
  std::string username = {};
  std::string uid = {};
  std::vector<std::string> groups = {};
  std::map<std::string, std::vector<std::string>> extra = {};
};

struct AccessAnswer {
  bool allowed = false;  // nothing else allows it, whatever the reason says
  std::string reason = {};
};

// SelfSubjectAccessReview: what we may do. Needs no role.
ApiResult<AccessAnswer> MayI(const ApiClient& client, const AccessQuestion& question,
                             const CallLimits& limits);
// SubjectAccessReview: what another may do.
ApiResult<AccessAnswer> MayThey(const ApiClient& client, const UserInfo& user,
                                const AccessQuestion& question, const CallLimits& limits);

struct TokenAnswer {
  bool authenticated = false;
  UserInfo user = {};
  std::vector<std::string> audiences = {};  // of the token, among those that were asked for
  std::string error = {};                   // why it was not, if the server says so
};

// TokenReview: whose token it is. The caller checks that its audience is among the answer's. The
// token is in no message.
ApiResult<TokenAnswer> ReviewToken(const ApiClient& client, std::string_view token,
                                   const std::vector<std::string>& audiences,
                                   const CallLimits& limits);

}  // namespace backfill::kube
