#include "operator/coordinator/coordinator_metrics.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "backfill/v1/coordinator.pb.h"
#include "operator/coordinator/ledger_store.h"

namespace backfill::coordinator {
namespace {

constexpr char kWrites[] = "backfill_ledger_writes_total";
constexpr char kWritesAre[] = "Objects of ledgers that were written, and tries that failed";

// A lease is promised within 50 ms; who waits for a write waits for an API server.
std::vector<double> LatencyBounds() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};
}
// An object of a ledger has 512 KiB at most.
std::vector<double> SizeBounds() {
  return {1 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10};
}

double InSeconds(Duration d) { return std::chrono::duration<double>(d).count(); }

std::map<int, kube::Histogram*> ByBody(kube::MetricRegistry& registry) {
  std::map<int, kube::Histogram*> all;
  const auto* body = v1::WorkerMessage::descriptor()->FindOneofByName("body");
  for (int i = 0; i < body->field_count(); ++i) {
    const auto* field = body->field(i);
    all[field->number()] = &registry.HistogramOf(
        "backfill_rpc_seconds", "From the arrival of a worker's message until it was acted on",
        {{"method", field->name()}}, LatencyBounds());
  }
  return all;
}

}  // namespace

CoordinatorMetrics::CoordinatorMetrics(kube::MetricRegistry& registry)
    : handled_seconds_(ByBody(registry)),
      grant_seconds_(registry.HistogramOf(
          "backfill_grant_seconds",
          "From a worker's request for a shard until it was sent one, while there was one", {},
          LatencyBounds())),
      object_bytes_(registry.HistogramOf("backfill_ledger_bytes",
                                         "Size of an object of a ledger, each time it is written",
                                         {}, SizeBounds())),
      flush_seconds_(registry.HistogramOf("backfill_ledger_flush_seconds",
                                          "How long a batch of ledger writes took", {},
                                          LatencyBounds())),
      written_(registry.CounterOf(kWrites, kWritesAre, {{"result", "written"}})),
      failed_(registry.CounterOf(kWrites, kWritesAre, {{"result", "failed"}})),
      conflicts_(registry.CounterOf(
          "backfill_ledger_conflicts_total",
          "Writes to a ledger that were refused: another leader has written it, or it is gone",
          {})) {}

void CoordinatorMetrics::Handled(const v1::WorkerMessage& message, Duration took) {
  const auto known = handled_seconds_.find(message.body_case());
  if (known != handled_seconds_.end()) known->second->Observe(InSeconds(took));
}

void CoordinatorMetrics::Granted(Duration took) { grant_seconds_.Observe(InSeconds(took)); }

void CoordinatorMetrics::Flushed(const std::vector<LedgerWrite>& batch, const WriteOutcome& outcome,
                                 Duration took) {
  flush_seconds_.Observe(InSeconds(took));
  for (std::size_t i = 0; i < std::min(outcome.written, batch.size()); ++i)
    object_bytes_.Observe(static_cast<double>(batch[i].image.data.size()));
  written_.Add(static_cast<double>(outcome.written));
  if (outcome.status.ok()) return;
  failed_.Increment();
  const ErrorCode code = outcome.status.error().code;
  if (code == ErrorCode::kConflict || code == ErrorCode::kExpired) conflicts_.Increment();
}

}  // namespace backfill::coordinator
