#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "operator/api/backfill.h"
#include "operator/kube/runtime/metric_source.h"
#include "operator/reconcile/stage_host.h"

namespace backfill::metrics {

// What is published of one stage. What was counted before this process began is in it, as it stands
// in the ledger: a new leader goes on where the last one was.
struct StageFigures {
  std::uint64_t updated = 0, unchanged = 0, skipped = 0, failed = 0;
};

struct BackfillFigures {
  std::string phase;
  std::string plan_hash;                            // its first 12 digits; empty: there is no plan
  std::map<std::string_view, StageFigures> stages;  // "dry-run", "run"
  // Of the stage that the spec asks for.
  std::int64_t shards_pending = 0, shards_in_flight = 0, shards_done = 0;
  double ratio = 0;
  double rate_limit = 0, rate_current = 0, granted = 0;
  std::string throttled_by;  // the condition's reason
  bool throttled = false;
  bool stalled = false;
  int workers_desired = 0, workers_connected = 0, workers_working = 0, workers_without_target = 0;
  std::uint64_t lease_expirations = 0;
  std::uint64_t redone = 0;
  double ledger_unwritten_seconds = 0;
  double failed_limit = 0;  // more failed records than that, and the run pauses or fails
  std::size_t status_bytes = 0;
};

// Pure. `open`: the stage that the spec asks for, if it is open.
BackfillFigures FiguresOf(const api::Backfill& backfill,
                          const std::optional<reconcile::StageSnapshot>& open);

// The metrics backfill_* that have a namespace and a name. It is told of each Backfill after each
// reconcile, and when one is gone; then its series go, too. Who does not lead is told nothing and
// publishes nothing, so that no replica counts what another one does.
//
// Thread-safe; no call blocks. Labels are the Backfill's name and namespace and words of a fixed
// set: never a shard, a worker, a key or a message.
class BackfillMetrics final : public kube::MetricSource {
 public:
  // Of more Backfills than `max_backfills` the rest is not published.
  explicit BackfillMetrics(std::size_t max_backfills = 10'000) : max_backfills_(max_backfills) {}

  void Update(const api::Backfill& backfill, const std::optional<reconcile::StageSnapshot>& open);
  void Forget(std::string_view ns, std::string_view name);

  [[nodiscard]] std::vector<kube::MetricFamily> Collect() const override;

 private:
  struct Published {
    std::string uid;
    std::string version;  // whose status has figures.status_bytes
    BackfillFigures figures;
    std::uint64_t expired_before = 0;  // in stages that were closed since
    std::uint64_t expired_in_stage = 0;
  };
  const std::size_t max_backfills_;
  mutable Mutex mu_;
  std::map<std::pair<std::string, std::string>, Published> published_ GUARDED_BY(mu_);
};

}  // namespace backfill::metrics
