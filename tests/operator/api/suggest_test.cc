#include "operator/api/suggest.h"

#include <gtest/gtest.h>

#include "operator/api/crd.h"

namespace backfill::api {
namespace {

const std::vector<std::string> kFields = {"source", "target", "workers", "throttle", "dryRun"};

TEST(SuggestTest, FindsTheNearestFieldAcrossTypingErrorsAndCase) {
  EXPECT_EQ(Nearest("sorce", kFields), "source");
  EXPECT_EQ(Nearest("wrokers", kFields), "workers");
  EXPECT_EQ(Nearest("DRYRUN", kFields), "dryRun");
  EXPECT_EQ(Nearest("throttling", kFields), "throttle");
}

TEST(SuggestTest, IsSilentWhenNothingIsNear) {
  EXPECT_EQ(Nearest("schedule", kFields), std::nullopt);
  EXPECT_EQ(Nearest("", kFields), std::nullopt);
  EXPECT_EQ(Nearest(std::string(10'000, 'w'), kFields), std::nullopt);
  EXPECT_EQ(Nearest("x", {}), std::nullopt);
}

TEST(SuggestTest, KnowsWhereAFieldBelongsUnlessThereAreSeveralPlaces) {
  const Schema& root = BackfillCrd().schema;
  EXPECT_EQ(FindField(root, "batchSize"), "spec.workers");
  EXPECT_EQ(FindField(root, "maxFailedPercent"), "spec.failurePolicy");
  EXPECT_EQ(FindField(root, "url"), std::nullopt);   // of the run, of the dry run
  EXPECT_EQ(FindField(root, "hash"), std::nullopt);  // in status only, which nobody writes
  EXPECT_EQ(FindField(root, "kind"), std::nullopt);
}

}  // namespace
}  // namespace backfill::api
