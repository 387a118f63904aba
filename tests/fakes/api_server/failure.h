#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/kube/client/api_error.h"
#include "operator/kube/client/http_transport.h"
#include "tests/fakes/api_server/json_text.h"
#include "tests/fakes/api_server/kinds.h"

// What kube-apiserver says when it refuses: code, reason and words as in its apimachinery
// (api/errors) and its storage. Pure.
namespace backfill::fakes {

struct Failure {
  int code = 500;
  std::string reason;
  std::string message;
  Json details = Json::object();
  std::string continue_token = {};  // of a list that expired: goes on inconsistently

  [[nodiscard]] Failure Annotate(std::string_view doing) const;  // for Result
};

template <typename T>
using Answer = Result<T, Failure>;

Json StatusOf(const Failure& failure);
kube::HttpResponse ResponseTo(const Failure& failure);

// "pods" or "jobs.batch", as messages name a resource.
std::string ResourceName(const FakeKind& kind);

Failure NotFound(const FakeKind& kind, const std::string& name);
// Of a path that names nothing: no Status, but a line of text.
kube::HttpResponse NoSuchPath();
Failure AlreadyExists(const FakeKind& kind, const std::string& name);
Failure Conflict(const FakeKind& kind, const std::string& name, std::string_view why);
// A precondition of a deletion that does not hold: `field` is UID or ResourceVersion.
Failure NotAsExpected(const FakeKind& kind, const std::string& name, const std::string& field,
                      const std::string& wanted, const std::string& is);
Failure VersionMissing(const FakeKind& kind, const std::string& name);
Failure ChangedMeanwhile(const FakeKind& kind, const std::string& name);
Failure Invalid(const FakeKind& kind, const std::string& name,
                const std::vector<kube::ApiCause>& causes);
// Of options that were given in the query.
Failure InvalidOptions(const std::string& field, const std::string& why);
Failure BadRequest(std::string message);
Failure Forbidden(const FakeKind& kind, const std::string& name, const std::string& why);
Failure NamespaceTerminating(const FakeKind& kind, const std::string& name, const std::string& ns);
Failure Expired(std::string message);
Failure TooLargeVersion(std::uint64_t wanted, std::uint64_t current);
Failure TooLargeRequest();
Failure TooLargeForEtcd();
Failure UnsupportedMediaType(std::string_view allowed);
Failure MethodNotAllowed();
// Metadata of one object was asked of a list, or the other way round.
Failure NotAcceptable(std::string message);
Failure PatchFailed();

}  // namespace backfill::fakes
