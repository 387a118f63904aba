#include "operator/observe/scrape_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace backfill::observe {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using throttle::Answer;
using throttle::Observation;

class ScrapeReaderTest : public testing::Test {
 protected:
  void Ask(ScrapeAs as, std::string series, Reduce reduce = Reduce::kNone, double quantile = 0.5) {
    reader_.emplace(ScrapeQuery{.url = "http://t/metrics",
                                .series = std::move(series),
                                .as = as,
                                .quantile = quantile,
                                .window = 60s,
                                .reduce = reduce});
  }
  Observation Scrape(const std::string& text, Duration later = 10s) {
    now_ += later;
    const Reply reply = reader_->Read(text, now_);
    provider_failed_ = reply.provider_failed;
    return reply.observation;
  }

  std::optional<ScrapeReader> reader_;
  Time now_{1h};
  bool provider_failed_ = false;
};

TEST_F(ScrapeReaderTest, AValueIsAsOldAsTheAnswer) {
  Ask(ScrapeAs::kValue, R"(queue{name="a"})");
  const Observation seen = Scrape("queue{name=\"a\"} 7\nqueue{name=\"b\"} 8\nqueue 9\n");
  EXPECT_EQ(seen.answer, Answer::kValue);
  EXPECT_EQ(seen.value, 7);
  EXPECT_EQ(seen.time, now_);
}

TEST_F(ScrapeReaderTest, ASeriesThatIsNotThereIsNoData) {
  Ask(ScrapeAs::kValue, R"(queue{name="c"})");
  const Observation seen = Scrape("queue{name=\"a\"} 7\n");
  EXPECT_EQ(seen.answer, Answer::kNoData);
  EXPECT_THAT(seen.detail, HasSubstr(R"(queue{name="c"})"));
  EXPECT_FALSE(provider_failed_);
  EXPECT_EQ(Scrape("").answer, Answer::kNoData);
}

TEST_F(ScrapeReaderTest, SeveralSeriesAreAnErrorUnlessReduced) {
  Ask(ScrapeAs::kValue, "queue");
  EXPECT_THAT(Scrape("queue{name=\"a\"} 7\nqueue{name=\"b\"} 8\n").detail,
              HasSubstr(R"(2 series where one is needed: {name="a"}, {name="b"})"));
  Ask(ScrapeAs::kValue, "queue", Reduce::kSum);
  EXPECT_EQ(Scrape("queue{name=\"a\"} 7\nqueue{name=\"b\"} 8\n").value, 15);
  EXPECT_EQ(Scrape("queue{name=\"a\"} 7\nqueue{name=\"b\"} NaN\n").answer, Answer::kNotANumber);
}

TEST_F(ScrapeReaderTest, WhatIsNoTextOfMetricsIsTheProvidersFault) {
  Ask(ScrapeAs::kValue, "queue");
  EXPECT_EQ(Scrape("queue 1\n<html>").answer, Answer::kError);
  EXPECT_TRUE(provider_failed_);
  EXPECT_EQ(Scrape("queue 1\nqueue 2\n").answer, Answer::kError);
  EXPECT_FALSE(provider_failed_);
}

TEST_F(ScrapeReaderTest, TakesABoundedNumberOfSamples) {
  Ask(ScrapeAs::kValue, "queue", Reduce::kSum);
  std::string text;
  for (int i = 0; i < 2049; ++i) text += "queue{i=\"" + std::to_string(i) + "\"} 1\n";
  EXPECT_THAT(Scrape(text).detail, HasSubstr("more than 2048 samples"));
}

TEST_F(ScrapeReaderTest, ARateIsWhatGrewOverTheWindow) {
  Ask(ScrapeAs::kRate, "errors_total");
  EXPECT_EQ(Scrape("errors_total 100\n").answer, Answer::kNoData) << "of one sample there is none";
  EXPECT_EQ(Scrape("errors_total 150\n").answer, Answer::kNoData) << "10 s of 60 are too few";
  EXPECT_DOUBLE_EQ(Scrape("errors_total 200\n").value, 5);
  EXPECT_DOUBLE_EQ(Scrape("errors_total 200\n").value, 100.0 / 30);
  EXPECT_EQ(Scrape("errors_total 200\n").time, now_);
}

TEST_F(ScrapeReaderTest, AfterARestartTheLastValueAgesUntilTheWindowFills) {
  Ask(ScrapeAs::kRate, "errors_total");
  Scrape("errors_total 100\n");
  Scrape("errors_total 200\n");
  const Observation before = Scrape("errors_total 300\n");
  EXPECT_DOUBLE_EQ(before.value, 10);
  const Observation reset = Scrape("errors_total 3\n");
  EXPECT_EQ(reset.answer, Answer::kValue);
  EXPECT_EQ(reset.value, before.value);
  EXPECT_EQ(reset.time, before.time) << "it is not new";
  EXPECT_THAT(reset.detail, HasSubstr("went backwards"));
  EXPECT_EQ(Scrape("errors_total 23\n").time, before.time);
  const Observation again = Scrape("errors_total 43\n");
  EXPECT_DOUBLE_EQ(again.value, 2);
  EXPECT_EQ(again.time, now_);
}

