#include "operator/api/excerpt.h"

#include <gtest/gtest.h>

namespace backfill::api {
namespace {

TEST(ExcerptTest, ExcerptsAreShortAndSafeToPrint) {
  EXPECT_EQ(Excerpt("a\nb\x1b[0m"), "\"a\\nb\\x1b[0m\"");
  EXPECT_EQ(Excerpt(std::string(61, 'x')), "\"" + std::string(60, 'x') + "...\"");
}

TEST(ExcerptTest, PrintableTextHasNoControlsAndNoBrokenCharacters) {
  EXPECT_EQ(Printable("a\nb\xC2\x85ä\xff\x1b"), "a b ä? ");
}

}  // namespace
}  // namespace backfill::api
