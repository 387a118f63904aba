#include "operator/reconcile/failure_budget.h"

#include <gtest/gtest.h>

namespace backfill::reconcile {
namespace {

TEST(FailureBudgetTest, CountsAndPercentagesAreExact) {
  api::FailurePolicy policy;
  policy.max_failed_records = 1000;
  policy.max_failed_percent = "0.1";
  EXPECT_FALSE(FailureBudgetExceeded(policy, 0, 0));
  EXPECT_FALSE(FailureBudgetExceeded(policy, 10, 10'000));  // 0.1 % exactly is within
  EXPECT_TRUE(FailureBudgetExceeded(policy, 11, 10'000));
  EXPECT_FALSE(FailureBudgetExceeded(policy, 1000, 10'000'000));
  EXPECT_TRUE(FailureBudgetExceeded(policy, 1001, 10'000'000));
  EXPECT_TRUE(FailureBudgetExceeded(policy, 1, 999));
  EXPECT_FALSE(FailureBudgetExceeded(policy, 1, 1000));
  policy.max_failed_percent = "100";
  EXPECT_FALSE(FailureBudgetExceeded(policy, 5, 5));
  policy.max_failed_percent = "0";
  EXPECT_TRUE(FailureBudgetExceeded(policy, 1, ~std::uint64_t{0}));
  policy.max_failed_percent = "0.000001999999999999";
  EXPECT_TRUE(FailureBudgetExceeded(policy, 2, 100'000'000));
}

}  // namespace
}  // namespace backfill::reconcile