TEST_F(ScrapeReaderTest, ASeriesThatAppearsTakesNoPartUntilItHasHistory) {
  Ask(ScrapeAs::kRate, "requests_total", Reduce::kSum);
  const auto text = [](int a, int b) {
    return "requests_total{code=\"200\"} " + std::to_string(a) +
           (b < 0 ? "\n" : "\nrequests_total{code=\"500\"} " + std::to_string(b) + "\n");
  };
  Scrape(text(0, -1));
  EXPECT_DOUBLE_EQ(Scrape(text(200, -1), 20s).value, 10);
  EXPECT_DOUBLE_EQ(Scrape(text(300, 5000)).value, 10);
  EXPECT_DOUBLE_EQ(Scrape(text(500, 5040), 20s).value, 12);
  EXPECT_DOUBLE_EQ(Scrape(text(600, -1), 10s).value, 10) << "it has gone again";
}

TEST_F(ScrapeReaderTest, ACounterThatIsNaNIsNotANumber) {
  Ask(ScrapeAs::kRate, "errors_total");
  Scrape("errors_total 100\n");
  EXPECT_EQ(Scrape("errors_total NaN\n", 30s).answer, Answer::kNotANumber);
  EXPECT_EQ(Scrape("errors_total 300\n", 30s).answer, Answer::kNoData);
}

// A histogram of so many up to 0.1, 0.2 and above.
std::string Histogram(int a, int b, int c, const std::string& labels = "") {
  const auto line = [&](const std::string& le, int n) {
    return "http_seconds_bucket{" + labels + "le=\"" + le + "\"} " + std::to_string(n) + "\n";
  };
  return line("0.1", a) + line("0.2", a + b) + line("+Inf", a + b + c) + "http_seconds_sum 1\n";
}

TEST_F(ScrapeReaderTest, AQuantileIsOfWhatGrew) {
  Ask(ScrapeAs::kQuantile, "http_seconds");
  Scrape(Histogram(1'000'000, 0, 0));
  const Observation seen = Scrape(Histogram(1'000'000, 100, 0), 20s);
  EXPECT_EQ(seen.answer, Answer::kValue);
  EXPECT_DOUBLE_EQ(seen.value, 0.15);
}

TEST_F(ScrapeReaderTest, TheNameOfABucketWillDoToo) {
  Ask(ScrapeAs::kQuantile, "http_seconds_bucket");
  Scrape(Histogram(0, 0, 0));
  EXPECT_DOUBLE_EQ(Scrape(Histogram(10, 0, 0), 20s).value, 0.05);
}

TEST_F(ScrapeReaderTest, WithoutTrafficAQuantileIsNotANumber) {
  Ask(ScrapeAs::kQuantile, "http_seconds");
  Scrape(Histogram(5, 5, 0));
  const Observation seen = Scrape(Histogram(5, 5, 0), 20s);
  EXPECT_EQ(seen.answer, Answer::kNotANumber);
  EXPECT_THAT(seen.detail, HasSubstr("nothing was observed"));
}

TEST_F(ScrapeReaderTest, HistogramsAreAddedOrComparedAsReduceSays) {
  const auto at = [](int n) {
    return Histogram(10 * n, 0, 0, "i=\"1\",") + Histogram(0, 30 * n, 0, "i=\"2\",") +
           Histogram(0, 0, 0, "i=\"3\",");
  };
  Ask(ScrapeAs::kQuantile, "http_seconds", Reduce::kMax);
  Scrape(at(0));
  EXPECT_DOUBLE_EQ(Scrape(at(1), 20s).value, 0.15) << "what saw nothing has no say";
  Ask(ScrapeAs::kQuantile, "http_seconds", Reduce::kMin);
  Scrape(at(0));
  EXPECT_DOUBLE_EQ(Scrape(at(1), 20s).value, 0.05);
  Ask(ScrapeAs::kQuantile, "http_seconds", Reduce::kSum, 0.25);
  Scrape(at(0));
  EXPECT_DOUBLE_EQ(Scrape(at(1), 20s).value, 0.1);
}

TEST_F(ScrapeReaderTest, AHistogramWithOtherBoundsBeginsAnew) {
  Ask(ScrapeAs::kQuantile, "http_seconds");
  Scrape(Histogram(0, 0, 0));
  Scrape(Histogram(10, 0, 0), 20s);
  const std::string other =
      "http_seconds_bucket{le=\"1\"} 9\nhttp_seconds_bucket{le=\"2\"} 9\n"
      "http_seconds_bucket{le=\"+Inf\"} 10\n";
  EXPECT_THAT(Scrape(other).detail, HasSubstr("begins anew"));
}

TEST_F(ScrapeReaderTest, ABucketWithoutABoundIsAnError) {
  Ask(ScrapeAs::kQuantile, "http_seconds");
  EXPECT_THAT(Scrape("http_seconds_bucket 3\n").detail, HasSubstr("without a bound"));
  EXPECT_THAT(Scrape("http_seconds_bucket{le=\"x\"} 3\n").detail, HasSubstr("without a bound"));
  EXPECT_THAT(Scrape("http_seconds_bucket{le=\"1\"} 3\nhttp_seconds_bucket{le=\"1.0\"} 3\n").detail,
              HasSubstr("twice"));
}

TEST_F(ScrapeReaderTest, AHistogramWithoutABucketForAllIsNoHistogram) {
  Ask(ScrapeAs::kQuantile, "http_seconds");
  Scrape("http_seconds_bucket{le=\"1\"} 3\nhttp_seconds_bucket{le=\"2\"} 3\n");
  EXPECT_THAT(
      Scrape("http_seconds_bucket{le=\"1\"} 4\nhttp_seconds_bucket{le=\"2\"} 4\n", 20s).detail,
      HasSubstr("+Inf"));
}

}  // namespace
}  // namespace backfill::observe
