#include "operator/app/backfill_controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/decode.h"
#include "operator/kube/runtime/write_guard.h"
#include "tests/fakes/fake_stage_host.h"
#include "tests/fakes/manual_clock.h"
#include "tests/fakes/memory_store.h"
#include "tests/fakes/store_levers.h"

namespace backfill::app {
namespace {

using namespace std::chrono_literals;
using kube::Outcome;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class BackfillControllerTest : public ::testing::Test {
 protected:
  void Apply() {
    auto decoded = api::DecodeBackfill(R"(
apiVersion: backfill.dev/v1alpha1
kind: Backfill
metadata: {name: reprice}
spec:
  source: {range: {start: 0, end: 100}}
  target: {http: {url: "http://127.0.0.1:1/{{key}}"}}
)",
                                       "reprice.yaml");
    ASSERT_TRUE(decoded.backfill) << api::ToString(decoded.problems.at(0));
    decoded.backfill->ns = "shop";
    const auto created = store_.Create(api::ToObject(*decoded.backfill), kube::Durability::kPower);
    ASSERT_TRUE(created.ok()) << created.error().message;
    uid_ = created->uid;
  }
  Outcome Reconcile() {
    kube::ReconcileContext context(key_, "1", {.deadline = clock_.Steady() + 30s, .calls = 100}, {},
                                   may_act_, clock_, guard_);
    return controller_.Reconcile(key_, context);
  }

  const kube::ObjectKey key_{"shop", "reprice"};
  std::string uid_;
  bool crds_in_order_ = true;
  bool leads_ = true;
  std::vector<std::string> seen_, gone_;
  const kube::ReconcileContext::MayAct may_act_ = [this](Time) { return leads_; };

  fakes::ManualClock clock_;
  fakes::MemoryStore store_{&clock_};
  fakes::StoreLevers levers_{store_};
  fakes::FakeStageHost stages_;
  fakes::FakeWorkerPool pool_;
  kube::WriteGuard guard_{{}};
  reconcile::Reconciler reconciler_{levers_, stages_, pool_, clock_, {}};
  BackfillController controller_{
      reconciler_,
      {.may_begin = [this] { return crds_in_order_; },
       .on_seen = [this](const api::Backfill& b) { seen_.push_back(b.uid); },
       .on_gone = [this](const kube::ObjectKey&,
                         const std::string& uid) { gone_.push_back(uid); }}};
};

TEST_F(BackfillControllerTest, ComesBackWhenTheReconcilerSaysSo) {
  Apply();
  const Outcome outcome = Reconcile();
  EXPECT_EQ(outcome.kind, Outcome::Kind::kAgainAfter);
  EXPECT_EQ(outcome.after, 200ms);
  EXPECT_THAT(seen_, ElementsAre(uid_));
}

TEST_F(BackfillControllerTest, R31_DoesNothingBeforeTheCrdsAreInOrder) {
  Apply();
  crds_in_order_ = false;
  EXPECT_EQ(Reconcile().kind, Outcome::Kind::kAgainAfter);
  EXPECT_THAT(seen_, IsEmpty());
  crds_in_order_ = true;
  Reconcile();
  EXPECT_THAT(seen_, ElementsAre(uid_));
}

TEST_F(BackfillControllerTest, R38_DoesNothingOnceItLeadsNoMore) {
  Apply();
  leads_ = false;
  Reconcile();
  EXPECT_THAT(seen_, IsEmpty());
}

TEST_F(BackfillControllerTest, SaysWhichOneIsGone) {
  Apply();
  Reconcile();
  ASSERT_TRUE(store_.Delete({std::string(kube::kBackfillKind), "shop", "reprice"}, "").ok());
  EXPECT_EQ(Reconcile().kind, Outcome::Kind::kDone);
  EXPECT_THAT(gone_, ElementsAre(uid_));
  // Of one that was never seen nothing is known but that it is gone.
  EXPECT_EQ(Reconcile().kind, Outcome::Kind::kDone);
  EXPECT_THAT(gone_, ElementsAre(uid_, ""));
}

TEST_F(BackfillControllerTest, OfTwoOfOneNameTheFirstIsGoneThoughNobodySawItGo) {
  Apply();
  Reconcile();
  const std::string first = uid_;
  ASSERT_TRUE(store_.Delete({std::string(kube::kBackfillKind), "shop", "reprice"}, "").ok());
  Apply();
  ASSERT_NE(uid_, first);
  Reconcile();
  EXPECT_THAT(gone_, ElementsAre(first));
  EXPECT_THAT(seen_, ElementsAre(first, uid_));
}

// A leader may be in doubt for a moment and go on; nobody else would wake the key.
TEST_F(BackfillControllerTest, WhatWasBrokenOffIsLookedAtAgain) {
  Apply();
  levers_.FailNextReads(1, Error{ErrorCode::kAborted, "this process does not lead"});
  const Outcome outcome = Reconcile();
  EXPECT_EQ(outcome.kind, Outcome::Kind::kAgainAfter);
  EXPECT_EQ(outcome.after, 1s);
}

}  // namespace
}  // namespace backfill::app
