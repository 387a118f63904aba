#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "operator/api/decode.h"
#include "operator/kube/runtime/retry_schedule.h"
#include "operator/reconcile/reconciler.h"
#include "tests/fakes/fake_finalizers.h"
#include "tests/fakes/fake_stage_host.h"
#include "tests/fakes/manual_clock.h"
#include "tests/fakes/memory_store.h"
#include "tests/fakes/store_levers.h"

namespace backfill::reconcile {

// The reconciler as it is on a cluster: with finalizers, events, and a schedule for what fails. Its
// Backfill is shop/reprice.
class ReconcilerOnCluster : public ::testing::Test {
 protected:
  ReconcilerOnCluster() { StartOperator(); }

  // As `kubectl create` does.
  void Create(const std::string& file) {
    api::Decoded decoded = api::DecodeBackfill(file, "a.yaml");
    ASSERT_TRUE(decoded.backfill) << api::ToString(decoded.problems.at(0));
    decoded.backfill->ns = "shop";
    ASSERT_TRUE(memory_.Create(api::ToObject(*decoded.backfill), kube::Durability::kPower).ok());
  }
  void StartOperator() {
    reconciler_ = std::make_unique<Reconciler>(store_, stages_, pool_, clock_,
                                               ReconcilerOptions{.observe_period = 1s},
                                               OnCluster{finalizers_, events_, &kube::NextRetry});
  }
  void CrashOperator() {
    stages_.Crash();
    StartOperator();
  }
  // As a queue would: each step a moment after the one before.
  void Step(int n = 1) {
    for (int i = 0; i < n; ++i) {
      const auto outcome = reconciler_->Reconcile(ref_, {});
      clock_.Advance(200ms);
      last_ = outcome.ok() ? outcome->requeue_after : 0s;
    }
  }
  api::Backfill Stored(const std::string& name = "reprice") {
    const auto object = memory_.Get({"Backfill", "shop", name});
    EXPECT_TRUE(object.ok());
    return object.ok() ? api::HeadFromObject(*object) : api::Backfill{};
  }
  // "True/Running", "-" if there is none.
  std::string ConditionOf(const std::string& type, const std::string& name = "reprice") {
    const api::Status status = Stored(name).status;
    const api::Condition* c = api::FindCondition(status, type);
    return c == nullptr ? "-" : std::string(api::ToString(c->status)) + "/" + c->reason;
  }
  std::string MessageOf(const std::string& type) {
    const api::Status status = Stored().status;
    const api::Condition* c = api::FindCondition(status, type);
    return c == nullptr ? "-" : c->message;
  }

  const kube::ObjectRef ref_{"Backfill", "shop", "reprice"};
  fakes::ManualClock clock_;
  fakes::MemoryStore memory_{&clock_};
  fakes::StoreLevers store_{memory_};
  fakes::FakeStageHost stages_;
  fakes::FakeWorkerPool pool_;
  fakes::FakeFinalizers finalizers_{memory_};
  fakes::RecordedEvents events_;
  std::unique_ptr<Reconciler> reconciler_;
  Duration last_{};  // in which the last step wanted the next
};

}  // namespace backfill::reconcile
