// How fast what is measured at a target, or decided by people, reaches its arrivals: an operator on
// a real API server, worker processes, a real Prometheus, measured at the target. README.md.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <random>
#include <thread>

#include "bench/throttle_live/arrivals.h"
#include "bench/throttle_live/figures.h"
#include "operator/kube/client/kube_config.h"
#include "operator/kube/client/rest_transport.h"
#include "tests/e2e/cluster_machine.h"
#include "tests/e2e/process.h"

namespace backfill::throttle_live {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

constexpr auto kWell = 20ms;      // the target's latency
constexpr auto kTrouble = 200ms;  // ten times as much
constexpr int kRate = 400;        // records/s
constexpr int kGrantSeconds = 30;

int Runs(int otherwise) {
  const char* runs = std::getenv("RUNS");  // NOLINT(concurrency-mt-unsafe)
  return runs == nullptr ? otherwise : std::max(1, std::atoi(runs));
}

double Seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

class ThrottleLiveBench : public e2e::ClusterMachine {
 protected:
  static void TearDownTestSuite() {
    std::cout << "\n" << figures_->Table() << std::flush;
    if (const char* path = std::getenv("JSON"))  // NOLINT(concurrency-mt-unsafe)
      e2e::WriteFile(path, figures_->Json());
    figures_.reset();
  }
  static void SetUpTestSuite() { figures_ = std::make_unique<Figures>(); }

  void SetUp() override {
    ClusterMachine::SetUp();
    if (IsSkipped()) return;
    TargetIs({.latency = kWell});
    StartOperator();
    ASSERT_TRUE(e2e::TimeUntil(60s, [&] { return NotReady().empty(); }).has_value());
    auto access = kube::LoadKubeConfig({.files = {plane_->kubeconfig().string()}});
    ASSERT_TRUE(access.ok());
    auto api = kube::RestTransport::Make(kube::OptionsFor(*access),
                                         kube::MakeCredentials(*access, clock_), clock_);
    ASSERT_TRUE(api.ok());
    api_ = std::move(api).value();
  }
  void TearDown() override {
    prometheus_.reset();
    api_.reset();
    ClusterMachine::TearDown();
  }

  void StartPrometheus(int scrape_seconds) {
    const std::string binary = BACKFILL_TOOLS "/prometheus";
    if (!std::filesystem::exists(binary))
      GTEST_SKIP() << "there is no Prometheus: make cluster-tool";
    const auto dir = dir_.path() / fmt::format("prometheus-{}", scrape_seconds);
    std::filesystem::create_directories(dir);
    prometheus_port_ = 20'000 + static_cast<int>(random_() % 20'000);
    e2e::WriteFile(dir / "prometheus.yml",
                   fmt::format("global: {{scrape_interval: {0}s, scrape_timeout: 1s}}\n"
                               "scrape_configs: [{{job_name: target, static_configs: "
                               "[{{targets: ['127.0.0.1:{1}']}}]}}]\n",
                               scrape_seconds, sink_->port()));
    prometheus_ = std::make_unique<e2e::Process>(
        std::vector<std::string>{
            binary, "--config.file=prometheus.yml", "--log.level=error", "--storage.tsdb.path=data",
            fmt::format("--web.listen-address=127.0.0.1:{}", prometheus_port_)},
        e2e::Process::Options{.dir = dir, .env = {}, .max_files = {}});
    std::this_thread::sleep_for(std::chrono::seconds(scrape_seconds + 3));
  }
  [[nodiscard]] Json Scraped() const {
    return {{"name", "latency"},
            {"scrape",
             {{"url", fmt::format("http://127.0.0.1:{}/metrics", sink_->port())},
              {"series", "service_latency_seconds"}}},
            {"max", "0.05"},
            {"timing",
             {{"interval", "250ms"}, {"window", "1s"}, {"scrapeInterval", "1s"}, {"delay", "1s"}}}};
  }
  [[nodiscard]] Json FromPrometheus(int scrape_seconds) const {
    return {{"name", "latency"},
            {"prometheus",
             {{"address", fmt::format("http://127.0.0.1:{}", prometheus_port_)},
              {"query", "service_latency_seconds"},
              {"freshnessQuery", "timestamp(service_latency_seconds)"}}},
            {"max", "0.05"},
            {"timing",
             {{"interval", "250ms"},
              {"window", "1s"},
              {"scrapeInterval", fmt::format("{}s", scrape_seconds)},
              {"delay", "1s"}}}};
  }

