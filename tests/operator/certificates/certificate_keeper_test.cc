// The keeper with its threads, over an API server in this process. Real time, but for the clock of
// the certificates, which is moved by days.
#include "operator/certificates/certificate_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/operator/certificates/kept_replica.h"
#include "tests/operator/certificates/verification.h"

namespace backfill::certificates {
namespace {

using namespace std::chrono_literals;
using fakes::Fault;

const std::string kKeptHost = "backfill-coordinator.default.svc";

class CertificateKeeperTest : public ::testing::Test {
 protected:
  void ChartInstalls() { InstallAsTheChart(server_); }
  std::string PublishedIn(const std::string& ns) { return certificates::PublishedIn(server_, ns); }

  SystemClock system_;
  MovedClock clock_;
  fakes::FakeApiServer server_{system_, fakes::FakeApiServer::Options{}};
};

TEST_F(CertificateKeeperTest, AllReplicasComeToServeWhatTheLeaderMakes) {
  KeptReplica leader(server_, clock_, true);
  KeptReplica follower(server_, clock_, false);
  ChartInstalls();
  ASSERT_TRUE(Comes([&] { return !leader.Chain().empty(); }));
  EXPECT_TRUE(Comes([&] { return follower.Chain() == leader.Chain(); }));
  // The follower takes over and finds nothing to do.
  leader.leadership.leads = false;
  follower.leadership.leads = true;
  const int writes = server_.Count({.verb = "update", .plural = "secrets"});
  std::this_thread::sleep_for(30ms);
  EXPECT_EQ(server_.Count({.verb = "update", .plural = "secrets"}), writes);
  // The role has no `list`.
  EXPECT_EQ(server_.Count({.verb = "list", .plural = "secrets"}), 0);
  for (const auto& call : server_.Calls({.verb = "watch"}))
    EXPECT_THAT(call.target,
                testing::HasSubstr("fieldSelector=metadata.name%3Dbackfill-operator-tls"));
}

TEST_F(CertificateKeeperTest, TwoThatBelieveToLeadEndWithOneCertificate) {
  ChartInstalls();
  KeptReplica one(server_, clock_, true);
  KeptReplica two(server_, clock_, true);
  ASSERT_TRUE(Comes([&] { return !one.Chain().empty() && one.Chain() == two.Chain(); }));
}

TEST_F(CertificateKeeperTest, ItFollowsWhateverTheServerDoes) {
  ChartInstalls();
  server_.FailNext(3, Fault::Status(500, "InternalError"));
  KeptReplica leader(server_, clock_, true);
  KeptReplica follower(server_, clock_, false);
  ASSERT_TRUE(Comes([&] { return !follower.Chain().empty(); }));
  const std::vector<std::function<void()>> faults = {
      [&] { server_.CutStreams("secrets"); },
      [&] { server_.EndStreams("secrets"); },
      [&] { server_.ExpireStreams("secrets"); },
      [&] { server_.SendLine("{no json", "secrets"); },
      [&] {
        server_.FailNext(5, Fault::ForbiddenByRole(), {.verb = "watch"});
        server_.CutStreams();
      },
      [&] {
        server_.GoDown();
        server_.ComeBack();
      },
      [&] {
        server_.Compact();
        server_.CutStreams();
      },
  };
  for (std::size_t i = 0; i < faults.size(); ++i) {
    SCOPED_TRACE(i);
    faults[i]();
    const std::string before = leader.Chain();
    clock_.Move(24h * 21);
    ASSERT_TRUE(Comes([&] { return leader.Chain() != before; }));
    ASSERT_TRUE(Comes([&] { return follower.Chain() == leader.Chain(); }));
  }
}

// F19, as far as certificates go: a worker whose bundle is as old as a kubelet may leave it
// connects at any moment, while certificates and authorities are renewed. It judges by the time at
// which it began: what it is shown may be younger.
TEST_F(CertificateKeeperTest, F19_WorkersConnectAcrossAllRenewals) {
  ChartInstalls();
  KeptReplica leader(server_, clock_, true);
  KeptReplica follower(server_, clock_, false);
  ASSERT_TRUE(Comes([&] { return leader.publisher->Publish("shop").ok(); }));
  ASSERT_TRUE(Comes([&] { return follower.Chain() == leader.Chain(); }));

  Mutex mu;
  std::string bundle = PublishedIn("shop");  // guarded by mu
  std::vector<std::string> failures;         // guarded by mu
  std::atomic<int> handshakes{0};
  std::jthread worker([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      for (const KeptReplica* replica : {&leader, &follower}) {
        std::string trusted;
        {
          MutexLock l(mu);
          trusted = bundle;
        }
        const auto shown = replica->keeper->Current();
        const std::string why = WhyNoHandshake(*shown, trusted, kKeptHost, clock_.Wall());
        ++handshakes;
        if (why.empty()) continue;
        MutexLock l(mu);
        if (failures.size() < 5) failures.push_back(why);
      }
    }
  });
  const std::string first_bundle = PublishedIn("shop");
  const std::string first = leader.Chain();
  // The kubelet has brought what is published before the clock moves on.
  const auto pass = [&](Duration d) {
    const int before = handshakes;
    {
      MutexLock l(mu);
      bundle = PublishedIn("shop");
    }
    clock_.Move(d);
    ASSERT_TRUE(Comes([&] {
      return *leader.keeper->Ends().server > clock_.Wall() + std::chrono::hours(24 * 10) &&
             leader.Chain() == follower.Chain() && handshakes > before + 4;
    }));
  };
  // No certificate gets older than 24 days of its 30.
  for (int day = 0; day < 250; day += 8) ASSERT_NO_FATAL_FAILURE(pass(24h * 8));
  ASSERT_TRUE(Comes([&] {
    return PublishedIn("shop").size() > first_bundle.size() &&
           leader.publisher->PublishedFor(*leader.keeper->Bundle());
  }));
  ASSERT_NO_FATAL_FAILURE(pass(10min + 1s));
  ASSERT_TRUE(Comes([&] {
    return !IsIssuedBy(leader.Chain(), first_bundle) && follower.Chain() == leader.Chain();
  }));
  ASSERT_NO_FATAL_FAILURE(pass(24h + 1s));
  EXPECT_TRUE(Comes([&] { return PublishedIn("shop").find(first_bundle) == std::string::npos; }));
  ASSERT_NO_FATAL_FAILURE(pass(1min));
  worker.request_stop();
  worker.join();
  EXPECT_NE(leader.Chain(), first);
  EXPECT_GT(handshakes, 100);
  EXPECT_THAT(failures, testing::IsEmpty());
}

}  // namespace
}  // namespace backfill::certificates
