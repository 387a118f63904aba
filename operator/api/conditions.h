#pragma once

#include <algorithm>
#include <string_view>

#include "operator/api/backfill.h"

// Looks at a status. Pure, and without a library: also what knows no JSON includes it.
namespace backfill::api {

// nullptr: the status has no condition of that type.
inline const Condition* FindCondition(const Status& status, std::string_view type) {
  const auto it = std::find_if(status.conditions.begin(), status.conditions.end(),
                               [type](const Condition& c) { return c.type == type; });
  return it == status.conditions.end() ? nullptr : &*it;
}

// In the place of the one of its type.
inline void SetCondition(Status& status, const Condition& condition) {
  std::erase_if(status.conditions,
                [&condition](const Condition& c) { return c.type == condition.type; });
  status.conditions.push_back(condition);
}

// As they are written.
inline std::string_view ToString(Phase phase) {
  switch (phase) {
    case Phase::kPending:
      return "Pending";
    case Phase::kPlanning:
      return "Planning";
    case Phase::kDryRunning:
      return "DryRunning";
    case Phase::kAwaitingApproval:
      return "AwaitingApproval";
    case Phase::kRunning:
      return "Running";
    case Phase::kPaused:
      return "Paused";
    case Phase::kCompleted:
      return "Completed";
    case Phase::kFailed:
      return "Failed";
    case Phase::kCancelled:
      return "Cancelled";
  }
  return "";
}

inline std::string_view ToString(ConditionStatus status) {
  switch (status) {
    case ConditionStatus::kTrue:
      return "True";
    case ConditionStatus::kFalse:
      return "False";
    case ConditionStatus::kUnknown:
      return "Unknown";
  }
  return "";
}

// Ended for good; its spec is locked.
inline bool HasEnded(const Status& status) {
  const Condition* succeeded = FindCondition(status, "Succeeded");
  return succeeded != nullptr && succeeded->status != ConditionStatus::kUnknown;
}

}  // namespace backfill::api
