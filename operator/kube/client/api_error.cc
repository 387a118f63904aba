#include "operator/kube/client/api_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/utf8.h"
#include "operator/kube/client/http_headers.h"
#include "operator/kube/client/json_fields.h"

namespace backfill::kube {
namespace {

constexpr std::size_t kMaxMessageBytes = 1024;
constexpr std::size_t kMaxFieldBytes = 256;
constexpr std::size_t kMaxCauses = 32;
constexpr std::size_t kMaxExcerptBytes = 200;     // of what is no Status
constexpr std::size_t kMaxStatusBytes = 1 << 20;  // a Status repeats what it refuses

// One line, of a length for a log, whatever was sent.
std::string Line(std::string_view text, std::size_t max_bytes) {
  std::string out(CutToBytes(text.substr(0, ValidUtf8Prefix(text)), max_bytes));
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = ' ';
  }
  return out;
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// metav1.StatusReason. Those that are not here, and those of later servers, count by their code.
std::optional<ApiErrorKind> KindOfReason(std::string_view reason) {
  using enum ApiErrorKind;
  static constexpr std::pair<std::string_view, ApiErrorKind> kKinds[] = {
      {"Unauthorized", kUnauthenticated},
      {"Forbidden", kForbidden},
      {"NotFound", kNotFound},
      {"AlreadyExists", kAlreadyExists},
      {"Conflict", kConflict},
      {"Gone", kGone},
      {"Expired", kGone},
      {"Invalid", kInvalid},
      {"BadRequest", kInvalid},
      {"MethodNotAllowed", kInvalid},
      {"NotAcceptable", kInvalid},
      {"UnsupportedMediaType", kInvalid},
      {"RequestEntityTooLarge", kTooLarge},
      {"TooManyRequests", kTooManyRequests},
      {"Timeout", kDeadline},
      // The server's 500 for "try again": it could not finish in time, and says so early.
      {"ServerTimeout", kUnavailable},
      {"ServiceUnavailable", kUnavailable},
      {"InternalError", kUnavailable},
  };
  for (const auto& [name, kind] : kKinds) {
    if (name == reason) return kind;
  }
  return std::nullopt;
}

ApiErrorKind KindOfCode(int code) {
  using enum ApiErrorKind;
  switch (code) {
    case 401:
    case 407:
      return kUnauthenticated;
    case 403:
      return kForbidden;
    case 404:
      return kNotFound;
    case 408:
    case 504:
      return kDeadline;
    case 409:
    case 412:
      return kConflict;
    case 410:
      return kGone;
    case 413:
      return kTooLarge;
    case 429:
      return kTooManyRequests;
    default:
      if (code >= 400 && code <= 499) return kInvalid;
      if (code >= 500 && code <= 599) return kUnavailable;
      return kInternal;
  }
}

struct ApiStatus {
  int code = 0;
  std::string reason;
  std::string message;
  std::vector<ApiCause> causes;
  std::optional<std::chrono::milliseconds> retry_after;
};

// Nothing: it is no Status of a failure. A Status with a member of a wrong type counts with what
// could be read.
std::optional<ApiStatus> ParseStatus(std::string_view text) {
  if (text.size() > kMaxStatusBytes) return std::nullopt;
  const Result<nlohmann::json> parsed = ParseJson(text);
  if (!parsed.ok() || !parsed->is_object()) return std::nullopt;
  std::string problem;
  const JsonFields fields(*parsed, "", problem);
  if (fields.String("kind") != "Status") return std::nullopt;
  ApiStatus status;
  const std::int64_t code = fields.Int("code");
  if (code >= 100 && code <= 599) status.code = static_cast<int>(code);
  status.reason = Line(fields.String("reason"), kMaxFieldBytes);
  status.message = Line(fields.String("message"), kMaxMessageBytes);
  const JsonFields details = fields.Object("details");
  const std::int64_t seconds = details.Int("retryAfterSeconds");
  if (seconds > 0)
    status.retry_after = std::chrono::seconds(
        std::min<std::int64_t>(seconds, kMaxRetryAfter / std::chrono::seconds(1)));
  for (const JsonFields& cause : details.Objects("causes")) {
    if (status.causes.size() == kMaxCauses) break;
    status.causes.push_back({.reason = Line(cause.String("reason"), kMaxFieldBytes),
                             .field = Line(cause.String("field"), kMaxFieldBytes),
                             .message = Line(cause.String("message"), kMaxMessageBytes)});
  }
  return status;
}

// One code for several of these, and several codes for one.
void Refine(ApiError& e) {
  // etcd's limit (R29), and that of the gRPC client in front of it.
  if (e.http_status == 500 && (Contains(e.message, "etcdserver: request is too large") ||
                               Contains(e.message, "trying to send message larger than max")))
    e.kind = ApiErrorKind::kTooLarge;
  // The server has not come as far as the version that was asked for (R1): it says Timeout.
  if (e.HasCause(kCauseVersionTooLarge)) e.kind = ApiErrorKind::kGone;
  if (e.kind == ApiErrorKind::kForbidden && Contains(e.message, "exceeded quota"))
    e.causes.push_back(
        {.reason = std::string(kCauseQuotaExceeded), .field = {}, .message = e.message});
}

ApiError ErrorOf(ApiStatus status, int http_status) {
  ApiError e;
  e.http_status = http_status;
  e.kind = KindOfReason(status.reason).value_or(KindOfCode(http_status));
  e.causes = std::move(status.causes);
  e.retry_after = status.retry_after;
  e.message = fmt::format("{}{}{}", http_status, status.reason.empty() ? "" : " ", status.reason);
  if (!status.message.empty()) e.message += ": " + status.message;
  e.reason = std::move(status.reason);
  Refine(e);
  return e;
}

// What stands before the API server answers in its own words, or in none.
ApiError ErrorOfForeign(const HttpResponse& response) {
  const std::string_view body = Trim(response.body);
  ApiError e;
  e.http_status = response.status;
  e.kind = KindOfCode(response.status);
  const bool html = body.starts_with('<');
  // The API server never says so in HTML. That an object is gone is believed of it alone.
  if (html && e.kind == ApiErrorKind::kNotFound) e.kind = ApiErrorKind::kUnavailable;
  if (response.status >= 300 && response.status <= 399) {
    e.message = fmt::format("{}: a redirect, which is not followed", response.status);
  } else if (response.status < 300) {
    e.message = fmt::format("{} where an error was expected", response.status);
  } else if (body.empty()) {
    e.message = fmt::format("{}, without a word", response.status);
  } else {
    e.message =
        fmt::format("{}{}: {}", response.status, html ? ", and not from the API server" : "",
                    Line(body, kMaxExcerptBytes));
  }
  Refine(e);
  return e;
}

}  // namespace

std::string_view ToString(ApiErrorKind kind) {
  switch (kind) {
    case ApiErrorKind::kNotFound:
      return "not found";
    case ApiErrorKind::kConflict:
      return "conflict";
    case ApiErrorKind::kAlreadyExists:
      return "already exists";
    case ApiErrorKind::kGone:
      return "gone";
    case ApiErrorKind::kInvalid:
      return "invalid";
    case ApiErrorKind::kForbidden:
      return "forbidden";
    case ApiErrorKind::kUnauthenticated:
      return "unauthenticated";
    case ApiErrorKind::kTooManyRequests:
      return "too many requests";
    case ApiErrorKind::kTooLarge:
      return "too large";
    case ApiErrorKind::kUnavailable:
      return "unavailable";
    case ApiErrorKind::kDeadline:
      return "deadline exceeded";
    case ApiErrorKind::kAborted:
      return "aborted";
    case ApiErrorKind::kInternal:
      return "internal";
  }
  return "unknown";
}

ApiError ApiError::Annotate(std::string_view doing) const {
  ApiError e = *this;
  e.message = fmt::format("{}: {}", doing, message);
  return e;
}

bool ApiError::HasCause(std::string_view cause_reason) const {
  return std::any_of(causes.begin(), causes.end(),
                     [&](const ApiCause& cause) { return cause.reason == cause_reason; });
}

Error ApiError::ToError() const {
  const auto code = [this] {
    switch (kind) {
      case ApiErrorKind::kNotFound:
        return ErrorCode::kNotFound;
      case ApiErrorKind::kConflict:
      case ApiErrorKind::kAlreadyExists:
        return ErrorCode::kConflict;
      case ApiErrorKind::kGone:
        return ErrorCode::kExpired;
      case ApiErrorKind::kInvalid:
      case ApiErrorKind::kTooLarge:
        return ErrorCode::kInvalid;
      case ApiErrorKind::kForbidden:
        return ErrorCode::kPermission;
      case ApiErrorKind::kUnauthenticated:
        return ErrorCode::kUnauthenticated;
      case ApiErrorKind::kTooManyRequests:
      case ApiErrorKind::kUnavailable:
        return ErrorCode::kUnavailable;
      case ApiErrorKind::kDeadline:
        return ErrorCode::kDeadline;
      case ApiErrorKind::kAborted:
        return ErrorCode::kAborted;
      case ApiErrorKind::kInternal:
        return ErrorCode::kInternal;
    }
    return ErrorCode::kInternal;
  };
  // What tells the two that are kInvalid apart, whatever words the server or a proxy has for it.
  const bool too_large = kind == ApiErrorKind::kTooLarge;
  return {code(), too_large ? "too large: " + message : message, retry_after};
}

ApiError ErrorOf(const HttpResponse& response) {
  std::optional<ApiStatus> status = ParseStatus(response.body);
  ApiError e = status ? ErrorOf(std::move(*status), response.status) : ErrorOfForeign(response);
  // The header is what a proxy sets, too, and it has been capped.
  if (response.retry_after) e.retry_after = response.retry_after;
  return e;
}

ApiError ErrorOfStatus(std::string_view status_json) {
  std::optional<ApiStatus> status = ParseStatus(status_json);
  if (!status) {
    ApiError e;
    e.message = "an error that is no Status: " + Line(status_json, kMaxExcerptBytes);
    return e;
  }
  const int code = status->code;
  return ErrorOf(std::move(*status), code);
}

ApiError ErrorOf(const Error& transport) {
  const auto kind = [&] {
    switch (transport.code) {
      case ErrorCode::kNotFound:
        return ApiErrorKind::kNotFound;
      case ErrorCode::kConflict:
        return ApiErrorKind::kConflict;
      case ErrorCode::kExpired:
        return ApiErrorKind::kGone;
      case ErrorCode::kInvalid:
        return ApiErrorKind::kInvalid;
      case ErrorCode::kPermission:
        return ApiErrorKind::kForbidden;
      case ErrorCode::kUnauthenticated:
        return ApiErrorKind::kUnauthenticated;
      case ErrorCode::kUnavailable:
        return ApiErrorKind::kUnavailable;
      case ErrorCode::kDeadline:
        return ApiErrorKind::kDeadline;
      case ErrorCode::kAborted:
        return ApiErrorKind::kAborted;
      case ErrorCode::kInternal:
        return ApiErrorKind::kInternal;
    }
    return ApiErrorKind::kInternal;
  };
  ApiError e;
  e.kind = kind();
  e.message = transport.message;
  e.retry_after = transport.retry_after;
  return e;
}

}  // namespace backfill::kube
