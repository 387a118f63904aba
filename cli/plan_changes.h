#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/environment.h"
#include "cli/plan.h"
#include "cli/spec_changes.h"
#include "operator/api/node.h"

namespace backfill::cli {

// What a plan is compared with: the output of `plan -o json|yaml`, or an older file of the
// backfill, of which more is known.
struct OldPlan {
  std::string file;
  api::Node tree;                         // as plan -o json has it
  std::optional<api::Backfill> backfill;  // absent: the output of plan
};

// Reads one. nullopt: it is neither, and what is wrong has been printed on err.
std::optional<OldPlan> LoadOldPlan(const std::string& file, const Place& place,
                                   const Environment& env);

// What differs in `now`: fields of the spec, then what follows from them. Warnings and samples are
// no part of a plan, nor is what follows from the rate alone. Pure.
std::vector<SpecChange> FindPlanChanges(const OldPlan& old, const PlanPreview& now);

}  // namespace backfill::cli
