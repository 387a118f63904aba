#include "operator/observe/preflight.h"

#include <fmt/format.h>

#include "operator/observe/answers.h"
#include "operator/throttle/governor.h"

namespace backfill::observe {
namespace {

constexpr std::size_t kMaxMessageBytes = 160;
constexpr std::size_t kMaxQueryShown = 60;

}  // namespace

std::optional<PreflightProblem> Preflight(const throttle::GovernorOptions& options,
                                          const std::vector<throttle::Observation>& observations,
                                          const std::vector<Query>& queries, Time now) {
  throttle::GovernorOptions one = options;
  for (std::size_t i = 0; i < options.budgets.size(); ++i) {
    one.budgets = {options.budgets[i]};
    const auto seen = i < observations.size() ? observations[i] : throttle::Observation{};
    const std::string problem = throttle::Preflight(one, {seen}, now);
    if (problem.empty()) continue;
    const std::string query =
        i < queries.size() ? fmt::format(" ({})", ShownQuery(queries[i], kMaxQueryShown)) : "";
    return PreflightProblem{.reason = "MetricUnavailable",
                            .message = Excerpt(problem, kMaxMessageBytes - query.size()) + query};
  }
  return std::nullopt;
}

}  // namespace backfill::observe
