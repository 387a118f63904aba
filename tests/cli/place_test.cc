#include "cli/place.h"

#include <gtest/gtest.h>

namespace backfill::cli {
namespace {

TEST(PlaceTest, LeavesOutOptionsThatAreAtTheirDefaults) {
  EXPECT_EQ(CommandFor("resume", "reprice", Place{}), "backfill resume reprice");
  EXPECT_EQ(CommandFor("resume", "reprice", Place{}.In("default")), "backfill resume reprice");
}

TEST(PlaceTest, RepeatsOptionsThatAreNot) {
  const Place place{.state_dir = "/var/state", .ns = "shop"};
  EXPECT_EQ(CommandFor("resume", "reprice", place),
            "backfill resume reprice -n shop --state-dir /var/state");
}

TEST(PlaceTest, QuotesForTheShell) {
  const Place place{.state_dir = "it's here; rm -rf $HOME", .ns = {}};
  EXPECT_EQ(CommandForFile("run", "my file.yaml", place),
            "backfill run -f 'my file.yaml' --state-dir 'it'\\''s here; rm -rf $HOME'");
}

TEST(PlaceTest, NamesTheNamespaceAlsoBesideAFile) {
  EXPECT_EQ(CommandForFile("run", "a.yaml", Place{}.In("shop")), "backfill run -f a.yaml -n shop");
}

}  // namespace
}  // namespace backfill::cli
