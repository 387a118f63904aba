// Tokens of pods that a real API server has issued, bound as a kubelet has them bound.
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operator/identity/token_authenticator.h"
#include "operator/kube/cache/object_cache.h"
#include "tests/cluster/control_plane.h"
#include "tests/e2e/process.h"
#include "tests/operator/kube/cluster/server_access.h"

namespace backfill::identity {
namespace {

using namespace std::chrono_literals;
using cluster::ControlPlane;
using coordinator::WorkerIdentity;

constexpr const char* kAudience = "--audience=backfill-operator";

class TokenClusterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<ControlPlane> shared = ControlPlane::Shared();
    if (!shared.ok()) GTEST_SKIP() << shared.error().message;
    plane_.emplace(std::move(shared).value());
    const auto access = kube::ReadAccess(plane_->kubeconfig());
    ASSERT_TRUE(access.ok()) << access.error().message;
    auto transport = kube::Connect(*access, ns_, clock_);
    ASSERT_TRUE(transport.ok()) << transport.error().message;
    transport_ = std::move(transport).value();
    client_.emplace(*transport_, nullptr);
    directory_.emplace(pods_, jobs_, backfills_, *client_);
    authenticator_.emplace(*client_, *directory_, clock_);
    authenticator_->Start();
    MakeNamespace();
  }
  void TearDown() override {
    if (plane_) authenticator_->Stop();
  }

  void MakeNamespace() {
    for (const char* crd : {"backfills", "backfillledgers"}) {
      const std::string file = std::string(BACKFILL_CRDS) + "/backfill.dev_" + crd + ".yaml";
      static_cast<void>(plane_->Kubectl({"create", "-f", file}));  // others may have been faster
    }
    Run({"wait", "--for=condition=Established", "--timeout=30s", "crd/backfills.backfill.dev"});
    Run({"create", "namespace", ns_});
    ASSERT_TRUE(Becomes([&] {
      return plane_->Kubectl({"get", "serviceaccount", "default", "-n", ns_}).ok();
    })) << "there is no service account";
  }
  std::string Run(const std::vector<std::string>& args) {
    const Result<std::string> said = plane_->Kubectl(args);
    EXPECT_TRUE(said.ok()) << said.error().message;
    return said.ok() ? *said : "";
  }
  static bool Becomes(const std::function<bool()>& holds) {
    return e2e::TimeUntil(30s, holds).has_value();
  }
  std::string UidOf(const std::string& kind, const std::string& name) {
    return Run({"get", kind, name, "-n", ns_, "-o", "jsonpath={.metadata.uid}"});
  }
  // A Backfill with the Job of its run, whose pod the Job controller makes. Its name.
  std::string MakeWorkerPod() {
    EXPECT_TRUE(plane_
                    ->Apply(R"(
apiVersion: backfill.dev/v1alpha1
kind: Backfill
metadata: {name: reprice, namespace: )" +
                            ns_ + R"(}
spec:
  source: {range: {start: 0, end: 10}}
  target: {http: {url: "http://orders/{{key}}"}}
)")
                    .ok());
    backfill_uid_ = UidOf("backfill", "reprice");
    const auto job = plane_->Apply(R"(
apiVersion: batch/v1
kind: Job
metadata:
  name: reprice-run
  namespace: )" + ns_ + R"(
  labels: {backfill.dev/stage: run, backfill.dev/pool: "0"}
  ownerReferences:
  - {apiVersion: backfill.dev/v1alpha1, kind: Backfill, name: reprice, uid: )" +
                                   backfill_uid_ +
                                   R"(, controller: true}
spec:
  completionMode: Indexed
  completions: 1
  parallelism: 1
  template:
    spec:
      restartPolicy: Never
      containers: [{name: worker, image: none}]
)");
    EXPECT_TRUE(job.ok()) << job.error().message;
    std::string pod;
    EXPECT_TRUE(Becomes([&] {
      pod = Run({"get", "pods", "-n", ns_, "-l", "batch.kubernetes.io/job-name=reprice-run", "-o",
                 "jsonpath={.items[*].metadata.name}"});
      return !pod.empty();
    }));
    return pod;
  }
  std::string TokenOf(const std::string& pod, const std::vector<std::string>& more) {
    std::vector<std::string> args = {"create", "token", "default", "-n", ns_};
    if (!pod.empty()) {
      args.insert(args.end(), {"--bound-object-kind=Pod", "--bound-object-name=" + pod,
                               "--bound-object-uid=" + UidOf("pod", pod)});
    }
    args.insert(args.end(), more.begin(), more.end());
    std::string token = Run(args);
    while (!token.empty() && token.back() == '\n') token.pop_back();
    return token;
  }

