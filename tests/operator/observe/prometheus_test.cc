// A real Prometheus, which scrapes a target of the test each second.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operator/observe/histogram_quantile.h"
#include "operator/observe/rest_servers.h"
#include "operator/observe/source_factory.h"
#include "tests/e2e/process.h"
#include "tests/operator/kube/temp_dir.h"
#include "tests/worker/target/raw_server.h"

namespace backfill::observe {
namespace {

using namespace std::chrono_literals;
using e2e::Process;
using fakes::RawServer;
using testing::HasSubstr;
using throttle::Answer;

// A target with metrics that a test writes.
class Target {
 public:
  Target()
      : server_([this](int fd, const std::string&, int) {
          MutexLock l(mu_);
          return RawServer::Say(
              fd, fmt::format("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"
                              "Content-Length: {}\r\n\r\n{}",
                              text_.size(), text_));
        }) {}
  void Says(std::string text) {
    MutexLock l(mu_);
    text_ = std::move(text);
  }
  [[nodiscard]] int port() const { return server_.port(); }

 private:
  Mutex mu_;
  std::string text_ GUARDED_BY(mu_);
  RawServer server_;
};

int FreePort() {
  return fakes::AcceptLoop("127.0.0.1", 0, [](int) {}).port();
}

class RealPrometheusTest : public testing::Test {
 protected:
  static inline const std::string kBinary = BACKFILL_TOOLS "/prometheus";

  void SetUp() override {
    if (!std::filesystem::exists(kBinary))
      GTEST_SKIP() << "there is no Prometheus: make cluster-tool";
    target_ = std::make_unique<Target>();
    target_->Says("queue{shard=\"a\"} 7\nqueue{shard=\"b\"} 8\nnan NaN\n" + Histogram());
    port_ = FreePort();
    e2e::WriteFile(dir_.path() / "prometheus.yml",
                   fmt::format("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n"
                               "scrape_configs: [{{job_name: target, static_configs: "
                               "[{{targets: ['127.0.0.1:{}']}}]}}]\n",
                               target_->port()));
    StartPrometheus();
  }
  void StartPrometheus() {
    prometheus_ = std::make_unique<Process>(
        std::vector<std::string>{kBinary, "--config.file=prometheus.yml", "--log.level=error",
                                 "--storage.tsdb.path=data",
                                 fmt::format("--web.listen-address=127.0.0.1:{}", port_)},
        Process::Options{.dir = dir_.path(), .env = {}, .max_files = {}});
  }
  [[nodiscard]] std::string Address() const { return fmt::format("http://127.0.0.1:{}", port_); }

  Reply Ask(const std::string& query, const std::string& freshness = "",
            Reduce reduce = Reduce::kNone, Duration within = 5s) {
    auto source = sources_.Make(PrometheusQuery{
        .addresses = {Address()}, .query = query, .freshness_query = freshness, .reduce = reduce});
    EXPECT_TRUE(source.ok()) << source.error().message;
    return (*source)->Ask(clock_.Steady() + within, {});
  }
  // Asks until that is the answer.
  [[nodiscard]] bool Becomes(const std::string& query, Answer answer) {
    return e2e::TimeUntil(30s,
                          [&] {
                            last_ = Ask(query);
                            if (last_.observation.answer != answer)
                              std::this_thread::sleep_for(50ms);
                            return last_.observation.answer == answer;
                          })
        .has_value();
  }

  static std::vector<Bucket> Buckets() {
    return {{0.005, 3},
            {0.1, 11},
            {0.25, 400},
            {1, 401},
            {std::numeric_limits<double>::infinity(), 440}};
  }
  static std::string Histogram() {
    std::string text;
    for (const Bucket& b : Buckets()) {
      text += fmt::format("http_seconds_bucket{{le=\"{}\"}} {}\n",
                          b.upper > 1 ? "+Inf" : fmt::format("{}", b.upper), b.count);
    }
    return text;
  }

