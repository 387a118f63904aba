#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "operator/kube/cache/informer.h"
#include "operator/kube/runtime/metric_source.h"

namespace backfill::metrics {

// Where the numbers of a process come from. Each is asked whenever metrics are read, on any thread,
// must come at once, and may be left out.
struct ProcessFigures {
  // How often a stream was refused, by why: words of a fixed set.
  std::function<std::map<std::string, std::uint64_t>()> auth_failures = {};
  // Connections of workers that were closed unheard, as there were too many.
  std::function<std::uint64_t()> turned_away = {};
  // When which certificate ends: "server", "authority".
  std::function<std::map<std::string, WallTime>()> certificate_ends = {};
  // Of the leader; nullopt: it does not lead.
  std::function<std::optional<Epoch>()> leader_epoch = {};
  // Fields that are written and that the API server would drop (R31).
  std::function<bool()> crd_outdated = {};
  std::vector<const kube::Informer*> informers = {};  // outlive this
};

// The metrics backfill_* of a process, without a Backfill's name. Thread-safe. `clock` outlives it.
class ProcessMetrics final : public kube::MetricSource {
 public:
  ProcessMetrics(const Clock& clock, ProcessFigures figures);
  [[nodiscard]] std::vector<kube::MetricFamily> Collect() const override;

 private:
  const Clock& clock_;
  const ProcessFigures figures_;
};

}  // namespace backfill::metrics
