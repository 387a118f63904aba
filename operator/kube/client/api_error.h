#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "operator/kube/client/http_transport.h"

namespace backfill::kube {

// What a caller can do about a refused or failed call. Named by that, not by the status code: the
// API server uses one code for several of these and several codes for one.
enum class ApiErrorKind {
  kNotFound,         // the object, its namespace or its kind does not exist
  kConflict,         // it has another version: read again, decide again
  kAlreadyExists,    // the name is taken: look whose object it is
  kGone,             // the version is too old, or ahead of the server: list again
  kInvalid,          // refused for what it says, `causes` says where: repeating is useless
  kForbidden,        // by a role, a quota, an admission rule or a namespace that is going away
  kUnauthenticated,  // the server does not know who we are
  kTooManyRequests,  // slow down, for `retry_after` if it says so
  kTooLarge,         // the request is larger than the server or etcd takes
  kUnavailable,      // not reached, or the server is in trouble: whether it happened is not known
  kDeadline,         // it took too long: whether it happened is not known
  kAborted,          // stopped on request
  kInternal,         // an answer that makes no sense
};

std::string_view ToString(ApiErrorKind kind);

// A part of an object that was refused, or a detail of why: {"field": ".spec.x", ..}.
struct ApiCause {
  std::string reason;  // FieldValueInvalid, NamespaceTerminating, ResourceVersionTooLarge ..
  std::string field;
  std::string message;
};

// Causes that decide what to do next. The server names the first two; the last is read from its
// message, for the server gives a quota no cause.
inline constexpr std::string_view kCauseNamespaceTerminating = "NamespaceTerminating";
inline constexpr std::string_view kCauseVersionTooLarge = "ResourceVersionTooLarge";
inline constexpr std::string_view kCauseQuotaExceeded = "QuotaExceeded";

struct ApiError {
  ApiErrorKind kind = ApiErrorKind::kInternal;
  int http_status = 0;  // 0: there was no response
  std::string reason;   // of the server's Status object, such as Expired; may be empty
  std::string message;  // for people: what was being done, what came back
  std::vector<ApiCause> causes;
  std::optional<std::chrono::milliseconds> retry_after;

  [[nodiscard]] ApiError Annotate(std::string_view doing) const;
  [[nodiscard]] bool HasCause(std::string_view cause_reason) const;
  // For callers that know nothing of Kubernetes.
  [[nodiscard]] Error ToError() const;
};

template <typename T>
using ApiResult = Result<T, ApiError>;

// What a response other than 2xx means. The body need not be a Status object: proxies answer, too.
ApiError ErrorOf(const HttpResponse& response);
// Of a `Status` object inside a watch's ERROR event.
ApiError ErrorOfStatus(std::string_view status_json);
// Of a call that got no response.
ApiError ErrorOf(const Error& transport);

}  // namespace backfill::kube
