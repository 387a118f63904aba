#pragma once

#include <map>
#include <vector>

#include "base/clock.h"
#include "operator/kube/runtime/metrics.h"

namespace backfill::v1 {
class WorkerMessage;
}  // namespace backfill::v1

namespace backfill::coordinator {

struct LedgerWrite;
struct WriteOutcome;

// What a coordinator counts over all its stages, under the names that are published. Each metric
// is there from the beginning, at zero. Thread-safe; references are those of the registry, which
// must outlive it.
class CoordinatorMetrics {
 public:
  explicit CoordinatorMetrics(kube::MetricRegistry& registry);

  // A message of a worker has been acted on, `took` after it arrived. What it brought about may be
  // written later.
  void Handled(const v1::WorkerMessage& message, Duration took);
  // A worker has been sent a shard, `took` after it had asked for one and there was one.
  void Granted(Duration took);
  // A batch of objects of a ledger, `took` after it was handed over.
  void Flushed(const std::vector<LedgerWrite>& batch, const WriteOutcome& outcome, Duration took);

 private:
  std::map<int, kube::Histogram*> handled_seconds_;  // by the field number of the message's body
  kube::Histogram& grant_seconds_;
  kube::Histogram& object_bytes_;
  kube::Histogram& flush_seconds_;
  kube::Counter& written_;
  kube::Counter& failed_;
  kube::Counter& conflicts_;
};

}  // namespace backfill::coordinator
