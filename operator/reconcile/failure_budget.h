#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "operator/api/backfill.h"

namespace backfill::reconcile {

// Whether that many failed records are more than the policy tolerates; the text says which bound
// and its value. Exact: no floating point decides the end of a run. Pure.
std::optional<std::string> FailureBudgetExceeded(const api::FailurePolicy& policy,
                                                 std::uint64_t failed, std::uint64_t planned);

}  // namespace backfill::reconcile
