#include "tests/cluster/control_plane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "tests/cli/temp_dir.h"
#include "tests/cluster/tcp_proxy.h"
#include "tests/e2e/process.h"

namespace backfill::cluster {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using std::chrono_literals::operator""s;

// The control plane that ctest has started.
class ControlPlaneTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<ControlPlane> shared = ControlPlane::Shared();
    if (!shared.ok()) GTEST_SKIP() << shared.error().message;
    shared_.emplace(std::move(shared).value());
    ASSERT_EQ(Run({"create", "namespace", space_}), "namespace/" + space_ + " created\n");
  }

  std::string Run(const std::vector<std::string>& args) {
    const Result<std::string> said = shared_->Kubectl(args);
    EXPECT_TRUE(said.ok()) << said.error().message;
    return said.ok() ? *said : "";
  }

  std::optional<ControlPlane> shared_;
  const std::string space_ = UniqueName("control-plane-test");
};

TEST_F(ControlPlaneTest, JobsGetPods) {
  const Result<std::string> applied = shared_->Apply(R"({"apiVersion": "batch/v1", "kind": "Job",
    "metadata": {"name": "of-three", "namespace": ")" +
                                                     space_ + R"("},
    "spec": {"completions": 3, "parallelism": 3, "completionMode": "Indexed", "template": {"spec": {
      "restartPolicy": "Never", "containers": [{"name": "one", "image": "localhost/any:1"}]}}}})");
  ASSERT_TRUE(applied.ok()) << applied.error().message;
  EXPECT_EQ(*applied, "job.batch/of-three created\n");
  for (const char* index : {"0", "1", "2"}) {
    const std::string selector = "-lbatch.kubernetes.io/job-completion-index=" + std::string(index);
    EXPECT_THAT(Run({"wait", "--for=create", "pod", selector, "--timeout=20s", "-n", space_}),
                HasSubstr("condition met"));
  }
}

TEST_F(ControlPlaneTest, SaysWhatKubectlSays) {
  const Result<std::string> said = shared_->Kubectl({"get", "configmap", "absent", "-n", space_});
  ASSERT_FALSE(said.ok());
  EXPECT_THAT(said.error().message, HasSubstr("configmaps \"absent\" not found"));
}

TEST_F(ControlPlaneTest, KnowsWhoHasAskedForWhat) {
  Run({"create", "configmap", "noticed", "-n", space_, "--from-literal=secret=hidden"});
  const auto created = AllOf(
      Field(&AuditLine::verb, "create"), Field(&AuditLine::user_agent, StartsWith("kubectl/v1.")),
      Field(&AuditLine::user, "admin"), Field(&AuditLine::code, 201),
      Field(&AuditLine::resource, "configmaps"), Field(&AuditLine::space, space_),
      Field(&AuditLine::name, "noticed"), Field(&AuditLine::stage, "ResponseComplete"));
  std::vector<AuditLine> lines;
  EXPECT_TRUE(e2e::TimeUntil(20s,
                             [&] {
                               lines = shared_->Requests("kubectl/").value();
                               return ::testing::Matches(Contains(created))(lines);
                             }))
      << lines.size() << " lines, none of them that";
  const auto of_others = shared_->Requests("kube-apiserver/");
  ASSERT_TRUE(of_others.ok());
  EXPECT_FALSE(of_others->empty());
  EXPECT_THAT(*of_others,
              ::testing::Not(Contains(Field(&AuditLine::user_agent, StartsWith("kubectl/")))));
  EXPECT_TRUE(shared_->Requests("nobody/").value().empty());
}

TEST_F(ControlPlaneTest, IsReachedThroughAProxy) {
  TcpProxy proxy(shared_->port());
  const cli::TempDir dir;
  const std::filesystem::path through = shared_->KubeconfigThrough(proxy.port(), dir.path());
  const std::vector<std::string> question = {"get", "namespace", space_,
                                             "-o",  "name",      "--request-timeout=2s"};
  const Result<std::string> answer = shared_->KubectlWith(through, question);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(*answer, "namespace/" + space_ + "\n");
  EXPECT_GT(proxy.accepted(), 0);
  EXPECT_GT(proxy.passed(), 0U);

  proxy.GoSilent();
  const std::uint64_t passed = proxy.passed();
  EXPECT_FALSE(shared_->KubectlWith(through, question).ok());
  EXPECT_EQ(proxy.passed(), passed);
}

}  // namespace
}  // namespace backfill::cluster
