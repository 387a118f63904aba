#include "operator/observe/preflight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "operator/observe/answers.h"

namespace backfill::observe {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;

class PreflightTest : public testing::Test {
 protected:
  void Budget(const std::string& name, Reply seen,
              throttle::OnNoTraffic on_no_traffic = throttle::OnNoTraffic::kMissing,
              bool required = true) {
    options_.budgets.push_back(
        {.name = name, .bound = 0.25, .required = required, .on_no_traffic = on_no_traffic});
    observations_.push_back(std::move(seen.observation));
    queries_.emplace_back(PrometheusQuery{.addresses = {"http://p"}, .query = "query_of_" + name});
  }
  // "" or why not.
  std::string Problem() const {
    const auto problem = Preflight(options_, observations_, queries_, now_);
    if (!problem) return "";
    EXPECT_EQ(problem->reason, "MetricUnavailable");
    EXPECT_LE(problem->message.size(), 160U);
    return problem->message;
  }

  throttle::GovernorOptions options_{.max_records_per_second = 100};
  std::vector<throttle::Observation> observations_;
  std::vector<Query> queries_;
  Time now_{1h};
};

TEST_F(PreflightTest, FreshValuesMayStart) {
  EXPECT_EQ(Problem(), "") << "without a budget there is nothing to wait for";
  Budget("p99", ValueAt(0.1, now_ - 10s));
  Budget("errors", ValueAt(0, now_));
  EXPECT_EQ(Problem(), "");
}

TEST_F(PreflightTest, TheMessageHasTheBudgetTheAnswerAndTheQuery) {
  Budget("p99", ValueAt(0.1, now_));
  Budget("errors", NoData(now_, "the query answers no series"));
  EXPECT_THAT(Problem(), AllOf(HasSubstr("errors"), HasSubstr("the query answers no series"),
                               HasSubstr("(query_of_errors)")));
}

TEST_F(PreflightTest, WhatWasNotAnsweredYetIsWaitedFor) {
  Budget("p99", Reply{});
  EXPECT_THAT(Problem(), HasSubstr("no answer yet"));
  observations_.clear();
  EXPECT_NE(Problem(), "");
}

TEST_F(PreflightTest, AnOldValueIsNone) {
  Budget("p99", ValueAt(0.1, now_ - 10min));
  EXPECT_NE(Problem(), "");
}

TEST_F(PreflightTest, WhatIsToBeProbedMayHaveNoTraffic) {
  Budget("p99", NotANumber(now_, "NaN"), throttle::OnNoTraffic::kProbe);
  EXPECT_EQ(Problem(), "");
  Budget("errors", ProviderFailed(now_, "down"), throttle::OnNoTraffic::kProbe);
  EXPECT_NE(Problem(), "") << "an error is not the absence of traffic";
}

TEST_F(PreflightTest, WhatIsNotRequiredIsNotWaitedFor) {
  Budget("p99", ProviderFailed(now_, "down"), throttle::OnNoTraffic::kMissing, false);
  EXPECT_EQ(Problem(), "");
}

TEST_F(PreflightTest, HostileTextDoesNotMakeTheMessageLong) {
  Budget("p99", ProviderFailed(now_, std::string(10'000, 'x')));
  queries_[0] = PrometheusQuery{.query = std::string(8'000, 'y')};
  EXPECT_THAT(Problem(), AllOf(HasSubstr("xxx"), HasSubstr("yyy")));
}

}  // namespace
}  // namespace backfill::observe
