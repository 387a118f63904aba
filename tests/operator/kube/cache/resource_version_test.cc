#include "operator/kube/cache/resource_version.h"

#include <gtest/gtest.h>

#include <string>

namespace backfill::kube {
namespace {

TEST(ResourceVersionTest, R12_OrdersOnlyWhatConsistsOfDigits) {
  EXPECT_TRUE(IsOlder("9", "10"));
  EXPECT_TRUE(IsOlder("10", "11"));
  EXPECT_FALSE(IsOlder("11", "10"));
  EXPECT_FALSE(IsOlder("10", "10"));
  // Longer than any integer.
  EXPECT_TRUE(IsOlder(std::string(40, '8'), std::string(40, '9')));
  for (const char* opaque : {"", "0", "07", "v7", "7a", "-7", "7.0", " 7"}) {
    EXPECT_FALSE(IsOlder(opaque, "99")) << opaque;
    EXPECT_FALSE(IsOlder("5", opaque)) << opaque;
    EXPECT_FALSE(CompareVersions(opaque, "99")) << opaque;
  }
}

TEST(ResourceVersionTest, R12_EqualIsEqualWhateverItSays) {
  EXPECT_EQ(CompareVersions("v7", "v7"), std::strong_ordering::equal);
  EXPECT_EQ(CompareVersions("7", "7"), std::strong_ordering::equal);
}

}  // namespace
}  // namespace backfill::kube
