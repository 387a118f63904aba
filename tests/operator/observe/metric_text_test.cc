#include "operator/observe/metric_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace backfill::observe {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// name{a=b,c=d} value
std::vector<std::string> ReadText(std::string_view text) {
  std::vector<std::string> out;
  const Status read = ParseMetricText(text, [&](const MetricSample& s) {
    std::string line(s.name);
    for (const Label& l : s.labels) line += "|" + l.name + "=" + l.value;
    out.push_back(line + " " + std::to_string(s.value));
  });
  if (!read.ok()) return {"error: " + read.error().message};
  return out;
}

TEST(MetricTextTest, ReadsWhatPrometheusClientsWrite) {
  EXPECT_THAT(ReadText("# HELP http_requests_total Requests.\n"
                       "# TYPE http_requests_total counter\n"
                       "http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n"
                       "http_requests_total{method=\"post\",code=\"400\"}    3 1395066363000\n"
                       "\n"
                       "no_labels 12.5\n"
                       "empty_labels{} 1e-3\n"
                       "  spread { a = \"1\" , b=\"2\", } \t -4\t-5\n"
                       "ns:rule_name:sum 7\r\n"),
              ElementsAre("http_requests_total|method=post|code=200 1027.000000",
                          "http_requests_total|method=post|code=400 3.000000",
                          "no_labels 12.500000", "empty_labels 0.001000",
                          "spread|a=1|b=2 -4.000000", "ns:rule_name:sum 7.000000"));
}

TEST(MetricTextTest, ReadsOpenMetricsWithExemplars) {
  EXPECT_THAT(
      ReadText("# TYPE foo histogram\n"
               "foo_bucket{le=\"0.1\"} 8 # {} 0.054\n"
               "foo_bucket{le=\"1.0\"} 10 # {trace_id=\"KOO5S4vxi0o\"} 0.67\n"
               "foo_bucket{le=\"+Inf\"} 17 1.5 # {trace_id=\"oHg5SJYRHA0\"} 9.8 1520879607.789\n"
               "# UNIT foo seconds\n"
               "# EOF\n"),
      ElementsAre("foo_bucket|le=0.1 8.000000", "foo_bucket|le=1.0 10.000000",
                  "foo_bucket|le=+Inf 17.000000"));
  EXPECT_THAT(ReadText("a 1\n# EOF"), ElementsAre("a 1.000000"));
}

TEST(MetricTextTest, UndoesEscapesInLabels) {
  EXPECT_THAT(ReadText(R"(a{p="C:\\D\"F\"\n",q="\x{}"} 1)"
                       "\n"),
              ElementsAre("a|p=C:\\D\"F\"\n|q=\\x{} 1.000000"));
}

TEST(MetricTextTest, LabelsOfOneLineAreNotThoseOfTheNext) {
  EXPECT_THAT(ReadText("a{x=\"1\",y=\"2\"} 1\nb{z=\"3\"} 2\nc 3\n"),
              ElementsAre("a|x=1|y=2 1.000000", "b|z=3 2.000000", "c 3.000000"));
}

TEST(MetricTextTest, OneBadLineSpoilsAll) {
  for (const char* bad : {"<html>",
                          "a",
                          "a b",
                          "a{",
                          "a{x} 1",
                          "a{x=} 1",
                          "a{x=1} 1",
                          "a{x=\"1} 1",
                          "a{x=\"1\" 1",
                          "a{x=\"1\"y=\"2\"} 1",
                          "a{x=\"1\"}",
                          "a{,} 1",
                          "a{x=\"1\",x=\"2\"} 1",
                          "1a 2",
                          "a 1 2 3",
                          "a 1 x",
                          "a 0x10",
                          "a 1_000",
                          "a nanx",
                          "a --1",
                          "a +-1",
                          "a 1e999",
                          "a nan(1)",
                          "a 1 # {x=\"1\"}",
                          "a 1 # {x=\"1\"} y",
                          "a 1 # x",
                          "{a=\"1\"} 2",
                          "a{x=\"\\\"} 1",
                          "a{:x=\"1\"} 1"}) {
    EXPECT_THAT(ReadText("good 1\n" + std::string(bad) + "\n"),
                ElementsAre("error: line 2: is not a sample in Prometheus' text format"))
        << bad;
  }
}

TEST(MetricTextTest, WhatWasCutOffIsNotRead) {
  EXPECT_THAT(ReadText("a 1\nb 12"),
              ElementsAre("error: line 2: has no end, so something was cut off"));
  EXPECT_THAT(ReadText("a 1\n# EOF\nb 2\n"), ElementsAre("error: line 3: stands behind the end"));
  EXPECT_THAT(ReadText(""), IsEmpty());
}

TEST(MetricTextTest, LinesAndLabelsAreBounded) {
  const std::string long_line = "a{x=\"" + std::string(70'000, 'y') + "\"} 1\n";
  EXPECT_THAT(ReadText(long_line), ElementsAre("error: line 1: is longer than 64 KiB"));
  std::string labels;
  for (int i = 0; i < 65; ++i) labels += "l" + std::to_string(i) + "=\"v\",";
  EXPECT_THAT(ReadText("a{" + labels + "} 1\n"),
              ElementsAre("error: line 1: is not a sample in Prometheus' text format"));
}

TEST(MetricTextTest, ReadsNumbersAsGoWritesThem) {
  const auto number = [](std::string_view text) {
    double out = -1;
    EXPECT_TRUE(ParseMetricNumber(text, out)) << text;
    return out;
  };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(std::isnan(number("NaN")));
  EXPECT_EQ(number("+Inf"), kInfinity);
  EXPECT_EQ(number("Inf"), kInfinity);
  EXPECT_EQ(number("-Inf"), -kInfinity);
  EXPECT_EQ(number("+1.5e+3"), 1500);
  EXPECT_EQ(number("-.5"), -0.5);
  EXPECT_EQ(number("1e-400"), 0);
  EXPECT_EQ(number("9007199254740993"), 9007199254740992.0);
  double out = 0;
  for (const char* bad : {"", " 1", "1 ", "+", "-", ".", "1e", "e5", "0x1p-2", "1e400", "--1"})
    EXPECT_FALSE(ParseMetricNumber(bad, out)) << bad;
}

}  // namespace
}  // namespace backfill::observe
