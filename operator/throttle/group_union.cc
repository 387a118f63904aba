#include "operator/throttle/group_union.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

namespace backfill::throttle {
namespace {

constexpr std::size_t kLongestName = 32;  // of a budget, as the schema has it

bool MeansTheSame(Budget a, const Budget& b) {
  a.name = b.name;
  return a == b;
}

std::string FreeName(const std::string& name, const std::vector<Budget>& taken) {
  std::set<std::string_view> names;
  for (const Budget& budget : taken) names.insert(budget.name);
  std::string free = name;
  for (int i = 2; names.contains(free); ++i) {
    const std::string number = "-" + std::to_string(i);
    free = name.substr(0, kLongestName - number.size()) + number;
  }
  return free;
}

// Budgets while they are put together.
struct Together {
  std::vector<Budget> budgets;
  std::vector<std::string> questions;
  std::vector<std::vector<BudgetOrigin>> origins;

  void Add(const MemberOptions& member, std::size_t index) {
    for (std::size_t b = 0; b < member.options.budgets.size(); ++b) {
      const Budget& budget = member.options.budgets[b];
      const std::string question = b < member.questions.size() ? member.questions[b] : "";
      const BudgetOrigin origin{.member = index, .budget = b};
      bool known = false;
      for (std::size_t i = 0; i < budgets.size() && !known; ++i) {
        known = questions[i] == question && MeansTheSame(budgets[i], budget);
        if (known) origins[i].push_back(origin);
      }
      if (known) continue;
      budgets.push_back(budget);
      budgets.back().name = FreeName(budget.name, {budgets.begin(), budgets.end() - 1});
      questions.push_back(question);
      origins.push_back({origin});
    }
  }
};

template <typename T>
std::optional<T> LesserOf(const std::optional<T>& a, const std::optional<T>& b) {
  return a && b ? std::min(*a, *b) : a ? a : b;
}
template <typename T>
std::optional<T> LaterOf(const std::optional<T>& a, const std::optional<T>& b) {
  return std::max(a, b);  // unset is less than anything
}

}  // namespace

GroupUnion UnionOf(const std::vector<const MemberOptions*>& members) {
  GroupUnion all{.options = members.front()->options, .origins = {}, .refused = {}};
  Together together;
  double most = 0;
  double floor = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    Together with = together;
    with.Add(*members[i], i);
    all.refused.push_back(with.budgets.size() > kMaxBudgets);
    if (all.refused.back()) continue;
    together = std::move(with);
    most += members[i]->options.max_records_per_second;
    floor = std::max(floor, members[i]->options.floor);
  }
  all.options.budgets = std::move(together.budgets);
  all.origins = std::move(together.origins);
  all.options.max_records_per_second = std::min(most, kMostRecordsPerSecond);
  all.options.floor = floor;
  all.options.initial =
      std::clamp(InitialRate(members.front()->options), floor, all.options.max_records_per_second);
  return all;
}

SavedGovernor MostCareful(const SavedGovernor& a, const SavedGovernor& b) {
  SavedGovernor least;
  least.rate = std::min(a.rate, b.rate);
  least.last_good = LesserOf(a.last_good, b.last_good);
  least.ceiling = LesserOf(a.ceiling, b.ceiling);
  least.holds = std::max(a.holds, b.holds);
  // 0: it was not held.
  const double before = std::min(a.before_hold, b.before_hold);
  least.before_hold = before > 0 ? before : std::max(a.before_hold, b.before_hold);
  least.held_since = LaterOf(a.held_since, b.held_since);
  least.last_critical = LaterOf(a.last_critical, b.last_critical);
  return least;
}

}  // namespace backfill::throttle
