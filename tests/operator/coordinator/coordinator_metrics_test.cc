#include "operator/coordinator/coordinator_metrics.h"

#include <gtest/gtest.h>

#include "backfill/v1/coordinator.pb.h"
#include "operator/coordinator/ledger_store.h"
#include "tests/operator/kube/runtime/recorded_metrics.h"

namespace backfill::coordinator {
namespace {

using namespace std::chrono_literals;

class CoordinatorMetricsTest : public ::testing::Test {
 protected:
  void Flush(std::size_t written, Status status = Ok{}) {
    metrics_.Flushed(std::vector<LedgerWrite>(3), {written, std::move(status)}, 5ms);
  }
  kube::RecordedMetrics recorded_;
  CoordinatorMetrics metrics_{recorded_};
};

TEST_F(CoordinatorMetricsTest, EverythingIsThereAtZero) {
  for (const char* series :
       {"backfill_grant_seconds", "backfill_ledger_bytes", "backfill_ledger_flush_seconds",
        "backfill_ledger_conflicts_total", "backfill_ledger_writes_total{result=written}",
        "backfill_ledger_writes_total{result=failed}", "backfill_rpc_seconds{method=hello}",
        "backfill_rpc_seconds{method=progress}", "backfill_rpc_seconds{method=shard_done}",
        "backfill_rpc_seconds{method=record_failures}", "backfill_rpc_seconds{method=draining}",
        "backfill_rpc_seconds{method=dry_run_samples}",
        "backfill_rpc_seconds{method=source_trouble}"})
    EXPECT_EQ(recorded_.Value(series), 0) << series;
}

TEST_F(CoordinatorMetricsTest, AMessageIsCountedByWhatItBrings) {
  v1::WorkerMessage message;
  message.mutable_shard_done();
  metrics_.Handled(message, 1ms);
  metrics_.Handled(v1::WorkerMessage(), 1ms);  // nothing that this version knows
  EXPECT_EQ(recorded_.Value("backfill_rpc_seconds{method=shard_done}"), 1);
  EXPECT_EQ(recorded_.Value("backfill_rpc_seconds{method=hello}"), 0);
}

TEST_F(CoordinatorMetricsTest, OfABatchThatFailsInTheMiddleThePartIsCountedThatWasWritten) {
  Flush(3);
  Flush(2, Error{ErrorCode::kUnavailable, "away"});
  EXPECT_EQ(recorded_.Value("backfill_ledger_writes_total{result=written}"), 5);
  EXPECT_EQ(recorded_.Value("backfill_ledger_bytes"), 5);
  EXPECT_EQ(recorded_.Value("backfill_ledger_writes_total{result=failed}"), 1);
  EXPECT_EQ(recorded_.Value("backfill_ledger_flush_seconds"), 2);
  EXPECT_EQ(recorded_.Value("backfill_ledger_conflicts_total"), 0);
}

TEST_F(CoordinatorMetricsTest, AWriteOfAnotherLeaderIsAConflictWhetherItCameBeforeOrAfterUs) {
  Flush(0, Error{ErrorCode::kConflict, "a later leader"});
  Flush(0, Error{ErrorCode::kExpired, "an earlier leader"});
  EXPECT_EQ(recorded_.Value("backfill_ledger_conflicts_total"), 2);
}

}  // namespace
}  // namespace backfill::coordinator
