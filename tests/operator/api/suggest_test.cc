#include "operator/api/suggest.h"

#include <gtest/gtest.h>

#include "operator/api/crd.h"

namespace backfill::api {
namespace {

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
