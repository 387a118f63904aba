#include "cli/admission.h"

#include <fmt/format.h>

#include "cli/ending.h"
#include "cli/terminal_text.h"
#include "operator/api/decode.h"

namespace backfill::cli {

Admission Admit(const std::optional<api::Backfill>& stored, const api::Backfill& declared) {
  if (!stored) return AdmitNew{};
  const bool ended = HasEnded(stored->status);
  if (ended && stored->spec == declared.spec) return AlreadyEnded{};
  if (ended) {
    const api::Condition* end = FindCondition(stored->status, "Succeeded");
    std::string reason = fmt::format(
        "AlreadyRan: {} has {} at {}, with another spec, and one backfill is one change; to run "
        "this one give "
        "it another metadata.name",
        stored->name, end->status == api::ConditionStatus::kTrue ? "completed" : "failed",
        end->last_transition_time);
    std::vector<std::string> reasons{std::move(reason)};
    for (const SpecChange& change : FindSpecChanges(*stored, Merged(*stored, declared)))
      reasons.push_back("differs: " + ToString(change));
    return Refused{std::move(reasons)};
  }
  api::Backfill updated = Merged(*stored, declared);
  std::vector<SpecChange> changes = FindSpecChanges(*stored, updated);
  if (changes.empty()) return AdmitSame{};
  Refused refused;
  for (const api::Problem& p : api::ValidateChange(*stored, updated)) {
    refused.reasons.push_back(p.path.empty() ? p.message : p.path + ": " + p.message);
  }
  if (!refused.reasons.empty()) return refused;
  return AdmitChanged{std::move(updated), std::move(changes)};
}

}  // namespace backfill::cli
