#include "cli/place.h"

#include <gtest/gtest.h>

#include <vector>

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

TEST(PlaceTest, OfAClusterNeedsNoMoreThanItsContext) {
  Place place;
  place.cluster = ClusterChoice{};
  place.usual_ns = "shop";
  EXPECT_EQ(CommandFor("resume", "reprice", place.In("shop")), "backfill resume reprice --cluster");
  place.called_as = CalledAs::kKubectlPlugin;
  EXPECT_EQ(CommandFor("resume", "reprice", place.In("shop")), "kubectl backfill resume reprice");
  place.cluster = ClusterChoice{.context = "my ctx", .kubeconfig = "/k"};
  EXPECT_EQ(CommandFor("resume", "reprice", place.In("other")),
            "kubectl backfill resume reprice -n other --context 'my ctx' --kubeconfig /k");
  EXPECT_EQ(CommandToRun("a.yaml", place.In("other")),
            "kubectl apply -f a.yaml -n other --context 'my ctx' --kubeconfig /k");
}

TEST(PlaceTest, OfADirectoryIsSaidToThePlugin) {
  const Place place = FindPlace({.state_dir = ".backfill"}, CalledAs::kKubectlPlugin).place;
  EXPECT_EQ(CommandFor("resume", "reprice", place),
            "kubectl backfill resume reprice --state-dir .backfill");
}

struct PlaceCase {
  PlaceFlags flags;
  CalledAs called_as;
  bool on_cluster;
};

TEST(FindPlaceTest, GoesByTheNameUnlessTold) {
  for (const PlaceCase& c :
       std::vector<PlaceCase>{{{}, CalledAs::kBackfill, false},
                              {{}, CalledAs::kKubectlPlugin, true},
                              {{.cluster = true}, CalledAs::kBackfill, true},
                              {{.context = "dev"}, CalledAs::kBackfill, true},
                              {{.kubeconfig = "/k"}, CalledAs::kBackfill, true},
                              {{.ns = "shop"}, CalledAs::kBackfill, false},
                              {{.all_namespaces = true}, CalledAs::kBackfill, false},
                              {{.state_dir = "/s"}, CalledAs::kKubectlPlugin, false}}) {
    const MeantPlace meant = FindPlace(c.flags, c.called_as);
    EXPECT_EQ(meant.problem, "");
    EXPECT_EQ(meant.place.cluster.has_value(), c.on_cluster);
  }
}

TEST(FindPlaceTest, RefusesWhatContradictsItself) {
  for (const PlaceFlags& flags : std::vector<PlaceFlags>{{.state_dir = "/s", .cluster = true},
                                                         {.state_dir = "/s", .context = "dev"},
                                                         {.state_dir = "/s", .kubeconfig = "/k"},
                                                         {.ns = "shop", .all_namespaces = true},
                                                         {.context = ""},
                                                         {.kubeconfig = ""}})
    EXPECT_NE(FindPlace(flags, CalledAs::kBackfill).problem, "");
}

}  // namespace
}  // namespace backfill::cli
