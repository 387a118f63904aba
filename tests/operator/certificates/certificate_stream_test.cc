// F19 with real connections: workers stream to the coordinator's server while certificates and
// authorities are renewed.
#include "operator/coordinator/server.h"

#include "tests/operator/coordinator/session_recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/operator/certificates/kept_replica.h"
#include "tests/operator/coordinator/fake_authenticator.h"

namespace backfill::certificates {
namespace {

using coordinator::WorkerClient;
using v1::CoordinatorMessage;

constexpr Duration kOneDay = 24h;

// Clients judge by the time of this machine, so the operator's clock comes from the past up to it,
// and certificates last so long that all of them are good now.
constexpr CertificatePolicy kLongLives{.authority_lifetime = kOneDay * 1000,
                                       .server_lifetime = kOneDay * 900};

class CertificateStreamTest : public ::testing::Test {
 protected:
  CertificateStreamTest() {
    InstallAsTheChart(api_server_);
    leader_ = std::make_unique<KeptReplica>(api_server_, clock_, true, kLongLives);
    options_.listen = "127.0.0.1:0";
    options_.certificates = leader_->keeper.get();
    options_.authenticator = &authenticator_;
    recorder_.echo = true;
    server_ = std::make_unique<coordinator::Server>(options_, system_, recorder_);
    recorder_.server = server_.get();
  }
  ~CertificateStreamTest() override {
    server_.reset();
    leader_.reset();
  }

  // A worker of its own, who trusts that bundle.
  std::unique_ptr<WorkerClient> Worker(const std::string& bundle) {
    const int slot = workers_++;
    const std::string token = "token-" + std::to_string(slot);
    authenticator_.Know(token, coordinator::WorkerPod("pod-" + std::to_string(slot), slot));
    grpc::SslCredentialsOptions trust;
    trust.pem_root_certs = bundle;
    const std::string& at = server_->address();
    auto worker = std::make_unique<WorkerClient>("localhost" + at.substr(at.rfind(':')), token,
                                                 grpc::SslCredentials(trust));
    CoordinatorMessage answer;
    const bool talks =
        worker->Hello("u", "run", "run-" + std::to_string(slot)) && worker->Read(&answer);
    return talks ? std::move(worker) : nullptr;
  }
  static bool Talks(WorkerClient& worker) {
    CoordinatorMessage answer;
    return worker.Progress(1) && worker.Read(&answer);
  }
  std::string Published() { return PublishedIn(api_server_, "shop"); }

  SystemClock system_;
  MovedClock clock_{-kOneDay * 700};
  fakes::FakeApiServer api_server_{system_, fakes::FakeApiServer::Options{}};
  std::unique_ptr<KeptReplica> leader_;
  coordinator::ServerOptions options_;
  coordinator::FakeAuthenticator authenticator_;
  coordinator::SessionRecorder recorder_;
  std::unique_ptr<coordinator::Server> server_;
  int workers_ = 0;
};

TEST_F(CertificateStreamTest, F19_NoStreamEndsAndEveryWorkerConnectsAcrossAllRenewals) {
  ASSERT_TRUE(server_->Start().ok());
  ASSERT_TRUE(Comes([&] { return leader_->publisher->Publish("shop").ok(); }));
  const std::string first_bundle = Published();
  const auto stream = Worker(first_bundle);
  ASSERT_NE(stream, nullptr);
  // Each worker has the bundle that was published before the clock moved on, as a kubelet may have
  // left it, and connects after it has.
  const auto pass = [&](Duration d, const std::function<bool()>& changed) {
    const std::string bundle = Published();
    clock_.Move(d);
    ASSERT_TRUE(Comes(changed));
    EXPECT_NE(Worker(bundle), nullptr);
    EXPECT_NE(Worker(Published()), nullptr);
    EXPECT_TRUE(Talks(*stream));
  };
  const std::string first = leader_->Chain();
  ASSERT_NO_FATAL_FAILURE(pass(kOneDay * 601, [&] { return leader_->Chain() != first; }));
  const std::string second = leader_->Chain();
  ASSERT_NO_FATAL_FAILURE(pass(kOneDay * 67, [&] {
    return Published() != first_bundle &&
           leader_->publisher->PublishedFor(*leader_->keeper->Bundle());
  }));
  EXPECT_EQ(leader_->Chain(), second) << "used before it was published for long enough";
  ASSERT_NO_FATAL_FAILURE(pass(11min, [&] { return leader_->Chain() != second; }));
  EXPECT_EQ(Worker(first_bundle), nullptr) << "the old authority still serves";
  ASSERT_NO_FATAL_FAILURE(
      pass(kOneDay + 1min, [&] { return Published().find(first_bundle) == std::string::npos; }));
  // Of those who had a stream one is still there.
  EXPECT_TRUE(Comes([&] { return recorder_.gone == workers_ - 2; }));
}

}  // namespace
}  // namespace backfill::certificates
