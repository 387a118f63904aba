#pragma once

#include <deque>
#include <functional>
#include <string>

#include "cli/operator.h"
#include "operator/api/backfill.h"
#include "operator/api/decode.h"

namespace backfill::cli {

// What was asked of an operator; outlives it.
struct OperatorLog {
  int steps = 0;
  int releases = 0;
  int kills = 0;
};

// Plays what an operator does to the stored object, one lever a step; after the last one nothing
// changes any more.
class FakeOperator final : public Operator {
 public:
  struct Played {
    std::function<void(api::Backfill&)> change;  // of the status
    bool settled = false;
    std::optional<Error> error;
    std::function<void()> meanwhile;  // what others do at that moment
    bool is_written = true;           // false: the store does not take the change
  };

  FakeOperator(kube::ObjectStore& store, std::deque<Played> script, OperatorLog& log)
      : store_(store), script_(std::move(script)), log_(log) {}

  Result<reconcile::ReconcileOutcome> Step(const kube::ObjectRef& ref, std::stop_token) override {
    ++log_.steps;
    Played played;
    if (!script_.empty()) {
      played = script_.front();
      script_.pop_front();
    }
    if (played.meanwhile) played.meanwhile();
    if (played.error) return *played.error;
    kube::Object object = TRY(store_.Get(ref));
    api::Backfill backfill = TRY(api::FromObject(object));
    if (played.change) {
      played.change(backfill);
      backfill.status.observed_generation = backfill.generation;
      if (played.is_written) {
        object = TRY(store_.UpdateStatus(api::ToObject(backfill), kube::Durability::kProcess));
        backfill = TRY(api::FromObject(object));
      }
    }
    return reconcile::ReconcileOutcome{std::chrono::milliseconds(1), played.settled,
                                       std::move(backfill)};
  }
  Status Release(const kube::ObjectRef&) override {
    ++log_.releases;
    return Ok{};
  }
  void KillWorkers() override { ++log_.kills; }

 private:
  kube::ObjectStore& store_;
  std::deque<Played> script_;
  OperatorLog& log_;
};

}  // namespace backfill::cli
