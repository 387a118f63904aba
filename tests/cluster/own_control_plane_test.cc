#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "tests/cli/temp_dir.h"
#include "tests/cluster/control_plane.h"
#include "tests/e2e/process.h"

namespace backfill::cluster {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using std::chrono_literals::operator""s;

constexpr Duration kStartsWithin = 8s;

// A zombie whose parent does not look after it has ended all the same.
bool Runs(int pid) {
  const std::string stat = e2e::ReadFile("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t after_name = stat.rfind(") ");
  return after_name != std::string::npos && stat[after_name + 2] != 'Z' &&
         stat[after_name + 2] != 'X';
}

// The first process in the table of `status`.
pid_t SupervisorIn(const std::string& status) {
  const std::string header = "PROGRAM\n";
  const std::size_t at = status.find(header);
  if (at == std::string::npos) return 0;
  return std::atoi(status.c_str() + at + header.size());
}

// Of the first such member in JSON.
std::string ValueOf(const std::string& json, const std::string& name) {
  const std::string begin = '"' + name + "\":\"";
  const std::size_t at = json.find(begin);
  if (at == std::string::npos) return "";
  const std::size_t from = at + begin.size();
  return json.substr(from, json.find('"', from) - from);
}

class OwnControlPlaneTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::optional<std::string> why = ControlPlane::WhyNone()) GTEST_SKIP() << *why;
  }

  // Starts one and returns how long that took.
  Duration Start(const std::string& name, std::optional<OwnControlPlane>& plane) {
    const Time began = std::chrono::steady_clock::now();
    Result<OwnControlPlane> started = OwnControlPlane::Start(dir_ / name);
    const Duration took = std::chrono::steady_clock::now() - began;
    EXPECT_TRUE(started.ok()) << started.error().message;
    if (started.ok()) plane.emplace(std::move(started).value());
    return took;
  }

  static void ExpectOk(const Status& status) { EXPECT_TRUE(status.ok()) << status.error().message; }
  // What kubectl says, or why it fails.
  static std::string Ask(const OwnControlPlane& plane, const std::vector<std::string>& args) {
    const Result<std::string> said = plane.Kubectl(args);
    return said.ok() ? *said : said.error().message;
  }
  static std::string AskForNamespaces(const OwnControlPlane& plane) {
    return Ask(plane, {"get", "namespaces", "-o", "name", "--request-timeout=2s"});
  }
  static void ExpectAllEnd(const std::vector<int>& pids) {
    for (const int pid : pids) {
      EXPECT_TRUE(e2e::TimeUntil(5s, [pid] { return !Runs(pid); })) << "process " << pid;
    }
  }

  const cli::TempDir dir_;
};

TEST_F(OwnControlPlaneTest, StartsSoonTwiceAtOnceAndLeavesNothing) {
  std::optional<OwnControlPlane> one, two;
  const Duration first = Start("one", one);
  const Duration second = Start("two", two);
  ASSERT_TRUE(one && two);
  std::cout << "started in " << std::chrono::duration<double>(first).count() << " s and "
            << std::chrono::duration<double>(second).count() << " s\n";
  EXPECT_LT(first, kStartsWithin);

  // Each has its own objects.
  EXPECT_EQ(Ask(*one, {"create", "namespace", "apart"}), "namespace/apart created\n");
  EXPECT_THAT(AskForNamespaces(*one), HasSubstr("namespace/apart"));
  EXPECT_THAT(AskForNamespaces(*two), Not(HasSubstr("apart")));

  // Without its supervisor nothing of a control plane is left.
  const std::vector<int> killed = two->Pids().value();
  ASSERT_EQ(killed.size(), 4U);
  kill(two->SupervisorPid().value(), SIGKILL);
  ExpectAllEnd(killed);
  EXPECT_THAT(AskForNamespaces(*two), HasSubstr("refused"));

  // An end that is asked for leaves not even files.
  const std::vector<int> ended = one->Pids().value();
  ASSERT_EQ(ended.size(), 4U);
  one.reset();
  ExpectAllEnd(ended);
  two.reset();
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
}

