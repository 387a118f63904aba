#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "operator/kube/probes/probe_server.h"
#include "operator/kube/probes/prometheus_metrics.h"
#include "operator/kube/runtime/runtime_metrics.h"

namespace backfill::kube {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(PrometheusMetricsTest, WhatIsAskedForIsThereAtZeroUnderTheUsualNames) {
  PrometheusMetrics metrics;
  const ControllerMetrics controller(metrics, "backfill");
  const QueueMetrics queue(metrics, "backfill");
  LeaderStatus(metrics, "backfill-operator").Set(1);
  RestRequests(metrics, "200", "GET", "kubernetes.default.svc").Increment();
  controller.success.Increment();
  controller.seconds.Observe(0.2);
  const std::string text = metrics.Text();
  for (const char* line :
       {"controller_runtime_reconcile_total{controller=\"backfill\",result=\"success\"} 1\n",
        "controller_runtime_reconcile_total{controller=\"backfill\",result=\"error\"} 0\n",
        "controller_runtime_reconcile_total{controller=\"backfill\",result=\"requeue\"} 0\n",
        "controller_runtime_reconcile_total{controller=\"backfill\",result=\"requeue_after\"} 0\n",
        "controller_runtime_reconcile_errors_total{controller=\"backfill\"} 0\n",
        "controller_runtime_terminal_reconcile_errors_total{controller=\"backfill\"} 0\n",
        "controller_runtime_reconcile_panics_total{controller=\"backfill\"} 0\n",
        "controller_runtime_active_workers{controller=\"backfill\"} 0\n",
        "controller_runtime_max_concurrent_reconciles{controller=\"backfill\"} 0\n",
        "controller_runtime_reconcile_time_seconds_count{controller=\"backfill\"} 1\n",
        "controller_runtime_reconcile_time_seconds_bucket{controller=\"backfill\",le=\"0.15\"} 0\n",
        "controller_runtime_reconcile_time_seconds_bucket{controller=\"backfill\",le=\"0.2\"} 1\n",
        "workqueue_depth{controller=\"backfill\",name=\"backfill\"} 0\n",
        "workqueue_adds_total{controller=\"backfill\",name=\"backfill\"} 0\n",
        "workqueue_retries_total{controller=\"backfill\",name=\"backfill\"} 0\n",
        "workqueue_queue_duration_seconds_count{controller=\"backfill\",name=\"backfill\"} 0\n",
        "workqueue_work_duration_seconds_count{controller=\"backfill\",name=\"backfill\"} 0\n",
        "workqueue_unfinished_work_seconds{controller=\"backfill\",name=\"backfill\"} 0\n",
        "workqueue_longest_running_processor_seconds{controller=\"backfill\",name=\"backfill\"} "
        "0\n",
        "leader_election_master_status{name=\"backfill-operator\"} 1\n",
        "rest_client_requests_total{code=\"200\",host=\"kubernetes.default.svc\",method=\"GET\"} "
        "1\n",
        "# TYPE workqueue_adds_total counter\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(PrometheusMetricsTest, TheSameNameAndLabelsAreTheSameMetric) {
  PrometheusMetrics metrics;
  Counter& first = metrics.CounterOf("things_total", "Things", {{"kind", "a"}});
  Counter& other = metrics.CounterOf("things_total", "Things", {{"kind", "b"}});
  EXPECT_EQ(&first, &metrics.CounterOf("things_total", "Things", {{"kind", "a"}}));
  EXPECT_NE(&first, &other);
  EXPECT_DEATH(metrics.CounterOf("no name", "", {}), "cannot be registered");
}

class ProbeServerTest : public testing::Test {
 protected:
  // civetweb takes 2 s to stop: one server for all tests.
  static void SetUpTestSuite() {
    server_ = new ProbeServer(
        0, {{"/healthz", [] { return ProbeAnswer{.status = 200, .body = "ok\n"}; }},
            {"/readyz", [] { return ProbeAnswer{.status = 503, .body = "[-]caches failed\n"}; }},
            {"/broken", []() -> ProbeAnswer { throw std::runtime_error("secret"); }}});
    ASSERT_TRUE(server_->Start().ok());
  }
  static void TearDownTestSuite() {
    server_->Stop();
    server_->Stop();
    delete server_;
  }
  static std::string Ask(const std::string& request) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(server_->port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::string answer;
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      send(fd, request.data(), request.size(), MSG_NOSIGNAL);
      char buffer[4096];
      for (ssize_t n = 0; (n = recv(fd, buffer, sizeof buffer, 0)) > 0;) {
        answer.append(buffer, static_cast<std::size_t>(n));
      }
    }
    close(fd);
    return answer;
  }
  static std::string Get(const std::string& path) {
    return Ask("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  static ProbeServer* server_;
};
ProbeServer* ProbeServerTest::server_ = nullptr;

TEST_F(ProbeServerTest, R40_AnswersProbes) {
  EXPECT_THAT(Get("/healthz"), testing::StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(Get("/healthz"), testing::EndsWith("\r\n\r\nok\n"));
  EXPECT_THAT(Get("/readyz?verbose"), HasSubstr("HTTP/1.1 503 Service Unavailable\r\n"));
  EXPECT_THAT(Get("/readyz"), HasSubstr("[-]caches failed\n"));
}

TEST_F(ProbeServerTest, AnythingElseIsNotThere) {
  for (const char* path : {"/", "/healthz/more", "/../../etc/passwd", "/metrics", "/HEALTHZ"}) {
    SCOPED_TRACE(path);
    EXPECT_THAT(Get(path), HasSubstr("HTTP/1.1 4"));
  }
  EXPECT_THAT(Ask("POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
              Not(HasSubstr("200 OK")));
  EXPECT_THAT(Ask("GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\n\r\n"),
              Not(HasSubstr("200 OK")));
  EXPECT_THAT(Ask("\r\n\r\n"), Not(HasSubstr("200 OK")));
  EXPECT_THAT(Get("/healthz"), HasSubstr("200 OK"));  // and it lives
}

TEST_F(ProbeServerTest, AProbeThatThrowsSaysNothingOfWhy) {
  EXPECT_THAT(Get("/broken"), HasSubstr("HTTP/1.1 500"));
  EXPECT_THAT(Get("/broken"), Not(HasSubstr("secret")));
}

TEST_F(ProbeServerTest, APortThatIsTakenIsAnError) {
  ProbeServer second(server_->port(), {});
  const Status status = second.Start();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(status.error().message, HasSubstr("listening on port"));
}

}  // namespace
}  // namespace backfill::kube
