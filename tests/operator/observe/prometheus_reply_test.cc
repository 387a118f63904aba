#include "operator/observe/prometheus_reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace backfill::observe {
namespace {

using testing::HasSubstr;
using throttle::Answer;

std::string Success(const std::string& data, const std::string& more = "") {
  return R"({"status":"success","data":)" + data + more + "}";
}
std::string Vector(const std::string& result) {
  return Success(R"({"resultType":"vector","result":[)" + result + "]}");
}
std::string Series(const std::string& instance, const std::string& value) {
  return R"({"metric":{"instance":")" + instance + R"("},"value":[1435781451.781,")" + value +
         R"("]})";
}
QueryReply ReadReply(const std::string& body, int status = 200, Reduce reduce = Reduce::kNone) {
  return ReadQueryReply(status, body, reduce);
}

TEST(PrometheusReplyTest, OneSeriesIsAValue) {
  const QueryReply reply = ReadReply(Vector(Series("a", "0.25")));
  EXPECT_EQ(reply.answer, Answer::kValue);
  EXPECT_EQ(reply.value, 0.25);
  EXPECT_EQ(reply.evaluated_at, 1435781451.781);
  EXPECT_EQ(reply.detail, "");
  EXPECT_FALSE(reply.provider_failed);
}

TEST(PrometheusReplyTest, AScalarIsAValue) {
  const QueryReply reply =
      ReadReply(Success(R"({"resultType":"scalar","result":[1435781451,"-3e2"]})"));
  EXPECT_EQ(reply.answer, Answer::kValue);
  EXPECT_EQ(reply.value, -300);
}

TEST(PrometheusReplyTest, NoSeriesIsNotZero) {
  const QueryReply reply = ReadReply(Vector(""));
  EXPECT_EQ(reply.answer, Answer::kNoData);
  EXPECT_FALSE(reply.provider_failed);
}

TEST(PrometheusReplyTest, WhatIsNotFiniteIsNotANumber) {
  for (const char* value : {"NaN", "+Inf", "-Inf"}) {
    const QueryReply reply = ReadReply(Vector(Series("a", value)));
    EXPECT_EQ(reply.answer, Answer::kNotANumber);
    EXPECT_THAT(reply.detail, HasSubstr(value));
  }
}

TEST(PrometheusReplyTest, SeveralSeriesAreAnErrorUnlessReduced) {
  const std::string body =
      Vector(Series("a", "1") + "," + Series("b", "4") + "," + Series("c", "1"));
  const QueryReply none = ReadReply(body);
  EXPECT_EQ(none.answer, Answer::kError);
  EXPECT_THAT(none.detail, HasSubstr("3 series where one is needed"));
  EXPECT_THAT(none.detail, HasSubstr("instance"));
  EXPECT_FALSE(none.provider_failed) << "the query is at fault";
  EXPECT_EQ(ReadReply(body, 200, Reduce::kMax).value, 4);
  EXPECT_EQ(ReadReply(body, 200, Reduce::kMin).value, 1);
  EXPECT_EQ(ReadReply(body, 200, Reduce::kSum).value, 6);
  EXPECT_EQ(ReadReply(body, 200, Reduce::kAvg).value, 2);
}

TEST(PrometheusReplyTest, WhatOneSeriesDoesNotKnowDoesNotVanishInAMaximum) {
  const std::string body = Vector(Series("a", "1") + "," + Series("b", "NaN"));
  for (const Reduce reduce : {Reduce::kMax, Reduce::kMin, Reduce::kSum, Reduce::kAvg})
    EXPECT_EQ(ReadReply(body, 200, reduce).answer, Answer::kNotANumber);
  EXPECT_EQ(ReadReply(Vector(Series("a", "1e308") + "," + Series("b", "1e308")), 200, Reduce::kSum)
                .answer,
            Answer::kNotANumber);
}

TEST(PrometheusReplyTest, OtherResultsSayWhatToWrite) {
  const auto error = [](const std::string& data) {
    const QueryReply reply = ReadReply(Success(data));
    EXPECT_EQ(reply.answer, Answer::kError);
    EXPECT_FALSE(reply.provider_failed);
    return reply.detail;
  };
  EXPECT_THAT(error(R"({"resultType":"matrix","result":[]})"), HasSubstr("rate()"));
  EXPECT_THAT(error(R"({"resultType":"string","result":[1,"x"]})"), HasSubstr("a text"));
  EXPECT_THAT(error(R"({"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]})"),
              HasSubstr("histogram_quantile()"));
  EXPECT_THAT(error(R"({"resultType":"vector","result":[{"metric":{},"value":[1]}]})"),
              HasSubstr("without a value"));
}

TEST(PrometheusReplyTest, WarningsAreShown) {
  const QueryReply reply = ReadReply(Success(R"({"resultType":"scalar","result":[1,"2"]})",
                                             R"(,"warnings":["partial\nresponse"])"));
  EXPECT_EQ(reply.answer, Answer::kValue);
  EXPECT_EQ(reply.detail, "warning: partial response");
}

TEST(PrometheusReplyTest, AWrongQueryIsNotTheProvidersFault) {
  const QueryReply bad = ReadReply(
      R"({"status":"error","errorType":"bad_data","error":"1:5: parse error: unexpected <eof>"})",
      400);
  EXPECT_EQ(bad.answer, Answer::kError);
  EXPECT_EQ(bad.detail, "bad_data: 1:5: parse error: unexpected <eof>");
  EXPECT_FALSE(bad.provider_failed);
  EXPECT_FALSE(
      ReadReply(R"({"status":"error","errorType":"execution","error":"many-to-many"})", 422)
          .provider_failed);
}

