#include "operator/identity/review_cache.h"

namespace backfill::identity {
namespace {

using namespace std::chrono_literals;

class ReviewCacheTest : public ::testing::Test {
 protected:
  bool Knows(const std::string& digest) { return cache_.Find(digest, now_).has_value(); }

  const ReviewCache::Review accepted_ = PodClaim{.ns = "shop", .pod = "p", .uid = "u"};
  const ReviewCache::Review refused_ = Refused{Refusal::kNotAuthenticated, "no"};
  ReviewCache cache_{ReviewCacheOptions{.entries = 100}};
  Time now_{1h};
};

TEST_F(ReviewCacheTest, AnAcceptedTokenIsKnownForAMinuteARefusedOneForTenSeconds) {
  cache_.Learn("good", accepted_, std::nullopt, now_);
  cache_.Learn("bad", refused_, std::nullopt, now_);
  now_ += 9999ms;
  EXPECT_EQ(cache_.Find("good", now_)->value().uid, "u");
  EXPECT_EQ(cache_.Find("bad", now_)->error().why, Refusal::kNotAuthenticated);
  now_ += 1ms;
  EXPECT_TRUE(Knows("good"));
  EXPECT_FALSE(Knows("bad"));
  now_ += 50s;
  EXPECT_FALSE(Knows("good"));
}

TEST_F(ReviewCacheTest, NoTokenIsKnownPastItsOwnEnd) {
  cache_.Learn("short", accepted_, 5s, now_);
  cache_.Learn("over", accepted_, -1s, now_);
  cache_.Learn("long", accepted_, 1h, now_);
  EXPECT_FALSE(Knows("over"));
  now_ += 4999ms;
  EXPECT_TRUE(Knows("short"));
  now_ += 1ms;
  EXPECT_FALSE(Knows("short"));
  now_ += 56s;
  EXPECT_FALSE(Knows("long"));
}

TEST_F(ReviewCacheTest, TheLatestAnswerHolds) {
  cache_.Learn("t", accepted_, std::nullopt, now_);
  cache_.Learn("t", refused_, std::nullopt, now_);
  EXPECT_FALSE(cache_.Find("t", now_)->ok());
  EXPECT_EQ(cache_.size(), 1u);
}

TEST_F(ReviewCacheTest, AFloodOfTokensTakesNoMoreThanItsTable) {
  for (int i = 0; i < 10'000; ++i) {
    cache_.Learn(std::to_string(i), refused_, std::nullopt, now_);
    ASSERT_LE(cache_.size(), 100u);
  }
  EXPECT_TRUE(Knows("9999"));
  EXPECT_FALSE(Knows("0"));
}

}  // namespace
}  // namespace backfill::identity
