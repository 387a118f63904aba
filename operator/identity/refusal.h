#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace backfill::identity {

// Why a token was not accepted: for counters and logs, never for the peer. A bounded set.
enum class Refusal {
  kMalformed,         // no token that a server could have issued
  kNotAuthenticated,  // forged, expired, or of a pod that is gone
  kWrongAudience,     // for somebody else
  kNoPod,             // not of a service account's pod
  kPodGone,           // no such pod any more, or another one of that name
  kPodEnded,          // its work is on record
  kNotOurWorker,      // of no Job of a Backfill
  kOverloaded,        // too many wait: to be shown again
  kUnavailable,       // the API server cannot be asked: to be shown again
};
inline constexpr std::size_t kRefusals = 9;

constexpr std::string_view ToString(Refusal refusal) {
  constexpr std::array<std::string_view, kRefusals> kNames = {
      "malformed", "not_authenticated", "wrong_audience", "no_pod",     "pod_gone",
      "pod_ended", "not_our_worker",    "overloaded",     "unavailable"};
  return kNames[static_cast<std::size_t>(refusal)];
}

// kUnauthenticated: it is not known who it is; kPermission: it is known, and no worker;
// kUnavailable: it cannot be told now.
constexpr ErrorCode CodeOf(Refusal refusal) {
  switch (refusal) {
    case Refusal::kMalformed:
    case Refusal::kNotAuthenticated:
    case Refusal::kWrongAudience:
      return ErrorCode::kUnauthenticated;
    case Refusal::kNoPod:
    case Refusal::kPodGone:
    case Refusal::kPodEnded:
    case Refusal::kNotOurWorker:
      return ErrorCode::kPermission;
    case Refusal::kOverloaded:
    case Refusal::kUnavailable:
      return ErrorCode::kUnavailable;
  }
  return ErrorCode::kUnavailable;
}

// For one path through the checks: the reason, and what was found, for the log.
struct Refused {
  Refusal why = Refusal::kUnavailable;
  std::string detail = {};
  [[nodiscard]] Refused Annotate(std::string_view doing) const {
    return {why, std::string(doing) + ": " + detail};
  }
};

}  // namespace backfill::identity
