#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "operator/identity/refusal.h"
#include "operator/kube/client/reviews.h"

namespace backfill::identity {

// Which pod a token was issued to, as the API server says.
struct PodClaim {
  std::string ns;
  std::string pod;
  std::string uid;
  bool operator==(const PodClaim&) const = default;
};

// Reads an answer to a TokenReview that asked for `audience`. Pure. Every part must be there, and
// once; whatever else is refused.
Result<PodClaim, Refused> ClaimOf(const kube::TokenAnswer& answer, std::string_view audience);

// Whether it looks like a token that a server could have issued: of printable characters, at most
// 16 KiB. Others are not shown to the API server.
bool LooksLikeToken(std::string_view token);

// The `exp` of a JSON Web Token, unverified: good for forgetting a token sooner, for nothing else.
// nullopt: it says none.
std::optional<WallTime> ExpiryOf(std::string_view token);

}  // namespace backfill::identity
