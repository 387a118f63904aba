#pragma once

#include <memory>
#include <string_view>

#include "bench/throttle/controller.h"
#include "bench/throttle/scenario.h"

namespace backfill::throttle_bench {

struct Contestant {
  std::string_view name;
  // A fresh one for each run; the scenario outlives it.
  std::unique_ptr<Controller> (*make)(const Scenario& scenario, double limit) = nullptr;
};

}  // namespace backfill::throttle_bench