TEST(PrometheusReplyTest, WhoDoesNotServeIsToBlame) {
  const std::pair<int, const char*> cases[] = {
      {503, R"({"status":"error","errorType":"timeout","error":"query timed out"})"},
      {503, R"({"status":"error","errorType":"canceled","error":"x"})"},
      {500, R"({"status":"error","errorType":"internal","error":"x"})"},
      {500, ""},
      {401, "Unauthorized"},
      {403, R"({"status":"error","errorType":"bad_data","error":"x"})"},
      {404, "404 page not found"},
      {302, ""},
      {200, "<!DOCTYPE html><html>login</html>"},
      {502, " \n<html><h1>Bad Gateway"},
      {200, ""},
      {200, "[]"},
      {200, R"({"status":"success"})"},
      {200, R"({"status":"success","data":{"resultType":"vector","result":[{"metric":)"},
      {200, R"({"status":"success","data":{"resultType":"vector","result":{}}})"},
      {200, R"({"status":7,"data":{}})"},
  };
  for (const auto& [status, body] : cases) {
    const QueryReply reply = ReadReply(body, status);
    EXPECT_EQ(reply.answer, Answer::kError) << body;
    EXPECT_TRUE(reply.provider_failed) << body;
    EXPECT_NE(reply.detail, "") << body;
  }
  EXPECT_THAT(ReadReply("<html>", 200).detail, HasSubstr("HTML"));
  EXPECT_THAT(ReadReply("", 302).detail, HasSubstr("redirects are not followed"));
}

QueryReply ReadPartitions(const std::string& series, std::string_view label = "instance") {
  return ReadQueryReply(200, Vector(series), Reduce::kMax, label);
}

TEST(PrometheusReplyTest, WithALabelEachSeriesIsAPartition) {
  const QueryReply reply = ReadPartitions(Series("eu", "0.25") + "," + Series("us", "0.5"));
  EXPECT_EQ(reply.answer, Answer::kValue);
  EXPECT_EQ(reply.value, 0.5) << "the worst stands for all";
  ASSERT_EQ(reply.partitions.size(), 2U);
  EXPECT_EQ(reply.partitions.at("eu").answer, Answer::kValue);
  EXPECT_EQ(reply.partitions.at("eu").value, 0.25);
}

TEST(PrometheusReplyTest, APartitionWithoutANumberConcernsNoOther) {
  const QueryReply reply = ReadPartitions(Series("eu", "NaN") + "," + Series("us", "0.5"));
  EXPECT_EQ(reply.answer, Answer::kValue);
  EXPECT_EQ(reply.value, 0.5);
  EXPECT_EQ(reply.partitions.at("eu").answer, Answer::kNotANumber);
  EXPECT_EQ(reply.partitions.at("us").answer, Answer::kValue);
  EXPECT_EQ(ReadPartitions(Series("eu", "+Inf")).answer, Answer::kNotANumber);
}

TEST(PrometheusReplyTest, PartitionsThatCannotBeToldApartAreAnError) {
  std::string many;
  for (std::size_t i = 0; i <= kMaxPartitions; ++i)
    many += (many.empty() ? "" : ",") + Series("p" + std::to_string(i), "1");
  const struct {
    std::string series, label, says;
  } cases[] = {
      {Series("eu", "1"), "region", "without the label region"},
      {Series("", "1"), "instance", "without the label instance"},
      {Series("eu", "1") + "," + Series("eu", "2"), "instance", "several series of the partition"},
      {many, "instance", "at most 64 partitions"},
      {Series(std::string(65, 'x'), "1"), "instance", "more than 64 bytes"},
  };
  for (const auto& [series, label, says] : cases) {
    const QueryReply reply = ReadPartitions(series, label);
    EXPECT_EQ(reply.answer, Answer::kError);
    EXPECT_THAT(reply.detail, HasSubstr(says));
    EXPECT_TRUE(reply.partitions.empty());
    EXPECT_FALSE(reply.provider_failed);
  }
}

TEST(PrometheusReplyTest, OneNumberIsNoPartition) {
  const QueryReply reply = ReadQueryReply(
      200, Success(R"({"resultType":"scalar","result":[1435781451,"1"]})"), Reduce::kMax, "region");
  EXPECT_EQ(reply.answer, Answer::kError);
  EXPECT_EQ(ReadPartitions("").answer, Answer::kNoData);
}

TEST(PrometheusReplyTest, AProxysPageIsNotRepeated) {
  const QueryReply reply = ReadReply("<html>you sent Authorization: Bearer s3cret</html>", 400);
  EXPECT_THAT(reply.detail, testing::Not(HasSubstr("s3cret")));
}

TEST(PrometheusReplyTest, HostileTextStaysShortAndOneLine) {
  const std::string long_text(100'000, 'x');
  const QueryReply error = ReadReply(
      R"({"status":"error","errorType":"bad_data","error":"\u001b[2J)" + long_text + R"("})", 400);
  EXPECT_LE(error.detail.size(), 200U);
  EXPECT_THAT(error.detail, testing::Not(HasSubstr("\x1b")));
  const QueryReply series = ReadReply(Vector(Series(long_text, "1") + "," + Series("b", "1")));
  EXPECT_LE(series.detail.size(), 200U);
  EXPECT_EQ(ReadReply(std::string(10'000, '[')).answer, Answer::kError);
}

}  // namespace
}  // namespace backfill::observe
