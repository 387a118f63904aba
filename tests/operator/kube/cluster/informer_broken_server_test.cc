// An informer of an API server that is killed, loses its past, or stands still.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "operator/kube/cache/informer.h"
#include "tests/cli/temp_dir.h"
#include "tests/cluster/control_plane.h"
#include "tests/cluster/tcp_proxy.h"
#include "tests/e2e/process.h"
#include "tests/operator/kube/cluster/config_maps.h"
#include "tests/operator/kube/cluster/follower.h"
#include "tests/operator/kube/cluster/server_access.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using cluster::AuditLine;
using cluster::Component;
using cluster::OwnControlPlane;
using cluster::TcpProxy;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr Duration kSlack = 30s;
constexpr const char* kAgent = "follower";

class BrokenServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::optional<std::string> why = OwnControlPlane::WhyNone()) GTEST_SKIP() << *why;
    Result<OwnControlPlane> started = OwnControlPlane::Start(dir_ / "plane");
    ASSERT_TRUE(started.ok()) << started.error().message;
    plane_.emplace(std::move(started).value());
    Result<ServerAccess> access = ReadAccess(plane_->kubeconfig());
    ASSERT_TRUE(access.ok()) << access.error().message;
    proxy_.emplace(access->port);
    auto direct = Connect(*access, "direct", clock_);
    ASSERT_TRUE(direct.ok()) << direct.error().message;
    maps_.emplace(std::move(direct).value(), "followed");
    auto connected = Connect(*access, kAgent, clock_, proxy_->port());
    ASSERT_TRUE(connected.ok()) << connected.error().message;
    for (const char* name : {"stays", "goes", "changes"}) maps_->Create(name);
    follower_.emplace(std::move(connected).value(), clock_, maps_->ns());
    ExpectConverges();
  }

  static void ExpectOk(const Status& status) { ASSERT_TRUE(status.ok()) << status.error().message; }
  void ExpectConverges(Duration within = kSlack) {
    EXPECT_TRUE(follower_->ComesToKnow(maps_->List(), within)) << follower_->last_problem();
    EXPECT_THAT(follower_->told().Wrong(), IsEmpty());
  }
  // Breaks while the informer cannot look, so that it misses what is done before Back().
  void Away() { proxy_->GoSilent(); }
  void Back() {
    proxy_->PassThrough();
    proxy_->Reset();
  }
  std::uint64_t Relists() {
    std::uint64_t all = 0;
    for (const std::uint64_t of_a_reason : follower_->counts().relists) all += of_a_reason;
    return all;
  }
  std::vector<std::string> Lists() {
    std::vector<std::string> uris;
    const auto lines = plane_->Requests(kAgent);
    if (!lines.ok()) return uris;
    for (const AuditLine& line : *lines) {
      if (line.verb == "list" && line.code == 200) uris.push_back(line.uri);
    }
    return uris;
  }

  const cli::TempDir dir_;
  const SystemClock clock_;
  std::optional<OwnControlPlane> plane_;
  std::optional<TcpProxy> proxy_;
  std::optional<ConfigMaps> maps_;
  std::optional<Follower> follower_;
};

// R3, R8, F4: what went while the versions expired is told as gone, once. Before that the same of a
// server that is only started again, which may go on from the version before, or not.
TEST_F(BrokenServerTest, R3R4R8_FollowsAServerThatIsKilledAndOneThatForgets) {
  ExpectOk(plane_->Stop(Component::kApiServer));
  Away();
  ExpectOk(plane_->StartAgain(Component::kApiServer));
  maps_->Delete("goes");
  maps_->Change("changes");
  maps_->Create("comes");
  EXPECT_EQ(follower_->told().Went("goes"), 0);
  Back();
  ExpectConverges();
  EXPECT_EQ(follower_->told().Went("goes"), 1);
  const std::uint64_t relists = Relists();
  EXPECT_LE(relists, 1U);

  Away();
  maps_->Delete("comes");
  maps_->Delete("changes");
  maps_->Create("changes");  // another of that name
  ExpectOk(plane_->ExpireVersions());
  EXPECT_EQ(follower_->told().Went("comes"), 0);
  Back();
  ExpectConverges();
  EXPECT_EQ(follower_->told().Went("comes"), 1);
  EXPECT_EQ(follower_->told().Went("changes"), 1);
  EXPECT_EQ(follower_->told().Came("changes"), 2);
  EXPECT_EQ(Relists(), relists + 1);
  EXPECT_GE(follower_->counts().RelistsFor(RelistReason::kExpired), 1U);

  // R1: no list went back behind what was known, and none asked etcd for the newest.
  follower_.reset();
  EXPECT_TRUE(e2e::TimeUntil(kSlack, [&] { return Lists().size() >= 1 + relists + 1; }));
  const std::vector<std::string> lists = Lists();
  ASSERT_EQ(lists.size(), 1 + relists + 1);
  EXPECT_THAT(lists[0], HasSubstr("resourceVersion=0"));
  for (std::size_t i = 1; i < lists.size(); ++i) {
    EXPECT_THAT(lists[i], HasSubstr("resourceVersionMatch=NotOlderThan"));
  }
}

// R2, R5: a server that stands still holds nobody for longer than a watch may take, and is not
// asked in a loop.
TEST_F(BrokenServerTest, R2R5_OutlivesAServerThatStandsStill) {
  const WatcherCounts before = follower_->counts();
  const Time still_since = clock_.Steady();
  ExpectOk(plane_->Freeze(Component::kApiServer));
  // One that was under way and one that never began are given up.
  EXPECT_TRUE(e2e::TimeUntil(2 * Follower::kGivesUpWithin + kSlack,
                             [&] { return follower_->counts().watches >= before.watches + 2; }));
  const auto seconds = static_cast<std::uint64_t>((clock_.Steady() - still_since) / 1s);
  EXPECT_LE(follower_->counts().watches, before.watches + seconds + 2);
  EXPECT_EQ(follower_->Knows().size(), 3U) << "what was known stays known";
  ExpectOk(plane_->StartAgain(Component::kApiServer));
  maps_->Delete("goes");
  maps_->Create("comes");
  ExpectConverges(2 * Follower::kGivesUpWithin + kSlack);
  EXPECT_EQ(follower_->told().Went("goes"), 1);
  EXPECT_EQ(Relists(), 0U) << follower_->last_problem();  // R4
}

}  // namespace
}  // namespace backfill::kube
