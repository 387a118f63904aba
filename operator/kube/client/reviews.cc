#include "operator/kube/client/reviews.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kube/client/json_fields.h"

namespace backfill::kube {
namespace {

using nlohmann::json;

json AttributesOf(const AccessQuestion& q) {
  json attributes = {{"verb", q.verb}, {"group", q.group}, {"resource", q.resource}};
  if (!q.subresource.empty()) attributes["subresource"] = q.subresource;
  if (!q.ns.empty()) attributes["namespace"] = q.ns;
  if (!q.name.empty()) attributes["name"] = q.name;
  return attributes;
}

// The status of what was created.
ApiResult<json> Review(const ApiClient& client, std::string_view group, std::string_view plural,
                       std::string_view kind, json spec, const CallLimits& limits) {
  const std::string doing = fmt::format("creating {}", kind);
  const json review = {
      {"apiVersion", fmt::format("{}/v1", group)}, {"kind", kind}, {"spec", std::move(spec)}};
  const std::string body =
      TRY(client.Call({.method = HttpMethod::kPost,
                       .target = fmt::format("/apis/{}/v1/{}", group, plural),
                       .content_type = "application/json",
                       .body = review.dump(-1, ' ', false, json::error_handler_t::replace)},
                      doing, limits));
  Result<json> answer = ParseJson(body);
  if (!answer.ok() || !answer->is_object()) {
    ApiError e;
    e.message = fmt::format("{}: the answer cannot be read", doing);
    return e;
  }
  return std::move(answer).value();
}

ApiError Unreadable(std::string_view kind, const std::string& problem) {
  ApiError e;
  e.message = fmt::format("creating {}: the answer cannot be read: {}", kind, problem);
  return e;
}

ApiResult<AccessAnswer> AccessAnswerOf(const json& answer, std::string_view kind) {
  std::string problem;
  const JsonFields status = JsonFields(answer, "", problem).Object("status");
  AccessAnswer out{.allowed = status.Bool("allowed") && !status.Bool("denied"),
                   .reason = status.String("reason")};
  if (out.reason.empty()) out.reason = status.String("evaluationError");
  if (!problem.empty()) return Unreadable(kind, problem);
  return out;
}

}  // namespace

ApiResult<AccessAnswer> MayI(const ApiClient& client, const AccessQuestion& question,
                             const CallLimits& limits) {
  constexpr std::string_view kKind = "SelfSubjectAccessReview";
  const json answer = TRY(Review(client, "authorization.k8s.io", "selfsubjectaccessreviews", kKind,
                                 {{"resourceAttributes", AttributesOf(question)}}, limits));
  return AccessAnswerOf(answer, kKind);
}

ApiResult<AccessAnswer> MayThey(const ApiClient& client, const UserInfo& user,
                                const AccessQuestion& question, const CallLimits& limits) {
  constexpr std::string_view kKind = "SubjectAccessReview";
  const json answer = TRY(Review(client, "authorization.k8s.io", "subjectaccessreviews", kKind,
                                 {{"resourceAttributes", AttributesOf(question)},
                                  {"user", user.username},
                                  {"uid", user.uid},
                                  {"groups", user.groups},
                                  {"extra", user.extra}},
                                 limits));
  return AccessAnswerOf(answer, kKind);
}

ApiResult<TokenAnswer> ReviewToken(const ApiClient& client, std::string_view token,
                                   const std::vector<std::string>& audiences,
                                   const CallLimits& limits) {
  constexpr std::string_view kKind = "TokenReview";
  const json answer = TRY(Review(client, "authentication.k8s.io", "tokenreviews", kKind,
                                 {{"token", token}, {"audiences", audiences}}, limits));
  std::string problem;
  const JsonFields status = JsonFields(answer, "", problem).Object("status");
  const JsonFields user = status.Object("user");
  TokenAnswer out{.authenticated = status.Bool("authenticated"),
                  .user = {.username = user.String("username"),
                           .uid = user.String("uid"),
                           .groups = user.Strings("groups"),
                           .extra = {}},
                  .audiences = status.Strings("audiences"),
                  .error = status.String("error")};
  const JsonFields extra = user.Object("extra");
  for (const std::string& key : extra.Keys()) out.user.extra[key] = extra.Strings(key.c_str());
  if (!problem.empty()) return Unreadable(kKind, problem);
  return out;
}

}  // namespace backfill::kube
