#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "operator/throttle/governor.h"

// What the members of a group mean together: one governor for all of them. Pure.
namespace backfill::throttle {

struct MemberOptions {
  GovernorOptions options;
  // For each of its budgets, what it asks: budgets that ask the same and have the same bounds are
  // one.
  std::vector<std::string> questions;

  bool operator==(const MemberOptions&) const = default;
};

// Who answers for a budget of the group.
struct BudgetOrigin {
  std::size_t member = 0;  // as an index
  std::size_t budget = 0;  // of that member
  bool operator==(const BudgetOrigin&) const = default;
};

struct GroupUnion {
  // All budgets; the largest floor; the maxima added up; everything else of the first member.
  GovernorOptions options;
  std::vector<std::vector<BudgetOrigin>> origins;  // of each budget, never empty
  std::vector<bool> refused;                       // members whose budgets have no room, by index
};

// Of valid options, the oldest member first: budgets keep its names, and later ones that mean
// something else by a name get a number. `members` is not empty.
GroupUnion UnionOf(const std::vector<const MemberOptions*>& members);

// Of what several have saved of one governor, what asks for the most care.
SavedGovernor MostCareful(const SavedGovernor& a, const SavedGovernor& b);

}  // namespace backfill::throttle
