#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/digest.h"
#include "tests/cli/temp_dir.h"
#include "tests/e2e/process.h"
#include "tests/operator/kube/cluster/config_maps.h"
#include "tests/operator/kube/cluster/server_access.h"

namespace backfill::kube {

using namespace std::chrono_literals;
using e2e::Process;

// A machine that stands still for as long as a renewal may take deposes a leader, as it should.
inline constexpr Duration kLease = 5s;
inline constexpr Duration kRenewDeadline = 4s;
inline constexpr Duration kRetry = 500ms;
// How long is waited for what comes at once on a machine with nothing else to do. No test depends
// on how fast it comes: who led when stands in the log.
inline constexpr Duration kSoon = 30s;
// From the death of a leader to the next: what the election promises, and that.
inline constexpr Duration kTakeOver = kLease + 2 * kRetry + 200ms + kSoon;
inline constexpr const char* kName = "led";

struct Reign {
  std::uint64_t epoch = 0;
  std::string identity;
  std::int64_t first = 0, last = 0;
};

// Electors (elector.cc) as processes, and what they have written into the ConfigMap that they fight
// for.
class Electors : public ::testing::Test {
 protected:
  void Use(const std::filesystem::path& kubeconfig) {
    kubeconfig_ = kubeconfig;
    const Result<ServerAccess> access = ReadAccess(kubeconfig);
    ASSERT_TRUE(access.ok()) << access.error().message;
    port_ = access->port;
    auto for_maps = Connect(*access, "direct", clock_);
    auto for_log = Connect(*access, "direct", clock_);
    ASSERT_TRUE(for_maps.ok() && for_log.ok());
    maps_.emplace(std::move(for_maps).value(), "elector-test-" + RandomHex(4));
    direct_ = std::move(for_log).value();
    maps_->Create(kName);
  }

  std::unique_ptr<Process> Start() { return StartBy(port_); }
  std::unique_ptr<Process> StartBy(std::uint16_t port) {
    const auto ms = [](Duration d) { return std::to_string(d / 1ms); };
    return std::make_unique<Process>(
        std::vector<std::string>{BACKFILL_ELECTOR, kubeconfig_, maps_->ns(), kName,
                                 std::to_string(lease_ / 1s), ms(lease_ - kLease + kRenewDeadline),
                                 ms(kRetry), std::to_string(port)},
        Process::Options{.dir = dir_.path(), .env = {}, .max_files = {}});
  }
  static bool Says(const Process& elector, const std::string& what) {
    return elector.Out().find(what) != std::string::npos;
  }
  static bool ComesToSay(const Process& elector, const std::string& what, Duration within) {
    return e2e::TimeUntil(within, [&] { return Says(elector, what); }).has_value();
  }
  // The first alone, which leads, and one that waits.
  void StartTwo(std::unique_ptr<Process>& leader, std::unique_ptr<Process>& next) {
    StartTwo(leader, next, port_);
  }
  void StartTwo(std::unique_ptr<Process>& leader, std::unique_ptr<Process>& next,
                std::uint16_t port_of_leader) {
    leader = StartBy(port_of_leader);
    ASSERT_TRUE(ComesToSay(*leader, "leads", kTakeOver)) << leader->Err();
    ASSERT_TRUE(WritesGoOn());
    next = Start();
    ASSERT_TRUE(ComesToSay(*next, "follows", kSoon)) << next->Err();
  }

  // As written in the ConfigMap; empty if it cannot be read.
  std::vector<Reign> Log() {
    const Result<HttpResponse> response =
        direct_->Send({.target = "/api/v1/namespaces/" + maps_->ns() + "/configmaps/" + kName},
                      clock_.Steady() + 20s, {});
    std::vector<Reign> log;
    if (!response.ok() || response->status != 200) return log;
    const nlohmann::json object = nlohmann::json::parse(response->body);
    std::istringstream lines(object.value("data", nlohmann::json::object()).value("log", ""));
    for (std::string line; std::getline(lines, line);) {
      std::istringstream fields(line);
      Reign& reign = log.emplace_back();
      fields >> reign.epoch >> reign.identity >> reign.first >> reign.last;
    }
    return log;
  }
  std::int64_t Writes() {
    const std::vector<Reign> log = Log();
    return log.empty() ? 0 : log.back().last;
  }
  bool WritesGoOn() {
    const std::int64_t enough = Writes() + 10;
    return e2e::TimeUntil(kSoon, [&] { return Writes() >= enough; }).has_value();
  }
  // Each leader's epoch is higher than that of the one before; none has written after the next has;
  // no write is lost or there twice.
  void ExpectOneLeaderAtATime(std::size_t leaders) {
    const std::vector<Reign> log = Log();
    EXPECT_EQ(log.size(), leaders);
    std::uint64_t epoch = 0;
    std::int64_t last = 0;
    std::set<std::string> identities;
    for (const Reign& reign : log) {
      EXPECT_GT(reign.epoch, epoch);
      EXPECT_EQ(reign.first, last + 1);
      EXPECT_GE(reign.last, reign.first);
      EXPECT_TRUE(identities.insert(reign.identity).second) << reign.identity << " led twice";
      epoch = reign.epoch;
      last = reign.last;
    }
  }
  static void ExpectEndsAsLost(Process& elector, Duration within) {
    const e2e::Exit exit = elector.Wait(within);
    EXPECT_EQ(exit.code, 1) << "signal " << exit.signal << ", " << exit.err;
    EXPECT_THAT(exit.out, ::testing::HasSubstr("lost"));
  }

  const cli::TempDir dir_;
  const SystemClock clock_;
  Duration lease_ = kLease;  // of those that are started from now on
  std::filesystem::path kubeconfig_;
  std::uint16_t port_ = 0;
  std::optional<ConfigMaps> maps_;
  std::unique_ptr<RestTransport> direct_;
};

}  // namespace backfill::kube
