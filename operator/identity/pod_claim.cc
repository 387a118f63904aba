#include "operator/identity/pod_claim.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "operator/kube/client/json_fields.h"

namespace backfill::identity {
namespace {

constexpr std::size_t kMaxToken = std::size_t{16} << 10;
constexpr std::size_t kMaxName = 253;
constexpr std::string_view kServiceAccount = "system:serviceaccount:";
constexpr std::string_view kServiceAccounts = "system:serviceaccounts";
constexpr const char* kPodName = "authentication.kubernetes.io/pod-name";
constexpr const char* kPodUid = "authentication.kubernetes.io/pod-uid";
// 2200: later ones count as this. A WallTime ends in 2262, and differences have to fit, too.
constexpr std::int64_t kFarFuture = 7'258'118'400;

// "" unless there is exactly one that could name something.
std::string TheOne(const kube::UserInfo& user, const char* key) {
  const auto it = user.extra.find(key);
  if (it == user.extra.end() || it->second.size() != 1) return "";
  const std::string& value = it->second.front();
  return value.size() <= kMaxName ? value : "";
}

bool IsLabel(std::string_view name) {
  return !name.empty() && name.size() <= 63 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

// The namespace of "system:serviceaccount:shop:default"; "" if it is none.
std::string NamespaceOf(std::string_view username) {
  if (!username.starts_with(kServiceAccount)) return "";
  const std::string_view rest = username.substr(kServiceAccount.size());
  const auto colon = rest.find(':');
  if (colon == std::string_view::npos || colon + 1 == rest.size()) return "";
  if (rest.find(':', colon + 1) != std::string_view::npos) return "";
  const std::string_view ns = rest.substr(0, colon);
  return IsLabel(ns) ? std::string(ns) : "";
}

// Of base64url without padding; nullopt: it is none.
std::optional<std::string> Decoded(std::string_view text) {
  std::string out;
  std::uint32_t bits = 0;
  int have = 0;
  for (const char c : text) {
    std::uint32_t value = 0;
    if (c >= 'A' && c <= 'Z') {
      value = static_cast<std::uint32_t>(c - 'A');
    } else if (c >= 'a' && c <= 'z') {
      value = static_cast<std::uint32_t>(c - 'a') + 26;
    } else if (c >= '0' && c <= '9') {
      value = static_cast<std::uint32_t>(c - '0') + 52;
    } else if (c == '-' || c == '_') {
      value = c == '-' ? 62 : 63;
    } else {
      return std::nullopt;
    }
    bits = (bits << 6) | value;
    have += 6;
    if (have < 8) continue;
    have -= 8;
    out.push_back(static_cast<char>((bits >> have) & 0xFFU));
  }
  return out;
}

}  // namespace

Result<PodClaim, Refused> ClaimOf(const kube::TokenAnswer& answer, std::string_view audience) {
  if (!answer.authenticated || !answer.error.empty())
    return Refused{Refusal::kNotAuthenticated, "the API server does not accept the token"};
  // A server that knows nothing of audiences says none.
  if (std::ranges::count(answer.audiences, audience) == 0)
    return Refused{Refusal::kWrongAudience, "the token is not for us"};
  PodClaim claim{.ns = NamespaceOf(answer.user.username),
                 .pod = TheOne(answer.user, kPodName),
                 .uid = TheOne(answer.user, kPodUid)};
  if (claim.ns.empty() || std::ranges::count(answer.user.groups, kServiceAccounts) == 0)
    return Refused{Refusal::kNoPod, "the token is of no service account"};
  if (claim.pod.empty() || claim.uid.empty())
    return Refused{Refusal::kNoPod, "the token is of no pod"};
  return claim;
}

bool LooksLikeToken(std::string_view token) {
  return !token.empty() && token.size() <= kMaxToken &&
         std::ranges::all_of(token, [](char c) { return c > ' ' && c < '\x7f'; });
}

std::optional<WallTime> ExpiryOf(std::string_view token) {
  const auto first = token.find('.');
  if (first == std::string_view::npos) return std::nullopt;
  const auto second = token.find('.', first + 1);
  if (second == std::string_view::npos || token.size() > kMaxToken) return std::nullopt;
  const auto payload = Decoded(token.substr(first + 1, second - first - 1));
  if (!payload) return std::nullopt;
  const auto claims = kube::ParseJson(*payload);
  if (!claims.ok() || !claims->is_object()) return std::nullopt;
  const auto it = claims->find("exp");
  if (it == claims->end() || !it->is_number_integer()) return std::nullopt;
  const std::int64_t seconds = it->get<std::int64_t>();
  if (seconds < 0) return std::nullopt;
  return WallTime(std::chrono::seconds(std::min(seconds, kFarFuture)));
}

}  // namespace backfill::identity