  // A merge patch by this process: no kubectl has to start.
  void Change(const Json& patch) {
    const auto answer =
        api_->Send({.method = kube::HttpMethod::kPatch,
                    .target = fmt::format("/apis/backfill.dev/v1alpha1/namespaces/{}/backfills/{}",
                                          ns_, name_),
                    .content_type = "application/merge-patch+json",
                    .body = patch.dump()},
                   clock_.Steady() + 20s, {});
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    ASSERT_EQ(answer->status, 200) << answer->body;
  }
  // A new Backfill at full rate; what is before it is gone.
  void Begin(const Json& budgets, int rate = kRate) {
    if (!name_.empty()) Kubectl({"delete", "backfill", name_, "-n", ns_, "--wait=true"});
    // On a machine where the API server answers too late, the leader ends: as it should.
    if (!Operator().running()) {
      RestartOperator();
      ASSERT_TRUE(e2e::TimeUntil(60s, [&] { return NotReady().empty(); }).has_value());
    }
    name_ = fmt::format("live-{}", ++trial_);
    Apply({.name = name_,
           .end = 100'000'000,
           .rate = rate,
           .replicas = 4,
           .concurrency = 64,
           .extra = "  paused: true\n"});
    Json throttle = {{"maxRecordsPerSecond", rate}};
    if (!budgets.empty()) {
      throttle["budgets"] = budgets;
      throttle["initialRecordsPerSecond"] = rate;
      throttle["deadTime"] = "10s";
    }
    Change({{"spec", {{"paused", false}, {"throttle", throttle}}}});
    ASSERT_TRUE(TargetSees(sink_->stats().requests + 2 * static_cast<std::uint64_t>(rate)))
        << WhatIsWrong();
  }
  std::string WhatIsWrong() {
    return Get(name_).dump(1) +
           Kubectl({"get", "events.events.k8s.io", "-n", ns_, "-o",
                    R"(jsonpath={range .items[*]}{.reason}{": "}{.note}{"\n"}{end})"});
  }
  // From what `happens` until the last arrival.
  std::optional<Duration> TimeToSilence(const std::function<void()>& happens, Duration at_most) {
    Arrivals arrivals(*sink_);
    std::this_thread::sleep_for(300ms);
    const Time begun = std::chrono::steady_clock::now();
    happens();
    if (!arrivals.UntilSilent(1s, at_most)) return std::nullopt;
    return std::max(Duration(0), arrivals.Last() - begun);
  }
  void Breach(const std::string& what, const Json& budget, std::optional<double> goal, int runs,
              Duration period) {
    for (int i = 0; i < runs; ++i) {
      ASSERT_NO_FATAL_FAILURE(Begin(Json::array({budget})));
      // At any moment between two samples.
      std::this_thread::sleep_for(
          Duration(std::uniform_int_distribution<Duration::rep>(0, period.count())(random_)));
      const auto took = TimeToSilence([this] { sink_->SetLatency(kTrouble); }, 3 * period + 10s);
      sink_->SetLatency(kWell);
      ASSERT_TRUE(took.has_value()) << WhatIsWrong();
      Note(what, "s", goal, Seconds(*took));
    }
  }
  static void Note(const std::string& what, const std::string& unit, std::optional<double> goal,
                   double value) {
    figures_->Of(what, unit, goal).samples.Add(value);
    std::cout << fmt::format("{}: {:.3f} {}\n", what, value, unit) << std::flush;
  }

  static inline std::unique_ptr<Figures> figures_;
  SystemClock clock_;
  std::mt19937_64 random_{std::random_device{}()};
  std::unique_ptr<kube::HttpTransport> api_;
  std::unique_ptr<e2e::Process> prometheus_;
  int prometheus_port_ = 0;
  int trial_ = 0;
  std::string name_;
};

TEST_F(ThrottleLiveBench, BreachSeenByScrapingEach250Milliseconds) {
  Breach("breach to silence, scraped each 250 ms", Scraped(), 0.4, Runs(20), 250ms);
}

TEST_F(ThrottleLiveBench, BreachSeenByPrometheusThatScrapesEachSecond) {
  StartPrometheus(1);
  if (IsSkipped()) return;
  Breach("breach to silence, Prometheus, scrape 1 s", FromPrometheus(1), 1.6, Runs(20), 1s);
}

TEST_F(ThrottleLiveBench, BreachSeenByPrometheusThatScrapesEach15Seconds) {
  StartPrometheus(15);
  if (IsSkipped()) return;
  Breach("breach to silence, Prometheus, scrape 15 s", FromPrometheus(15), std::nullopt,
         std::min(3, Runs(3)), 15s);
}

TEST_F(ThrottleLiveBench, RateThatIsReached) {
  for (const int rate : {100, 1'000, 4'000}) {
    ASSERT_NO_FATAL_FAILURE(Begin(Json::array(), rate));
    std::this_thread::sleep_for(3s);
    Arrivals arrivals(*sink_);
    const Time begun = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(10s);
    arrivals.Stop();
    const Time end = begun + 10s;
    const auto seen = static_cast<double>(arrivals.Between(begun, end));
    Note("rate over 10 s, off the limit", "%", 0.5, std::abs(seen / (10.0 * rate) - 1) * 100);
    const auto most = static_cast<double>(arrivals.MostWithin(100ms, begun, end));
    Note(fmt::format("most within 100 ms at {}/s, over the limit", rate), "%", 10.0,
         (most / (0.1 * rate) - 1) * 100);
  }
}

TEST_F(ThrottleLiveBench, PauseThroughTheSpec) {
  ASSERT_NO_FATAL_FAILURE(Begin(Json::array()));
  for (int i = 0; i < Runs(20); ++i) {
    const auto took = TimeToSilence([this] { Change({{"spec", {{"paused", true}}}}); }, 10s);
    ASSERT_TRUE(took.has_value());
    Note("pause through the spec to silence", "s", 0.3, Seconds(*took));
    const std::uint64_t before = sink_->stats().requests;
    Change({{"spec", {{"paused", false}}}});
    ASSERT_TRUE(TargetSees(before + kRate));
  }
}

TEST_F(ThrottleLiveBench, WorkersWithoutAnOperatorStopWhenTheirGrantsEnd) {
  ASSERT_NO_FATAL_FAILURE(Begin(Json::array()));
  const auto took = TimeToSilence([this] { Operator().Signal(SIGKILL); },
                                  std::chrono::seconds(kGrantSeconds + 10));
  ASSERT_TRUE(took.has_value());
  Note("operator killed to silence", "s", kGrantSeconds, Seconds(*took));
}

}  // namespace
}  // namespace backfill::throttle_live
