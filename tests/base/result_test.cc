#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace backfill {
namespace {

Result<int> Half(int n) {
  if (n % 2 != 0) return Error{ErrorCode::kInvalid, "odd"};
  return n / 2;
}
Result<int> Quarter(int n) {
  const int half = TRY(Half(n));
  return TRY(Half(half));
}

TEST(ResultTest, HoldsAValueOrAnError) {
  EXPECT_EQ(*Half(4), 2);
  EXPECT_FALSE(Half(3).ok());
  EXPECT_EQ(Half(3).error().code, ErrorCode::kInvalid);
}

TEST(ResultTest, TryLeavesTheFunctionWithTheError) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).error().message, "odd");
}

TEST(ResultTest, AnnotationsReadFromTheOutsideIn) {
  const auto result = Half(3).Annotate("halving").Annotate("planning");
  EXPECT_EQ(result.error().message, "planning: halving: odd");
  EXPECT_EQ(*Half(4).Annotate("halving"), 2);
}

TEST(ResultTest, CarriesWhatCanOnlyBeMoved) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 7);
}

TEST(ResultDeathTest, ReadingTheWrongSideEndsTheProcess) {
  EXPECT_DEATH(static_cast<void>(Half(3).value()), "");
  EXPECT_DEATH(static_cast<void>(Half(4).error()), "");
}

}  // namespace
}  // namespace backfill