TEST_F(OwnControlPlaneTest, EndsWithTheTest) {
  const std::string state = dir_ / "state";
  // A test that is killed: it starts a control plane, says which processes that is, and stays.
  e2e::Process test({"/bin/sh", "-c",
                     R"("$TOOL" up --control-plane-only --state "$STATE" --owner $$ &&)"
                     R"( "$TOOL" status --state "$STATE" && sleep 300)"},
                    {.dir = dir_.path(),
                     .env = {{"TOOL", BACKFILL_CONTROL_PLANE}, {"STATE", state}},
                     .max_files = {}});
  ASSERT_TRUE(e2e::TimeUntil(60s, [&] { return test.Out().find(" total\n") != std::string::npos; }))
      << test.Err();
  const pid_t supervisor = SupervisorIn(test.Out());
  std::vector<int> pids = e2e::ChildrenOf(supervisor);
  pids.push_back(supervisor);
  ASSERT_EQ(pids.size(), 4U) << test.Out();
  for (const int pid : pids) EXPECT_TRUE(Runs(pid));
  test.Signal(SIGKILL);
  ExpectAllEnd(pids);
}

TEST_F(OwnControlPlaneTest, StopsFreezesAndExpires) {
  std::optional<OwnControlPlane> plane;
  Start("state", plane);
  ASSERT_TRUE(plane);
  EXPECT_THAT(AskForNamespaces(*plane), HasSubstr("namespace/default"));

  ExpectOk(plane->Freeze(Component::kApiServer));
  EXPECT_THAT(AskForNamespaces(*plane), Not(HasSubstr("namespace/default")));
  ExpectOk(plane->StartAgain(Component::kApiServer));
  EXPECT_THAT(AskForNamespaces(*plane), HasSubstr("namespace/default"));

  ExpectOk(plane->Stop(Component::kApiServer));
  EXPECT_THAT(AskForNamespaces(*plane), HasSubstr("refused"));
  ExpectOk(plane->StartAgain(Component::kApiServer));
  EXPECT_THAT(AskForNamespaces(*plane), HasSubstr("namespace/default"));

  // A watch and a list that go on from before.
  const std::string page = Ask(*plane, {"get", "--raw", "/api/v1/namespaces?limit=1"});
  const std::string version = ValueOf(page, "resourceVersion");
  const std::string token = ValueOf(page, "continue");
  ASSERT_FALSE(version.empty() || token.empty()) << page;
  const std::vector<std::string> watch = {
      "get", "--raw", "/api/v1/namespaces?watch=true&timeoutSeconds=1&resourceVersion=" + version};
  const std::vector<std::string> list = {"get", "--raw",
                                         "/api/v1/namespaces?limit=1&continue=" + token};
  Ask(*plane, {"create", "namespace", "later"});
  const auto only_what_is_new =
      AllOf(HasSubstr("\"name\":\"later\""), Not(HasSubstr("\"name\":\"default\"")));
  EXPECT_THAT(Ask(*plane, watch), only_what_is_new);
  EXPECT_THAT(Ask(*plane, list), HasSubstr(R"("kind":"NamespaceList")"));

  ExpectOk(plane->Compact());
  EXPECT_THAT(Ask(*plane, watch), only_what_is_new);

  ExpectOk(plane->ExpireVersions());
  EXPECT_THAT(Ask(*plane, watch),
              AllOf(HasSubstr(R"("type":"ERROR")"), HasSubstr(R"("code":410)")));
  EXPECT_THAT(Ask(*plane, list), HasSubstr("too old"));
  EXPECT_THAT(AskForNamespaces(*plane), HasSubstr("namespace/later"));
}

}  // namespace
}  // namespace backfill::cluster
