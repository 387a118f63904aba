// TokenReview and SubjectAccessReview: questions that are answered, not stored.

#include <algorithm>

#include "tests/fakes/api_server/api_state.h"
#include "tests/fakes/fake_api_server.h"

namespace backfill::fakes {
namespace {

constexpr const char* kOwnAudience = "https://kubernetes.default.svc";

std::vector<std::string> TextsOf(const Json* list) {
  std::vector<std::string> texts;
  if (list == nullptr || !list->is_array()) return texts;
  for (const Json& item : *list) {
    if (item.is_string()) texts.push_back(item.get<std::string>());
  }
  return texts;
}

Json Unauthenticated(const std::string& why) { return {{"user", Json::object()}, {"error", why}}; }

Json TokenStatus(const Json& review, const std::map<std::string, FakeIdentity>& tokens) {
  const auto it = tokens.find(TextAt(review, {"spec", "token"}));
  if (it == tokens.end()) return Unauthenticated("invalid bearer token");
  const FakeIdentity& identity = it->second;
  std::vector<std::string> wanted = TextsOf(At(review, {"spec", "audiences"}));
  if (wanted.empty()) wanted.push_back(kOwnAudience);
  std::vector<std::string> both;
  std::ranges::copy_if(wanted, std::back_inserter(both), [&](const std::string& audience) {
    return std::ranges::count(identity.audiences, audience) > 0;
  });
  if (both.empty()) {
    return Unauthenticated("[token audiences are invalid for the target audiences]");
  }
  Json user{{"username", identity.user}, {"groups", identity.groups}};
  if (!identity.uid.empty()) user["uid"] = identity.uid;
  if (!identity.extra.empty()) user["extra"] = identity.extra;
  return {{"authenticated", true}, {"user", std::move(user)}, {"audiences", both}};
}

}  // namespace

std::optional<kube::HttpResponse> FakeApiServer::PerformReview(const ApiCall& call,
                                                               const kube::HttpRequest& request) {
  const bool token = call.group == "authentication.k8s.io" && call.plural == "tokenreviews";
  const bool access = call.group == "authorization.k8s.io" && call.plural == "subjectaccessreviews";
  if (!token && !access) return std::nullopt;
  if (call.verb != "create") return ResponseTo(MethodNotAllowed());
  std::optional<Json> review = ParseJson(request.body);
  if (!review || !review->is_object()) return ResponseTo(BadRequest("the body is no review"));
  if (token) {
    (*review)["status"] = TokenStatus(*review, tokens_);
  } else {
    const std::string asked = TextAt(*review, {"spec", "user"}) + " " +
                              TextAt(*review, {"spec", "resourceAttributes", "verb"}) + " " +
                              TextAt(*review, {"spec", "resourceAttributes", "resource"});
    (*review)["status"] = {{"allowed", access_.contains(asked)}};
  }
  return kube::HttpResponse{
      .status = 201, .body = Dump(*review), .retry_after = {}, .warnings = {}};
}

void FakeApiServer::AddToken(const std::string& token, FakeIdentity identity) {
  MutexLock l(mu_);
  tokens_[token] = std::move(identity);
}

void FakeApiServer::RemoveToken(const std::string& token) {
  MutexLock l(mu_);
  tokens_.erase(token);
}

void FakeApiServer::AllowAccess(const std::string& user, const std::string& verb,
                                const std::string& resource) {
  MutexLock l(mu_);
  access_.insert(user + " " + verb + " " + resource);
}

}  // namespace backfill::fakes
