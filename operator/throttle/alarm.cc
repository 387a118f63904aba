#include "operator/throttle/alarm.h"

#include <algorithm>
#include <cmath>

namespace backfill::throttle {

bool Alarm::Rings(const std::vector<Budget>& budgets,
                  const std::vector<Observation>& observations) {
  heard_.resize(budgets.size());
  bool rings = false;
  for (std::size_t i = 0; i < std::min(budgets.size(), observations.size()); ++i) {
    const Observation& said = observations[i];
    const bool over = budgets[i].enforce && said.answer == Answer::kValue &&
                      std::isfinite(said.value) && Pressure(budgets[i], said.value) > 1;
    if (!over || heard_[i] == said.time) continue;
    heard_[i] = said.time;
    rings = true;
  }
  return rings;
}

}  // namespace backfill::throttle
