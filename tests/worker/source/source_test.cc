#include <limits>

#include "worker/source/keys_source.h"
#include "worker/source/range_source.h"

namespace backfill::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(RangeSourceTest, AKeyIsItsPosition) {
  RangeSource source;
  EXPECT_THAT(*source.Read({-1, 2}),
              ElementsAre(Record{.position = -1, .key = "-1"}, Record{.position = 0, .key = "0"},
                          Record{.position = 1, .key = "1"}));
  EXPECT_THAT(*source.Read({5, 5}), IsEmpty());
  EXPECT_TRUE(source.numeric_keys());
}

TEST(RangeSourceTest, ReachesTheEndsOfTheKeySpace) {
  RangeSource source;
  constexpr Position kMin = std::numeric_limits<Position>::min();
  constexpr Position kMax = std::numeric_limits<Position>::max();
  EXPECT_EQ(source.Read({kMin, kMin + 1})->front().key, "-9223372036854775808");
  EXPECT_EQ(source.Read({kMax - 1, kMax})->front().key, "9223372036854775806");
}

TEST(KeysSourceTest, APositionIsAnIndex) {
  KeysSource source({"a", "b", "a"});
  EXPECT_THAT(*source.Read({1, 3}),
              ElementsAre(Record{.position = 1, .key = "b"}, Record{.position = 2, .key = "a"}));
  EXPECT_FALSE(source.numeric_keys());
  EXPECT_TRUE(KeysSource({"7"}, /*numeric=*/true).numeric_keys());
}

TEST(KeysSourceTest, RefusesPositionsThatItDoesNotHave) {
  KeysSource source({"a", "b"});
  EXPECT_EQ(source.Read({1, 3}).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(source.Read({-1, 1}).error().code, ErrorCode::kInvalid);
  EXPECT_TRUE(source.Read({2, 2}).ok());
}

}  // namespace
}  // namespace backfill::worker
