#include "operator/kube/cache/resource_version.h"

#include <algorithm>

namespace backfill::kube {
namespace {

// "0" is no version of an object, and a zero in front not how a number is written.
bool IsNumber(std::string_view version) {
  return !version.empty() && version.front() != '0' &&
         std::all_of(version.begin(), version.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::optional<std::strong_ordering> CompareVersions(std::string_view a, std::string_view b) {
  if (a == b) return std::strong_ordering::equal;
  if (!IsNumber(a) || !IsNumber(b)) return std::nullopt;
  // Of any length: they need not fit into an integer.
  if (a.size() != b.size()) return a.size() <=> b.size();
  return a <=> b;
}

}  // namespace backfill::kube