  kube::TempDir dir_;
  int port_ = 0;
  std::unique_ptr<Target> target_;
  std::unique_ptr<Process> prometheus_;
  SystemClock clock_;
  SignalBoard board_;
  RestServers servers_{{}, clock_};
  MetricSources sources_{servers_, board_, clock_};
  Reply last_;
};

TEST_F(RealPrometheusTest, AnswersAsWeReadIt) {
  ASSERT_TRUE(Becomes("queue{shard=\"a\"}", Answer::kValue)) << last_.observation.detail;
  EXPECT_EQ(last_.observation.value, 7);

  // Scalars, several series, no series, no number.
  EXPECT_EQ(Ask("scalar(queue{shard=\"b\"}) + 0.5").observation.value, 8.5);
  EXPECT_THAT(Ask("queue").observation.detail, HasSubstr("2 series where one is needed"));
  EXPECT_EQ(Ask("queue", "", Reduce::kSum).observation.value, 15);
  EXPECT_EQ(Ask("absent_metric").observation.answer, Answer::kNoData);
  EXPECT_EQ(Ask("nan").observation.answer, Answer::kNotANumber);
  EXPECT_EQ(Ask("vector(0) / 0").observation.answer, Answer::kNotANumber);
  EXPECT_EQ(Ask("vector(1) / 0").observation.answer, Answer::kNotANumber);

  // What is no number, and what is no query: nobody else's fault.
  for (const char* query : {"queue[1m]", "\"text\"", "rate(", "queue + on() queue"}) {
    const Reply reply = Ask(query);
    EXPECT_EQ(reply.observation.answer, Answer::kError) << query;
    EXPECT_FALSE(reply.provider_failed) << query;
    EXPECT_NE(reply.observation.detail, "");
  }
  EXPECT_THAT(Ask("rate(").observation.detail, HasSubstr("parse error"));

  // The age of a sample: it is scraped each second, and known to be older than the answer.
  const Time before = clock_.Steady();
  const Reply fresh = Ask("queue{shard=\"a\"}", "timestamp(queue{shard=\"a\"})");
  EXPECT_EQ(fresh.observation.answer, Answer::kValue) << fresh.observation.detail;
  EXPECT_LE(fresh.observation.time, clock_.Steady());
  EXPECT_GE(fresh.observation.time, before - 10s);
  EXPECT_EQ(Ask("vector(1)", "timestamp(absent_metric)").observation.answer, Answer::kNoData);

  // Our quantiles are Prometheus'.
  for (const double q : {0.001, 0.01, 0.5, 0.9, 0.911, 0.99, 1.0}) {
    std::vector<Bucket> buckets = Buckets();
    const Reply theirs = Ask(fmt::format("histogram_quantile({}, http_seconds_bucket)", q));
    EXPECT_DOUBLE_EQ(theirs.observation.value, HistogramQuantile(q, buckets)) << q;
  }

  // Each query of the documentation is one.
  std::ifstream page(BACKFILL_DOCS "/throttling/metrics.md");
  const std::string text{std::istreambuf_iterator<char>(page), {}};
  int queries = 0;
  for (std::size_t at = 0; (at = text.find("```promql\n", at)) != std::string::npos; ++queries) {
    at += 10;
    const std::string query = text.substr(at, text.find("```", at) - at);
    const Reply reply = Ask(query);
    EXPECT_NE(reply.observation.answer, Answer::kError) << query << reply.observation.detail;
  }
  EXPECT_GE(queries, 10);
}

TEST_F(RealPrometheusTest, WhatFailsIsSeenAndComesBack) {
  const std::string query = "queue{shard=\"a\"}";
  ASSERT_TRUE(Becomes(query, Answer::kValue)) << last_.observation.detail;

  // It hangs: the deadline ends the question, and afterwards it serves again.
  prometheus_->Signal(SIGSTOP);
  const Time begin = clock_.Steady();
  const Reply hung = Ask(query, "", Reduce::kNone, 300ms);
  EXPECT_TRUE(hung.provider_failed);
  EXPECT_LT(clock_.Steady() - begin, 3s);
  prometheus_->Signal(SIGCONT);
  ASSERT_TRUE(Becomes(query, Answer::kValue)) << last_.observation.detail;

  // It is killed, and another one comes in its place.
  prometheus_->Signal(SIGKILL);
  ASSERT_TRUE(Becomes(query, Answer::kError));
  EXPECT_TRUE(last_.provider_failed);
  StartPrometheus();
  target_->Says("queue{shard=\"a\"} 9\n");
  EXPECT_TRUE(e2e::TimeUntil(30s, [&] { return Ask(query).observation.value == 9; }).has_value());

  // The target is gone: its series are stale with the next scrape, not after five minutes.
  target_.reset();
  EXPECT_TRUE(Becomes(query, Answer::kNoData)) << last_.observation.detail;
}

}  // namespace
}  // namespace backfill::observe
