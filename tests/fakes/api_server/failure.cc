#include "tests/fakes/api_server/failure.h"

#include <fmt/format.h>

#include <algorithm>

namespace backfill::fakes {
namespace {

Json DetailsOf(const FakeKind& kind, const std::string& name) {
  Json details{{"kind", kind.plural}};
  if (!name.empty()) details["name"] = name;
  if (!kind.group.empty()) details["group"] = kind.group;
  return details;
}

Json CauseOf(const kube::ApiCause& cause) {
  Json json{{"reason", cause.reason}, {"message", cause.message}};
  if (!cause.field.empty()) json["field"] = cause.field;
  return json;
}

}  // namespace

Failure Failure::Annotate(std::string_view doing) const {
  Failure failure = *this;
  failure.message = std::string(doing) + ": " + message;
  return failure;
}

Json StatusOf(const Failure& failure) {
  Json status{{"kind", "Status"},        {"apiVersion", "v1"},         {"metadata", Json::object()},
              {"status", "Failure"},     {"message", failure.message}, {"code", failure.code},
              {"reason", failure.reason}};
  if (failure.reason.empty()) status.erase("reason");
  if (!failure.details.empty()) status["details"] = failure.details;
  if (!failure.continue_token.empty()) status["metadata"]["continue"] = failure.continue_token;
  return status;
}

kube::HttpResponse ResponseTo(const Failure& failure) {
  kube::HttpResponse response;
  response.status = failure.code;
  response.body = Dump(StatusOf(failure));
  const auto seconds = failure.details.find("retryAfterSeconds");
  if (seconds != failure.details.end()) {
    response.retry_after = std::chrono::seconds(seconds->get<int>());
  }
  return response;
}

std::string ResourceName(const FakeKind& kind) {
  return kind.group.empty() ? kind.plural : kind.plural + "." + kind.group;
}

Failure NotFound(const FakeKind& kind, const std::string& name) {
  return {404, "NotFound", fmt::format("{} \"{}\" not found", ResourceName(kind), name),
          DetailsOf(kind, name)};
}

kube::HttpResponse NoSuchPath() {
  return {.status = 404, .body = "404 page not found\n", .retry_after = {}, .warnings = {}};
}

Failure AlreadyExists(const FakeKind& kind, const std::string& name) {
  return {409, "AlreadyExists", fmt::format("{} \"{}\" already exists", ResourceName(kind), name),
          DetailsOf(kind, name)};
}

Failure Conflict(const FakeKind& kind, const std::string& name, std::string_view why) {
  return {
      409, "Conflict",
      fmt::format("Operation cannot be fulfilled on {} \"{}\": {}", ResourceName(kind), name, why),
      DetailsOf(kind, name)};
}

Failure NotAsExpected(const FakeKind& kind, const std::string& name, const std::string& field,
                      const std::string& wanted, const std::string& is) {
  FakeKind named = kind;  // here the kind stands for the resource
  named.plural = kind.kind;
  const std::string_view why = field == "UID"
                                   ? "The object might have been deleted and then recreated"
                                   : "The object might have been modified";
  return Conflict(
      named, name,
      fmt::format("the {0} in the precondition ({1}) does not match the {0} in record ({2}). {3}",
                  field, wanted, is, why));
}

Failure VersionMissing(const FakeKind& kind, const std::string& name) {
  FakeKind named = kind;  // here the resource stands for the kind
  named.kind = kind.plural;
  return Invalid(named, name,
                 {{.reason = "FieldValueInvalid",
                   .field = "metadata.resourceVersion",
                   .message = "Invalid value: 0: must be specified for an update"}});
}

Failure ChangedMeanwhile(const FakeKind& kind, const std::string& name) {
  return Conflict(kind, name,
                  "the object has been modified; please apply your changes to the latest version "
                  "and try again");
}

Failure Invalid(const FakeKind& kind, const std::string& name,
                const std::vector<kube::ApiCause>& causes) {
  // Of an invalid object the details name the kind, not the resource.
  Json details = DetailsOf(kind, name);
  details["kind"] = kind.kind;
  details["causes"] = Json::array();
  std::string list;
  for (const kube::ApiCause& cause : causes) {
    details["causes"].push_back(CauseOf(cause));
    list += (list.empty() ? "" : ", ") + cause.field + ": " + cause.message;
  }
  if (causes.size() > 1) list = "[" + list + "]";
  const std::string type = kind.group.empty() ? kind.kind : kind.kind + "." + kind.group;
  return {422, "Invalid", fmt::format("{} \"{}\" is invalid: {}", type, name, list), details};
}

Failure InvalidOptions(const std::string& field, const std::string& why) {
  const FakeKind options{.group = "meta.k8s.io", .kind = "ListOptions"};
  return Invalid(options, "", {{.reason = "FieldValueForbidden", .field = field, .message = why}});
}

Failure BadRequest(std::string message) { return {400, "BadRequest", std::move(message)}; }

Failure Forbidden(const FakeKind& kind, const std::string& name, const std::string& why) {
  return {403, "Forbidden",
          fmt::format("{} \"{}\" is forbidden: {}", ResourceName(kind), name, why),
          DetailsOf(kind, name)};
}

Failure NamespaceTerminating(const FakeKind& kind, const std::string& name, const std::string& ns) {
  Failure failure = Forbidden(
      kind, name,
      fmt::format("unable to create new content in namespace {} because it is being terminated",
                  ns));
  failure.details["causes"] =
      Json::array({CauseOf({.reason = "NamespaceTerminating",
                            .field = "metadata.namespace",
                            .message = fmt::format("namespace {} is being terminated", ns)})});
  return failure;
}

Failure Expired(std::string message) { return {410, "Expired", std::move(message)}; }

Failure TooLargeVersion(std::uint64_t wanted, std::uint64_t current) {
  Json details{{"retryAfterSeconds", 1}};
  details["causes"] = Json::array({CauseOf({.reason = "ResourceVersionTooLarge",
                                            .field = "",
                                            .message = "Too large resource version"})});
  return {504, "Timeout",
          fmt::format("Timeout: Too large resource version: {}, current: {}", wanted, current),
          details};
}

Failure TooLargeRequest() {
  return {413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728"};
}

Failure TooLargeForEtcd() { return {500, "", "etcdserver: request is too large"}; }

Failure UnsupportedMediaType(std::string_view allowed) {
  return {415, "UnsupportedMediaType",
          fmt::format("the body of the request was in an unknown format - accepted media types "
                      "include: {}",
                      allowed)};
}

Failure MethodNotAllowed() {
  return {405, "MethodNotAllowed",
          "the server does not allow this method on the requested resource"};
}

Failure NotAcceptable(std::string message) { return {406, "NotAcceptable", std::move(message)}; }

Failure PatchFailed() {
  return {422, "Invalid", "the server rejected our request due to an error in our request"};
}

}  // namespace backfill::fakes
