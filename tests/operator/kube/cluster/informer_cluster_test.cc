// An informer of a real API server, over a network that fails in all the ways of a proxy.
#include "operator/kube/cache/informer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
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
using cluster::ControlPlane;
using cluster::TcpProxy;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// For a machine that does something else.
constexpr Duration kSlack = 30s;

class InformerClusterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<ControlPlane> shared = ControlPlane::Shared();
    if (!shared.ok()) GTEST_SKIP() << shared.error().message;
    plane_.emplace(std::move(shared).value());
    Result<ServerAccess> access = ReadAccess(plane_->kubeconfig());
    ASSERT_TRUE(access.ok()) << access.error().message;
    access_ = std::move(access).value();
    proxy_.emplace(access_.port);
    auto direct = Connect(access_, "informer-test-direct", clock_);
    ASSERT_TRUE(direct.ok()) << direct.error().message;
    maps_.emplace(std::move(direct).value(), "informer-test-" + id_);
  }

  // By way of the proxy. Returns when a watch is open.
  void Follow() {
    auto connected = Connect(access_, Agent(), clock_, proxy_->port());
    ASSERT_TRUE(connected.ok()) << connected.error().message;
    follower_.emplace(std::move(connected).value(), clock_, maps_->ns());
    ASSERT_TRUE(follower_->ComesToKnow(maps_->List(), kSlack)) << follower_->last_problem();
    maps_->Create("seen-by-watch");
    ASSERT_TRUE(follower_->ComesToKnow(maps_->List(), kSlack)) << follower_->last_problem();
  }
  [[nodiscard]] std::string Agent() const { return "follows-" + id_; }
  void ExpectConverges(Duration within = kSlack) {
    EXPECT_TRUE(follower_->ComesToKnow(maps_->List(), within)) << follower_->last_problem();
    EXPECT_THAT(follower_->told().Wrong(), IsEmpty());
  }
  // What the API server has noted of us, once there is that much of it.
  std::vector<AuditLine> Asked(const std::string& verb, std::size_t at_least) {
    std::vector<AuditLine> asked;
    e2e::TimeUntil(kSlack, [&] {
      asked = plane_->Requests(Agent()).value();
      std::erase_if(asked, [&](const AuditLine& line) {
        return line.verb != verb || (verb == "watch" && line.stage != "ResponseStarted");
      });
      return asked.size() >= at_least;
    });
    return asked;
  }
  // Of all after the first list.
  void ExpectNeverListedAgain() {
    follower_.reset();
    EXPECT_THAT(Asked("list", 1), SizeIs(1));
  }

  const std::string id_ = RandomHex(4);
  const SystemClock clock_;
  std::optional<ControlPlane> plane_;
  ServerAccess access_;
  std::optional<TcpProxy> proxy_;
  std::optional<ConfigMaps> maps_;
  std::optional<Follower> follower_;
};

// R1: of a version that the server has at hand, once; then watches that go on from it, each from
// where the last one came to. R2: bookmarks, and an end.
TEST_F(InformerClusterTest, R1R2_ListsOnceAndWatchesOn) {
  maps_->Create("early");
  Follow();
  const std::string first_version = follower_->Knows().at("early");
  maps_->Create("late");
  maps_->Change("early");
  maps_->Create("brief");
  maps_->Delete("brief");
  ExpectConverges();
  // Also over the end of a watch.
  const std::uint64_t watches = follower_->counts().watches;
  EXPECT_TRUE(e2e::TimeUntil(Follower::kGivesUpWithin + kSlack,
                             [&] { return follower_->counts().watches > watches; }));
  maps_->Delete("late");
  maps_->Create("late");  // another of that name
  ExpectConverges();
  EXPECT_EQ(follower_->told().Came("late"), 2);
  EXPECT_EQ(follower_->told().Went("late"), 1);
  EXPECT_EQ(follower_->told().Went("brief"), 1);
  EXPECT_NE(follower_->Knows().at("early"), first_version);
  EXPECT_EQ(follower_->counts().failures, 0U) << follower_->last_problem();
  EXPECT_EQ(follower_->counts().broken_lines, 0U);

  follower_.reset();
  EXPECT_THAT(
      Asked("list", 1),
      AllOf(SizeIs(1), Each(Field(&AuditLine::uri,
                                  AllOf(HasSubstr("limit=500"), HasSubstr("resourceVersion=0"),
                                        Not(HasSubstr("resourceVersionMatch")))))));
  const std::vector<AuditLine> asked = Asked("watch", 2);
  EXPECT_GE(asked.size(), 2U);
  EXPECT_THAT(asked, Each(Field(&AuditLine::uri,
                                AllOf(HasSubstr("allowWatchBookmarks=true"),
                                      HasSubstr("timeoutSeconds="), HasSubstr("resourceVersion="),
                                      Not(HasSubstr("resourceVersion=0&"))))));
  EXPECT_THAT(asked, Each(Field(&AuditLine::code, 200)));
}

