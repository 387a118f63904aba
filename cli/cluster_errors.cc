#include "cli/cluster_errors.h"

#include <fmt/format.h>

namespace backfill::cli {

std::string ServerText(const ClusterFacts& facts) {
  return fmt::format("the API server {}{}", facts.server,
                     facts.context.empty() ? "" : fmt::format(" (context {})", facts.context));
}

Error Explain(const Error& error, const ClusterFacts& facts, const std::string& role) {
  Error e = error;
  switch (error.code) {
    case ErrorCode::kPermission:
      e.message += fmt::format("; the role {} allows it: ask who administers the cluster", role);
      break;
    case ErrorCode::kUnauthenticated:
      e.message = fmt::format("{}: {}; log in again, or mend the kubeconfig", ServerText(facts),
                              error.message);
      break;
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadline:
      e.message = fmt::format("{} cannot be used now: {}", ServerText(facts), error.message);
      break;
    case ErrorCode::kNotFound:
    case ErrorCode::kConflict:
    case ErrorCode::kExpired:
    case ErrorCode::kInvalid:
    case ErrorCode::kAborted:
    case ErrorCode::kInternal:
      break;
  }
  return e;
}

Error NoSuchKind(const ClusterFacts& facts) {
  return {ErrorCode::kNotFound,
          fmt::format("{} knows no backfills: is the operator installed there? Its chart brings "
                      "the custom resource definitions",
                      ServerText(facts))};
}

}  // namespace backfill::cli
