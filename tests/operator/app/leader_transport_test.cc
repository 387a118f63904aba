#include "operator/app/leader_transport.h"

#include <gtest/gtest.h>

#include "tests/fakes/fake_api_server.h"

namespace backfill::app {
namespace {

class LeaderTransportTest : public ::testing::Test {
 protected:
  Result<kube::HttpResponse> Send(kube::HttpMethod method) {
    return transport_.Send({.method = method, .target = "/api/v1/namespaces/shop/configmaps/a"},
                           clock_.Steady() + std::chrono::seconds(1), {});
  }
  fakes::ManualClock clock_;
  fakes::FakeApiServer server_{clock_};
  bool leads_ = true;
  LeaderTransport transport_{server_, [this](Time) { return leads_; }, clock_};
};

TEST_F(LeaderTransportTest, R38_OnlyReadsLeaveWhoDoesNotLead) {
  EXPECT_TRUE(Send(kube::HttpMethod::kDelete).ok());
  leads_ = false;
  const int before = server_.Count();
  for (const auto method : {kube::HttpMethod::kPost, kube::HttpMethod::kPut,
                            kube::HttpMethod::kPatch, kube::HttpMethod::kDelete}) {
    const auto sent = Send(method);
    ASSERT_FALSE(sent.ok());
    EXPECT_EQ(sent.error().code, ErrorCode::kAborted);
  }
  EXPECT_EQ(server_.Count(), before);
  EXPECT_TRUE(Send(kube::HttpMethod::kGet).ok());
}

}  // namespace
}  // namespace backfill::app
