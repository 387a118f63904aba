// All that an operator publishes, as Prometheus's own parser reads it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "operator/coordinator/coordinator_metrics.h"
#include "operator/kube/probes/prometheus_metrics.h"
#include "operator/kube/runtime/runtime_metrics.h"
#include "operator/metrics/backfill_metrics.h"
#include "operator/metrics/process_metrics.h"
#include "operator/metrics/throttle_metrics.h"
#include "tests/fakes/manual_clock.h"

namespace backfill::metrics {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;
using ::testing::Not;

// Names of client-go and controller-runtime, which dashboards rely on, or of what is counted for
// good.
bool IsKnown(const std::string& line) {
  return line.find("controller_runtime_") != std::string::npos ||
         line.find("workqueue_") != std::string::npos;
}

class PublishedMetricsTest : public ::testing::Test {
 protected:
  PublishedMetricsTest() {
    prometheus_.Add(backfills_);
    prometheus_.Add(governors_);
    prometheus_.Add(process_);
  }
  ~PublishedMetricsTest() override { std::filesystem::remove(file_); }

  // What the parser has to say, a line each; what is wrong with the text comes first.
  std::string Problems(const std::string& text) {
    std::ofstream(file_) << text;
    const std::string command = std::string(BACKFILL_PROMTOOL " check metrics <") + file_ + " 2>&1";
    std::string said;
    FILE* const tool = popen(command.c_str(), "r");
    std::array<char, 512> line{};
    while (fgets(line.data(), line.size(), tool) != nullptr)
      if (!IsKnown(line.data())) said += line.data();
    const int status = pclose(tool);
    if (status == -1 || (said.empty() && WEXITSTATUS(status) == 1)) said += "promtool failed\n";
    return said;
  }

  const std::string file_ = ::testing::TempDir() + "metrics-" + std::to_string(getpid()) + ".txt";
  fakes::ManualClock clock_;
  BackfillMetrics backfills_;
  ThrottleMetrics governors_;
  kube::PrometheusMetrics prometheus_;
  const coordinator::CoordinatorMetrics coordinator_{prometheus_};
  const kube::ControllerMetrics controller_{prometheus_, "backfill"};
  const kube::QueueMetrics queue_{prometheus_, "backfill"};
  const kube::EventMetrics events_{prometheus_};
  const ProcessMetrics process_{
      clock_,
      {.auth_failures = [] { return std::map<std::string, std::uint64_t>{{"token", 3}}; },
       .turned_away = [] { return std::uint64_t{5}; },
       .certificate_ends =
           [] { return std::map<std::string, WallTime>{{"server", WallTime(1'900'000'000s)}}; },
       .leader_epoch = [] { return std::optional(Epoch{4}); },
       .crd_outdated = [] { return true; }}};
};

TEST_F(PublishedMetricsTest, PrometheusReadsThemAndItsLinterFindsNothing) {
  if (!std::filesystem::exists(BACKFILL_PROMTOOL)) GTEST_SKIP() << "make cluster-tool";
  api::Backfill b;
  b.ns = "shop";
  b.name = "reprice";
  backfills_.Update(b, reconcile::StageSnapshot{});
  throttle::GovernorOptions options;
  options.budgets = {{.name = "p99", .bound = 0.25}};
  throttle::Decision held;
  held.state = throttle::GovernorState::kHeld;
  held.limited_by = throttle::LimitedBy::kHold;
  held.budgets = {{.value = 0.5, .pressure = 2, .age = 7s}};
  governors_.Decided(b, options, held);
  EXPECT_THAT(Problems(prometheus_.Text()), IsEmpty());
  EXPECT_THAT(Problems("backfill_records{ 1\n"), Not(IsEmpty())) << "the parser finds nothing";
}

}  // namespace
}  // namespace backfill::metrics
