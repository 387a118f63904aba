// What the cache takes of 10,000 pods on a real API server, as a process of its own and as users
// build it: with the sanitizers of this one nothing could be said of memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/cli/temp_dir.h"
#include "tests/cluster/control_plane.h"
#include "tests/e2e/process.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using cluster::OwnControlPlane;

constexpr long kPods = 10'000;
constexpr long kChanged = 500;
constexpr long kLimitKib = 100 << 10;

// Of a server of its own, so that the pods go with it, and nobody else has to list them.
class InformerMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(BACKFILL_INFORMER_BENCH)) {
      GTEST_SKIP() << BACKFILL_INFORMER_BENCH
                   << " is not there: cmake --build --preset release --target informer_bench";
    }
    if (const auto why = cluster::ControlPlane::WhyNone()) GTEST_SKIP() << *why;
    Result<OwnControlPlane> plane = OwnControlPlane::Start(dir_ / "plane");
    ASSERT_TRUE(plane.ok()) << plane.error().message;
    plane_.emplace(std::move(plane).value());
    Run({"create"}, 150s);  // 10 s, on a machine with nothing else to do
  }

  e2e::Process Begin(std::vector<std::string> args) {
    args.insert(args.begin(), BACKFILL_INFORMER_BENCH);
    args.insert(args.end(),
                {"--pods", std::to_string(kPods), "--events", std::to_string(kChanged)});
    e2e::Process::Options options{};
    options.dir = dir_ / args[1];
    std::filesystem::create_directories(options.dir);
    options.env = {{"KUBECONFIG", plane_->kubeconfig().string()}};
    return e2e::Process(args, options);
  }
  void Run(std::vector<std::string> args, Duration at_most) {
    const e2e::Exit ended = Begin(std::move(args)).Wait(at_most);
    ASSERT_EQ(ended.code, 0) << ended.err;
  }
  // What list and watch took, with a change of some hundred once all were listed.
  nlohmann::json Measure(std::vector<std::string> args) {
    args.insert(args.begin(), "watch");
    e2e::Process watch = Begin(std::move(args));
    EXPECT_TRUE(e2e::TimeUntil(
        60s, [&] { return watch.Err().find("synced") != std::string::npos || !watch.running(); }));
    Run({"touch"}, 60s);
    const e2e::Exit ended = watch.Wait(60s);
    EXPECT_EQ(ended.code, 0) << ended.err;
    return nlohmann::json::parse(ended.out, nullptr, false);
  }

  const cli::TempDir dir_;
  std::optional<OwnControlPlane> plane_;
};

TEST_F(InformerMemoryTest, R11_TenThousandPodsAreListedAndWatchedWithin100MiB) {
  // As the operator asks for pods, and as any other kind comes.
  for (const std::vector<std::string>& way : {std::vector<std::string>{"--metadata-only"}, {}}) {
    SCOPED_TRACE(way.empty() ? "whole" : way.front());
    const nlohmann::json took = Measure(way);
    ASSERT_TRUE(took.is_object());
    RecordProperty(way.empty() ? "whole" : "metadata", took.dump());
    EXPECT_EQ(took["pods"], kPods);
    EXPECT_EQ(took["changed"], kChanged);  // each of them
    EXPECT_LE(took["max_rss_kib"], kLimitKib);
  }
}

}  // namespace
}  // namespace backfill::kube