  Result<std::optional<WorkerIdentity>> Ask(const std::string& token) {
    struct Slot {
      Mutex mu;
      std::condition_variable_any changed;
      std::optional<Result<std::optional<WorkerIdentity>>> answer GUARDED_BY(mu);
    };
    const auto slot = std::make_shared<Slot>();
    authenticator_->Authenticate(token, "", [slot](Result<std::optional<WorkerIdentity>> answer) {
      MutexLock l(slot->mu);
      slot->answer = std::move(answer);
      slot->changed.notify_all();
    });
    MutexLock l(slot->mu);
    if (!slot->changed.wait_for(slot->mu, 30s,
                                [&]() REQUIRES(slot->mu) { return slot->answer.has_value(); }))
      return Error{ErrorCode::kDeadline, "no answer"};
    return *slot->answer;
  }
  std::string Refusal(const std::string& token) {
    const auto answer = Ask(token);
    EXPECT_FALSE(answer.ok());
    return answer.ok() ? "" : answer.error().message;
  }

  const std::string ns_ = cluster::UniqueName("identity");
  const SystemClock clock_;
  std::optional<ControlPlane> plane_;
  std::unique_ptr<kube::RestTransport> transport_;
  std::optional<kube::ApiClient> client_;
  kube::ObjectCache pods_, jobs_, backfills_;  // empty: all is read live
  std::optional<WorkerDirectory> directory_;
  std::optional<TokenAuthenticator> authenticator_;
  std::string backfill_uid_;
};

TEST_F(TokenClusterTest, TheTokenOfAPodOfAJobOfABackfillIsAWorkers) {
  const std::string pod = MakeWorkerPod();
  const auto answer = Ask(TokenOf(pod, {kAudience}));
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(
      (*answer)->stage,
      (reconcile::StageKey{
          .ns = ns_, .name = "reprice", .uid = backfill_uid_, .stage = reconcile::Stage::kRun}));
  EXPECT_EQ((*answer)->worker, "run-0");
  EXPECT_EQ((*answer)->instance, UidOf("pod", pod));
}

// F18
TEST_F(TokenClusterTest, F18_TokensThatAreNotOfAWorkerForUsAreRefused) {
  const std::string pod = MakeWorkerPod();
  const std::string good = TokenOf(pod, {kAudience});
  std::string forged = good;
  forged[forged.rfind('.') + 5] = forged[forged.rfind('.') + 5] == 'A' ? 'B' : 'A';
  EXPECT_EQ(Refusal(forged), "not_authenticated");
  EXPECT_EQ(Refusal("garbage"), "not_authenticated");
  EXPECT_EQ(Refusal(TokenOf(pod, {})), "not_authenticated");  // for the API server
  EXPECT_EQ(Refusal(TokenOf(pod, {"--audience=somebody"})), "not_authenticated");
  EXPECT_EQ(Refusal(TokenOf("", {kAudience})), "no_pod");
  ASSERT_TRUE(plane_
                  ->Apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: stranger, namespace: )" +
                          ns_ + R"(}
spec: {containers: [{name: c, image: none}]}
)")
                  .ok());
  EXPECT_EQ(Refusal(TokenOf("stranger", {kAudience})), "not_our_worker");
}

// F18: refused by what is looked up at once, and by the server itself once it has forgotten that it
// had accepted the token.
TEST_F(TokenClusterTest, F18_AReplayAfterThePodsEndIsRefused) {
  const std::string pod = MakeWorkerPod();
  const std::string token = TokenOf(pod, {kAudience});
  ASSERT_TRUE(Ask(token).ok());
  Run({"delete", "pod", pod, "-n", ns_, "--force", "--grace-period=0", "--wait=false"});
  ASSERT_TRUE(Becomes([&] { return !plane_->Kubectl({"get", "pod", pod, "-n", ns_}).ok(); }));
  EXPECT_EQ(Refusal(token), "pod_gone");
  authenticator_.emplace(*client_, *directory_, clock_,
                         TokenAuthenticatorOptions{.cache = {.accepted = 0s, .refused = 0s}});
  authenticator_->Start();
  EXPECT_TRUE(Becomes([&] { return Refusal(token) == "not_authenticated"; }));
}

}  // namespace
}  // namespace backfill::identity
