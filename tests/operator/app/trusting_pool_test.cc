#include "operator/app/trusting_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/fake_stage_host.h"

namespace backfill::app {
namespace {

using reconcile::Stage;
using ::testing::HasSubstr;

class TrustingPoolTest : public ::testing::Test {
 protected:
  TrustingPoolTest() {
    backfill_.ns = "shop";
    backfill_.name = "reprice";
  }
  api::Backfill backfill_;
  fakes::FakeWorkerPool workers_;
  std::vector<std::string> published_;
  Status answer_ = Ok{};
  TrustingPool pool_{workers_, [this](const std::string& ns) {
                       published_.push_back(ns);
                       return answer_;
                     }};
};

TEST_F(TrustingPoolTest, ANamespaceGetsTheAuthoritiesBeforeItsWorkers) {
  ASSERT_TRUE(pool_.Scale(backfill_, Stage::kRun, 3).ok());
  EXPECT_THAT(published_, ::testing::ElementsAre("shop"));
  EXPECT_EQ(workers_.alive(Stage::kRun), 3);
}

TEST_F(TrustingPoolTest, NoWorkerStartsThatCouldTrustNobody) {
  answer_ = Error{ErrorCode::kConflict, "the name is taken"};
  const Status scaled = pool_.Scale(backfill_, Stage::kRun, 3);
  ASSERT_FALSE(scaled.ok());
  EXPECT_THAT(scaled.error().message, HasSubstr("CA bundle: the name is taken"));
  EXPECT_EQ(workers_.alive(Stage::kRun), 0);
}

TEST_F(TrustingPoolTest, EndingWorkersNeedsNothing) {
  ASSERT_TRUE(pool_.Scale(backfill_, Stage::kRun, 3).ok());
  answer_ = Error{ErrorCode::kUnavailable, "the API server is away"};
  EXPECT_TRUE(pool_.Scale(backfill_, Stage::kRun, 0).ok());
  EXPECT_TRUE(pool_.Stop({"shop", "reprice", "", Stage::kRun}).ok());
}

}  // namespace
}  // namespace backfill::app
