#include "cli/nearest.h"

#include <gtest/gtest.h>

namespace backfill::cli {
namespace {

TEST(NearestNameTest, FindsTheNameThatWasMeant) {
  const std::vector<std::string> names{"reprice", "remind-users", "a"};
  EXPECT_EQ(NearestName("repice", names), "reprice");
  EXPECT_EQ(NearestName("reprcie", names), "reprice");
  EXPECT_EQ(NearestName("remind-user", names), "remind-users");
}

TEST(NearestNameTest, FindsNothingWhereNothingIsNear) {
  EXPECT_EQ(NearestName("cleanup", {"reprice"}), "");
  EXPECT_EQ(NearestName("", {"reprice"}), "");
  EXPECT_EQ(NearestName("reprice", {}), "");
  EXPECT_EQ(NearestName(std::string(10'000, 'a'), {std::string(10'000, 'a')}),
            "");  // no name is that long
}

}  // namespace
}  // namespace backfill::cli
