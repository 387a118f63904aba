#include "operator/observe/histogram_quantile.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace backfill::observe {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

double Quantile(double q, std::vector<Bucket> buckets) { return HistogramQuantile(q, buckets); }

TEST(HistogramQuantileTest, IsLinearWithinABucket) {
  const std::vector<Bucket> buckets{{0.1, 10}, {0.2, 20}, {0.4, 100}, {kInf, 100}};
  EXPECT_DOUBLE_EQ(Quantile(0.05, buckets), 0.05);
  EXPECT_DOUBLE_EQ(Quantile(0.1, buckets), 0.1);
  EXPECT_DOUBLE_EQ(Quantile(0.15, buckets), 0.15);
  EXPECT_DOUBLE_EQ(Quantile(0.6, buckets), 0.3);
  EXPECT_DOUBLE_EQ(Quantile(1, buckets), 0.4);
}

TEST(HistogramQuantileTest, WhatLiesAboveTheHighestBoundIsThatBound) {
  EXPECT_DOUBLE_EQ(Quantile(0.99, {{0.1, 10}, {0.2, 20}, {kInf, 1000}}), 0.2);
}

TEST(HistogramQuantileTest, TheLowestBucketBeginsAtZeroUnlessItsBoundIsNotAboveIt) {
  EXPECT_DOUBLE_EQ(Quantile(0.5, {{1, 10}, {kInf, 10}}), 0.5);
  EXPECT_DOUBLE_EQ(Quantile(0.5, {{-1, 10}, {kInf, 10}}), -1);
  EXPECT_DOUBLE_EQ(Quantile(0.5, {{0, 10}, {kInf, 10}}), 0);
}

TEST(HistogramQuantileTest, BucketsMayComeInAnyOrderAndMoreThanOnce) {
  EXPECT_DOUBLE_EQ(Quantile(0.6, {{kInf, 100}, {0.4, 60}, {0.1, 10}, {0.4, 40}, {0.2, 20}}), 0.3);
}

TEST(HistogramQuantileTest, CountsThatFallCountAsTheHighestSoFar) {
  EXPECT_DOUBLE_EQ(Quantile(0.5, {{0.1, 10}, {0.2, 8}, {0.4, 20}, {kInf, 19}}), 0.1);
}

TEST(HistogramQuantileTest, ThereIsNoneOfNothing) {
  EXPECT_TRUE(std::isnan(Quantile(0.99, {})));
  EXPECT_TRUE(std::isnan(Quantile(0.99, {{kInf, 5}}))) << "one bucket tells nothing";
  EXPECT_TRUE(std::isnan(Quantile(0.99, {{0.1, 5}, {0.2, 6}}))) << "how many are above 0.2?";
  EXPECT_TRUE(std::isnan(Quantile(0.99, {{0.1, 0}, {kInf, 0}}))) << "nothing was observed";
  EXPECT_TRUE(std::isnan(Quantile(0.99, {{0.1, std::nan("")}, {kInf, 4}})));
  EXPECT_TRUE(std::isnan(Quantile(0.99, {{std::nan(""), 1}, {kInf, 4}})));
  EXPECT_TRUE(std::isnan(Quantile(std::nan(""), {{0.1, 1}, {kInf, 4}})));
}

TEST(HistogramQuantileTest, OutsideOfZeroToOneItIsInfinite) {
  EXPECT_EQ(Quantile(-0.1, {{0.1, 1}, {kInf, 4}}), -kInf);
  EXPECT_EQ(Quantile(1.1, {{0.1, 1}, {kInf, 4}}), kInf);
  EXPECT_EQ(Quantile(0, {{0.1, 0}, {0.2, 3}, {kInf, 4}}), 0.1) << "an empty bucket is no division";
}

}  // namespace
}  // namespace backfill::observe
