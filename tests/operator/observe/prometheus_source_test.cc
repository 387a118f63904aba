#include "operator/observe/prometheus_source.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "operator/observe/json_source.h"
#include "operator/observe/scrape_source.h"
#include "tests/operator/observe/fake_servers.h"

namespace backfill::observe {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using throttle::Answer;

const std::string kA = "http://a:9090", kB = "http://b:9090";

std::string Scalar(double at, double value) {
  return fmt::format(
      R"({{"status":"success","data":{{"resultType":"scalar","result":[{},"{}"]}}}})", at, value);
}
const std::string kNothing = R"({"status":"success","data":{"resultType":"vector","result":[]}})";

class PrometheusSourceTest : public testing::Test {
 protected:
  void Use(PrometheusQuery query) {
    if (query.addresses.empty()) query.addresses = {kA};
    if (query.query.empty()) query.query = "up";
    source_ = std::make_unique<PrometheusSource>(std::move(query), servers_, clock_);
  }
  Reply Ask(Duration within = 5s) {
    return source_->Ask(clock_.Steady() + within, std::stop_token());
  }

  fakes::ManualClock clock_;
  FakeServers servers_{clock_};
  std::unique_ptr<PrometheusSource> source_;
};

TEST_F(PrometheusSourceTest, PostsTheQueryAsAFormAndLeavesTheTimeToPrometheus) {
  Use({.query = "rate(x{a=\"b c\"}[1m]) > 0 & 1"});
  servers_.Answer(kA, 200, Scalar(100, 2));
  EXPECT_EQ(Ask().observation.value, 2);
  const auto& request = servers_.asked.at(0).request;
  EXPECT_EQ(request.method, kube::HttpMethod::kPost);
  EXPECT_EQ(request.target, "/api/v1/query");
  EXPECT_EQ(request.content_type, "application/x-www-form-urlencoded");
  EXPECT_EQ(request.body,
            "query=rate%28x%7Ba%3D%22b%20c%22%7D%5B1m%5D%29%20%3E%200%20%26%201&timeout=5000ms");
  EXPECT_EQ(request.max_response_bytes, std::size_t{1} << 20);
}

TEST_F(PrometheusSourceTest, WithoutAFreshnessQueryAValueIsAsOldAsTheQuestion) {
  Use({});
  servers_.Delay(kA, 2s);
  servers_.Answer(kA, 200, Scalar(100, 2));
  const Time asked = clock_.Steady();
  EXPECT_EQ(Ask().observation.time, asked);
}

TEST_F(PrometheusSourceTest, TheAgeOfASampleIsReckonedByPrometheusClockAlone) {
  Use({.freshness_query = "timestamp(up)"});
  for (const double skew : {0.0, 1e6, -1e6}) {
    servers_.asked.clear();
    servers_.Answer(kA, 200, Scalar(2e6 + skew, 2e6 + skew - 12));
    servers_.Answer(kA, 200, Scalar(2e6 + skew, 0.5));
    const Reply reply = Ask();
    EXPECT_EQ(reply.observation.value, 0.5);
    EXPECT_EQ(reply.observation.time, clock_.Steady() - 12s);
    ASSERT_EQ(servers_.asked.size(), 2U);
    EXPECT_THAT(servers_.asked[0].request.body, HasSubstr("timestamp"))
        << "asked first, so that a scrape in between makes nothing younger";
  }
}

TEST_F(PrometheusSourceTest, SeveralSeriesAreAsOldAsTheOldest) {
  const std::string times =
      R"({"status":"success","data":{"resultType":"vector","result":[)"
      R"({"metric":{"a":"1"},"value":[100,"95"]},{"metric":{"a":"2"},"value":[100,"70"]}]}})";
  Use({.freshness_query = "timestamp(up)", .reduce = Reduce::kSum});
  servers_.Answer(kA, 200, times);
  servers_.Answer(kA, 200, Scalar(100, 1));
  EXPECT_EQ(Ask().observation.time, clock_.Steady() - 30s);
  Use({.freshness_query = "timestamp(up)"});
  servers_.Answer(kA, 200, times);
  servers_.Answer(kA, 200, Scalar(100, 1));
  EXPECT_EQ(Ask().observation.answer, Answer::kError);
}

TEST_F(PrometheusSourceTest, AValueOfUnknownAgeIsNoValue) {
  Use({.freshness_query = "timestamp(up)"});
  servers_.Answer(kA, 200, kNothing);
  servers_.Answer(kA, 200, Scalar(100, 0));
  const Reply reply = Ask();
  EXPECT_EQ(reply.observation.answer, Answer::kNoData);
  EXPECT_THAT(reply.observation.detail, HasSubstr("freshnessQuery"));
}

TEST_F(PrometheusSourceTest, AFreshnessThatIsNoTimeIsAnError) {
  Use({.freshness_query = "up"});
  servers_.Answer(kA, 200, Scalar(1.7e9, 1));
  servers_.Answer(kA, 200, Scalar(1.7e9, 0));
  const Reply reply = Ask();
  EXPECT_EQ(reply.observation.answer, Answer::kError);
  EXPECT_THAT(reply.observation.detail, HasSubstr("1 is not a time"));
  EXPECT_FALSE(reply.provider_failed);
}

TEST_F(PrometheusSourceTest, ATimeInTheFutureIsPassedOn) {
  Use({.freshness_query = "timestamp(up)"});
  servers_.Answer(kA, 200, Scalar(100, 107));
  servers_.Answer(kA, 200, Scalar(100, 1));
  EXPECT_EQ(Ask().observation.time, clock_.Steady() + 7s);
}

TEST_F(PrometheusSourceTest, ReplicasAreTriedInTurnAndTheOneThatServedStaysFirst) {
  Use({.addresses = {kA, kB}});
  servers_.Answer(kA, 503, "");
  servers_.Answer(kB, 200, Scalar(100, 1));
  servers_.Answer(kB, 200, Scalar(100, 2));
  EXPECT_EQ(Ask().observation.value, 1);
  EXPECT_EQ(Ask().observation.value, 2);
  ASSERT_EQ(servers_.asked.size(), 3U);
  EXPECT_EQ(servers_.asked[2].server, kB);
}

TEST_F(PrometheusSourceTest, AReplicaThatHangsLeavesTimeForTheNext) {
  Use({.addresses = {kA, kB}});
  servers_.Delay(kA, 1h);
  servers_.Answer(kB, 200, Scalar(100, 1));
  EXPECT_EQ(Ask(4s).observation.value, 1);
  EXPECT_EQ(servers_.asked[0].left, 2s);
  EXPECT_EQ(servers_.asked[1].left, 2s);
}

TEST_F(PrometheusSourceTest, IfNoneServesTheFirstOnesReasonIsTold) {
  Use({.addresses = {kA, kB}});
  servers_.Answer(kA, 503, "");
  const Reply reply = Ask();
  EXPECT_TRUE(reply.provider_failed);
  EXPECT_EQ(reply.observation.detail, "http://a:9090: status 503");
}

TEST_F(PrometheusSourceTest, AWrongQueryIsNotAskedOfTheNextReplica) {
  Use({.addresses = {kA, kB}});
  servers_.Answer(kA, 400, R"({"status":"error","errorType":"bad_data","error":"parse error"})");
  const Reply reply = Ask();
  EXPECT_FALSE(reply.provider_failed);
  EXPECT_EQ(reply.observation.detail, "bad_data: parse error");
  EXPECT_EQ(servers_.asked.size(), 1U);
}

TEST_F(PrometheusSourceTest, AStopIsNobodysFault) {
  Use({.addresses = {kA, kB}});
  servers_.Fail(kA, {ErrorCode::kAborted, "stopped"});
  EXPECT_FALSE(Ask().provider_failed);
  EXPECT_EQ(servers_.asked.size(), 1U);
}

TEST_F(PrometheusSourceTest, AReplyThatIsTooLargeIsTheQuestionsFault) {
  Use({});
  servers_.Fail(kA, {ErrorCode::kInvalid, "a response of more than 1048576 bytes"});
  const Reply reply = Ask();
  EXPECT_EQ(reply.observation.answer, Answer::kError);
  EXPECT_FALSE(reply.provider_failed);
}

// ---- the other two that make a request; what they make of a text is tested beside their readers

TEST_F(PrometheusSourceTest, ScrapesAUrl) {
  ScrapeSource source({.url = kA + "/metrics?x=1", .series = "queue"}, servers_, clock_);
  servers_.Answer(kA, 200, "queue 3\n");
  EXPECT_EQ(source.Ask(clock_.Steady() + 1s, {}).observation.value, 3);
  EXPECT_EQ(servers_.asked.at(0).request.target, "/metrics?x=1");
  EXPECT_THAT(servers_.asked.at(0).request.accept, HasSubstr("text/plain;version=0.0.4"));
  servers_.Answer(kA, 301, "");
  const Reply moved = source.Ask(clock_.Steady() + 1s, {});
  EXPECT_TRUE(moved.provider_failed);
  EXPECT_THAT(moved.observation.detail, HasSubstr("redirects are not followed"));
}

TEST_F(PrometheusSourceTest, ReadsJsonFromAUrl) {
  JsonSource source({.url = kA + "/lag", .pointer = "/seconds"}, servers_, clock_);
  servers_.Answer(kA, 200, R"({"seconds": 1.5})");
  const Reply reply = source.Ask(clock_.Steady() + 1s, {});
  EXPECT_EQ(reply.observation.value, 1.5);
  EXPECT_EQ(reply.observation.time, clock_.Steady());
  const Reply gone = source.Ask(clock_.Steady() + 1s, {});
  EXPECT_TRUE(gone.provider_failed);
  EXPECT_EQ(gone.observation.detail, "http://a:9090: nobody is there");
}

}  // namespace
}  // namespace backfill::observe
