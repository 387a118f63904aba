#include "operator/reconcile/failure_budget.h"

#include <algorithm>

namespace backfill::reconcile {
namespace {

__extension__ using Wide = unsigned __int128;

// "0.1" with up to six decimals, in millionths.
Wide ParseMillionths(const std::string& decimal) {
  Wide value = 0;
  int decimals = -1;
  for (const char c : decimal) {
    if (c == '.') {
      decimals = 0;
      continue;
    }
    if (decimals == 6) break;
    value = value * 10 + static_cast<unsigned>(c - '0');
    if (decimals >= 0) ++decimals;
  }
  for (decimals = std::max(decimals, 0); decimals < 6; ++decimals) value *= 10;
  return value;
}

}  // namespace

std::optional<std::string> FailureBudgetExceeded(const api::FailurePolicy& policy,
                                                 std::uint64_t failed, std::uint64_t planned) {
  if (failed > static_cast<std::uint64_t>(policy.max_failed_records))
    return std::to_string(failed) + " records failed, over maxFailedRecords " +
           std::to_string(policy.max_failed_records);
  constexpr Wide kPercent = 100, kMillion = 1'000'000;
  if (Wide{failed} * kPercent * kMillion >
      ParseMillionths(policy.max_failed_percent) * Wide{planned})
    return std::to_string(failed) + " of " + std::to_string(planned) +
           " records failed, over maxFailedPercent " + policy.max_failed_percent;
  return std::nullopt;
}

}  // namespace backfill::reconcile
