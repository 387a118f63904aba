#pragma once

#include <compare>
#include <optional>
#include <string_view>

namespace backfill::kube {

// Versions are opaque and equal or not. Of two that consist of digits, and belong to one resource,
// it can also be said which is newer (KEP-5504, R12); of all others nothing.
std::optional<std::strong_ordering> CompareVersions(std::string_view a, std::string_view b);

// A version from which a watch would begin with all objects again: none at all, or "0" for any.
inline bool IsNoVersion(std::string_view version) { return version.empty() || version == "0"; }

// Says for certain that `a` came before `b`. False also means: not known.
inline bool IsOlder(std::string_view a, std::string_view b) {
  const auto order = CompareVersions(a, b);
  return order && *order < 0;
}

}  // namespace backfill::kube