// R2, F5: a connection that is open and silent. It is given up by the client, and what happened
// meanwhile is told by the next watch (R4).
TEST_F(InformerClusterTest, R2_GivesUpAWatchThatIsSilent) {
  maps_->Create("stays");
  maps_->Create("goes");
  Follow();
  proxy_->GoSilent();
  const int accepted = proxy_->accepted();
  maps_->Delete("goes");
  maps_->Change("stays");
  ASSERT_TRUE(e2e::TimeUntil(Follower::kGivesUpWithin + kSlack, [&] {
    return proxy_->accepted() > accepted;
  })) << "the silent watch is still believed";
  EXPECT_EQ(follower_->told().Went("goes"), 0);
  proxy_->PassThrough();
  ExpectConverges(Follower::kGivesUpWithin + kSlack);
  EXPECT_EQ(follower_->told().Went("goes"), 1);
  ExpectNeverListedAgain();
}

// R7: an event has its end where the line has, wherever the bytes are cut.
TEST_F(InformerClusterTest, R7_TakesEventsThatDrip) {
  Follow();
  proxy_->Drip(97, 2ms);
  for (int i = 0; i < 30; ++i) maps_->Stir();
  ExpectConverges();
  EXPECT_EQ(follower_->counts().broken_lines, 0U);
  ExpectNeverListedAgain();
}

// R4, R7: an event that is cut off is not told; the next watch tells it.
TEST_F(InformerClusterTest, R4_WatchesOnAfterACutWithinAnEvent) {
  Follow();
  for (std::uint64_t bytes = 1; bytes < 6000; bytes += 797) {
    const int accepted = proxy_->accepted();
    proxy_->CutAfter(bytes);
    EXPECT_TRUE(e2e::TimeUntil(kSlack, [&] {
      maps_->Stir();
      return proxy_->accepted() > accepted;
    })) << "nothing was cut";
  }
  ExpectConverges();
  EXPECT_EQ(follower_->counts().broken_lines, 0U);
  ExpectNeverListedAgain();
}

TEST_F(InformerClusterTest, R4_WatchesOnAfterResetsAndCloses) {
  Follow();
  for (int i = 0; i < 20; ++i) {
    for (int j = 0; j < 4; ++j) maps_->Stir();
    if (i % 2 == 0) {
      proxy_->Reset();
    } else {
      proxy_->Close();
    }
    // Not only connections that are being made.
    EXPECT_TRUE(e2e::TimeUntil(kSlack, [&] { return proxy_->open() > 0; }));
  }
  ExpectConverges();
  ExpectNeverListedAgain();
}

// R5: a list that does not come, at the very beginning.
TEST_F(InformerClusterTest, R5_ListsAtLastWhereTheNetworkComesLate) {
  for (int i = 0; i < 4; ++i) maps_->Create("waiting-" + std::to_string(i));
  proxy_->CutAfter(3000);  // within the first list, or the handshake before it
  Follow();
  ExpectConverges();
  EXPECT_GE(follower_->counts().failures, 1U);
}

}  // namespace
}  // namespace backfill::kube
