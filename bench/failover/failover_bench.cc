// How long no worker gets a lease when the operator that leads is killed, or told to end: two
// replicas on a real API server, real workers. Seen from the target: shards are so small that a
// worker has sent what it held in less than a second, so the silence of the target ends with the
// first lease of the new leader. bench/README.md.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "bench/scale/samples.h"
#include "tests/e2e/cluster_machine.h"

namespace backfill::e2e {
namespace {

int Runs() {
  const char* runs = std::getenv("RUNS");  // NOLINT(concurrency-mt-unsafe)
  return runs == nullptr ? 20 : std::atoi(runs);
}

using scale::Millis;

// Looks at the target every millisecond from its beginning to its end.
class SilenceWatch {
 public:
  explicit SilenceWatch(fakes::Sink& sink)
      : thread_([this, &sink](const std::stop_token& stop) {
          std::uint64_t seen = sink.stats().requests;
          Time last = begun_;
          while (!stop.stop_requested()) {
            std::this_thread::sleep_for(1ms);
            const Time now = std::chrono::steady_clock::now();
            const std::uint64_t requests = sink.stats().requests;
            if (requests == seen) continue;
            seen = requests;
            if (now - last > longest_) {
              longest_ = now - last;
              ended_ = now;
            }
            last = now;
          }
        }) {}
  struct Silence {
    Duration longest{};
    Duration until{};  // its end, from the beginning of the watch
  };
  Silence Stop() {
    thread_.request_stop();
    thread_.join();
    return {longest_, ended_ - begun_};
  }

 private:
  const Time begun_ = std::chrono::steady_clock::now();
  Duration longest_{};
  Time ended_ = begun_;
  std::jthread thread_;  // last
};

class FailoverBench : public ClusterMachine {
 protected:
  std::size_t Leader() {
    std::size_t leader = 0;
    EXPECT_TRUE(TimeUntil(20s, [&] {
                  for (std::size_t i = 0; i < 2; ++i) {
                    if (Metric("leader_election_master_status", i) != 1) continue;
                    leader = i;
                    return true;
                  }
                  return false;
                }).has_value());
    return leader;
  }
  // What the status says of shards that stand still.
  std::string WaitsFor() {
    const nlohmann::json object = Get();
    if (!object.is_object()) return "";
    for (const auto& c : object.value("status", nlohmann::json::object())
                             .value("conditions", nlohmann::json::array()))
      if (c.value("type", "") == "Ready") return c.value("message", "");
    return "";
  }
  void Start() {
    StartOperator();
    StartOperator();
    for (std::size_t i = 0; i < 2; ++i) {
      ASSERT_TRUE(TimeUntil(20s, [&] { return NotReady(i).empty(); }).has_value());
    }
    Apply({.end = 1'000'000, .rate = 1'000, .replicas = 4, .records_per_shard = 50});
    ASSERT_TRUE(TargetSees(2'000));
  }
  void Measure(const char* what, int signal) {
    scale::Samples led, until, longest;
    for (int run = 0; run < Runs(); ++run) {
      const std::size_t leader = Leader();
      ASSERT_TRUE(TargetSees(sink_->stats().requests + 2'000)) << "before run " << run;
      SilenceWatch watch(*sink_);
      const Time signalled = std::chrono::steady_clock::now();
      Operator(leader).Signal(signal);
      ASSERT_TRUE(TimeUntil(30s, [&] {
                    return Metric("leader_election_master_status", 1 - leader) == 1;
                  }).has_value());
      led.Add(Millis(std::chrono::steady_clock::now() - signalled));
      ASSERT_TRUE(TargetSees(sink_->stats().requests + 1'000));
      const SilenceWatch::Silence silence = watch.Stop();
      Operator(leader).Wait(20s);
      operators_.at(leader).process.reset();
      until.Add(Millis(silence.until));
      longest.Add(Millis(silence.longest));
      std::cout
          << fmt::format(
                 "{}: another leads after {:.0f} ms, silent for {:.0f} ms, until {:.0f} ms after "
                 "the signal; {}\n",
                 what, led.Last(), Millis(silence.longest), Millis(silence.until), WaitsFor())
          << std::flush;
      StartOperator();
      ASSERT_TRUE(TimeUntil(20s, [&] { return NotReady(leader).empty(); }).has_value());
    }
    std::cout << fmt::format(
        "{}, {} times: another leads after p50 {:.0f}  p95 {:.0f}  max {:.0f} ms; first request on "
        "a "
        "new lease after p50 {:.0f}  p95 {:.0f}  max {:.0f} ms; the target was silent for p50 "
        "{:.0f}  p95 {:.0f}  max {:.0f} ms\n",
        what, until.size(), led.Quantile(0.5), led.Quantile(0.95), led.Max(), until.Quantile(0.5),
        until.Quantile(0.95), until.Max(), longest.Quantile(0.5), longest.Quantile(0.95),
        longest.Max());
  }
};

TEST_F(FailoverBench, Killed) {
  Start();
  Measure("kill -9", SIGKILL);
}

TEST_F(FailoverBench, ToldToEnd) {
  Start();
  Measure("SIGTERM", SIGTERM);
}

}  // namespace
}  // namespace backfill::e2e
