// The client against a real API server: what the fakes take for granted of one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operator/kube/client/api_client.h"
#include "operator/kube/client/kube_config.h"
#include "operator/kube/client/reviews.h"
#include "tests/cli/temp_dir.h"
#include "tests/cluster/control_plane.h"
#include "tests/cluster/tcp_proxy.h"
#include "tests/e2e/process.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using cluster::AuditLine;
using cluster::ControlPlane;
using cluster::TcpProxy;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr Resource kConfigMap{
    .type = {.group = "", .version = "v1", .plural = "configmaps", .kind = "ConfigMap"},
    .decode = DecodeMetaOnly};
constexpr Resource kJob{
    .type = {.group = "batch", .version = "v1", .plural = "jobs", .kind = "Job"},
    .decode = DecodeMetaOnly};

// Somebody who talks to the server. Its members go in the order in which they need each other.
struct Caller {
  Caller(const Clock& clock, std::unique_ptr<RestTransport> with, std::vector<std::string>& said)
      : transport(std::move(with)),
        limiter({.interval = std::chrono::milliseconds(5), .burst = 200}, clock),
        client(*transport, &limiter,
               {.on_warning = [&said](std::string_view, std::string_view warning) {
                 said.emplace_back(warning);
               }}) {}
  std::unique_ptr<RestTransport> transport;
  RateLimiter limiter;
  ApiClient client;
};

class ApiClientClusterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<ControlPlane> shared = ControlPlane::Shared();
    if (!shared.ok()) GTEST_SKIP() << shared.error().message;
    plane_.emplace(std::move(shared).value());
    Kubectl({"create", "namespace", ns_});
    me_ = Connect(plane_->kubeconfig());
    ASSERT_TRUE(me_);
  }

  std::string Kubectl(const std::vector<std::string>& args) {
    const Result<std::string> said = plane_->Kubectl(args);
    EXPECT_TRUE(said.ok()) << said.error().message;
    return said.ok() ? *said : "";
  }

  // As the operator finds its API server outside of a cluster. With a token, as that one alone.
  std::unique_ptr<Caller> Connect(const std::string& kubeconfig, const std::string& token = "") {
    Result<ClusterAccess> access = LoadKubeConfig({.files = {kubeconfig}});
    EXPECT_TRUE(access.ok()) << access.error().message;
    if (!access.ok()) return nullptr;
    if (!token.empty()) {
      access->files = {
          .token = token, .ca_pem = access->files.ca_pem, .ca_file = access->files.ca_file};
    }
    auto transport = RestTransport::Make(OptionsFor(*access, {.user_agent = agent_}),
                                         MakeCredentials(*access, clock_), clock_);
    EXPECT_TRUE(transport.ok()) << transport.error().message;
    if (!transport.ok()) return nullptr;
    return std::make_unique<Caller>(clock_, std::move(transport).value(), warnings_);
  }

  [[nodiscard]] CallLimits Within(Duration d = 20s) const {
    return {.deadline = clock_.Steady() + d};
  }
  [[nodiscard]] ObjectKey Key(const std::string& name) const { return {.ns = ns_, .name = name}; }
  [[nodiscard]] static std::string Map(const std::string& name, const std::string& more = "") {
    return R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":")" + name + "\"" + more +
           "}}";
  }
  ApiResult<ApiObjectPtr> Create(const std::string& body) {
    return me_->client.Create(kConfigMap, ns_, body, Within());
  }
  std::string VersionOf(const std::string& name) {
    const auto found = me_->client.Get(kConfigMap, Key(name), Within());
    EXPECT_TRUE(found.ok()) << found.error().message;
    return found.ok() ? (*found)->meta.resource_version : "";
  }
  // What the server has been asked by callers of this test.
  [[nodiscard]] std::vector<AuditLine> Asked() const {
    const auto lines = plane_->Requests(agent_);
    EXPECT_TRUE(lines.ok()) << lines.error().message;
    return lines.ok() ? *lines : std::vector<AuditLine>();
  }
  template <typename T>
  static ApiErrorKind KindOf(const ApiResult<T>& result) {
    EXPECT_FALSE(result.ok());
    return result.ok() ? ApiErrorKind::kInternal : result.error().kind;
  }

  const SystemClock clock_;
  const std::string ns_ = cluster::UniqueName("api-client");
  const std::string agent_ = "api-client-test/" + std::to_string(getpid());
  std::optional<ControlPlane> plane_;
  std::vector<std::string> warnings_;
  std::unique_ptr<Caller> me_;
};

TEST_F(ApiClientClusterTest, CreatesReadsChangesAndDeletes) {
  const auto created = Create(Map("one", R"(,"labels":{"is":"first"})"));
  ASSERT_TRUE(created.ok()) << created.error().message;
  EXPECT_EQ((*created)->meta.ns, ns_);
  EXPECT_FALSE((*created)->meta.uid.empty());
  EXPECT_EQ(KindOf(Create(Map("one"))), ApiErrorKind::kAlreadyExists);

  const auto patched = me_->client.Patch(
      kConfigMap, Key("one"), R"({"metadata":{"labels":{"is":"second"}}})", {}, Within());
  ASSERT_TRUE(patched.ok()) << patched.error().message;
  EXPECT_EQ((*patched)->meta.labels.at("is"), "second");
  EXPECT_NE((*patched)->meta.resource_version, (*created)->meta.resource_version);

  const auto gone =
      me_->client.Delete(kConfigMap, Key("one"), {.uid = (*created)->meta.uid}, Within());
  EXPECT_TRUE(gone.ok()) << gone.error().message;
  EXPECT_EQ(KindOf(me_->client.Get(kConfigMap, Key("one"), Within())), ApiErrorKind::kNotFound);

  EXPECT_TRUE(e2e::TimeUntil(20s, [&] {
    std::vector<std::string> verbs;
    for (const AuditLine& line : Asked()) verbs.push_back(line.verb);
    return ::testing::Matches(ElementsAre("create", "create", "patch", "delete", "get"))(verbs);
  })) << "each call is one request";
}

TEST_F(ApiClientClusterTest, R33_ListsPageByPage) {
  std::vector<std::string> names;
  for (int i = 100; i < 125; ++i) {
    names.push_back("page-" + std::to_string(i));
    ASSERT_TRUE(Create(Map(names.back(), R"(,"labels":{"of":"pages"})")).ok());
  }
  const auto listed = me_->client.ListAll(
      kConfigMap, {.ns = ns_, .label_selector = "of=pages", .page = 10}, 1000, Within());
  ASSERT_TRUE(listed.ok()) << listed.error().message;
  std::vector<std::string> found;
  for (const ApiObjectPtr& item : listed->items) found.push_back(item->meta.name);
  EXPECT_EQ(found, names);
  EXPECT_FALSE(listed->resource_version.empty());
  EXPECT_EQ(KindOf(me_->client.ListAll(kConfigMap, {.ns = ns_, .page = 10}, 15, Within())),
            ApiErrorKind::kTooLarge);
}

TEST_F(ApiClientClusterTest, R1_AListAheadOfTheServerIsGone) {
  const auto ahead =
      me_->client.List(kConfigMap, {.ns = ns_, .resource_version = "1000000000"}, Within());
  EXPECT_EQ(KindOf(ahead), ApiErrorKind::kGone);
  EXPECT_TRUE(ahead.error().HasCause(kCauseVersionTooLarge)) << ahead.error().message;
}

TEST_F(ApiClientClusterTest, ConflictsAreToldApartFromWhatIsInvalid) {
  ASSERT_TRUE(Create(Map("contested", R"(,"finalizers":["example.dev/a"])")).ok());
  const std::string old = VersionOf("contested");
  ASSERT_TRUE(
      me_->client.Patch(kConfigMap, Key("contested"), R"({"data":{"a":"b"}})", {}, Within()).ok());

  const std::string replaced = Map("contested", R"(,"resourceVersion":")" + old + '"');
  EXPECT_EQ(KindOf(me_->client.Update(kConfigMap, Key("contested"), replaced, Within())),
            ApiErrorKind::kConflict);
  // R27
  const std::string merge = R"({"metadata":{"resourceVersion":")" + old + R"("},"data":{"a":"c"}})";
  EXPECT_EQ(KindOf(me_->client.Patch(kConfigMap, Key("contested"), merge, {}, Within())),
            ApiErrorKind::kConflict);
  // R26
  const std::string operations =
      R"([{"op":"test","path":"/metadata/finalizers","value":["example.dev/other"]},)"
      R"({"op":"replace","path":"/metadata/finalizers","value":[]}])";
  EXPECT_EQ(KindOf(me_->client.Patch(kConfigMap, Key("contested"), operations,
                                     {.type = PatchType::kJson}, Within())),
            ApiErrorKind::kInvalid);
  EXPECT_EQ(KindOf(me_->client.Delete(kConfigMap, Key("contested"),
                                      {.uid = "00000000-0000-4000-8000-000000000000"}, Within())),
            ApiErrorKind::kConflict);
  EXPECT_EQ(
      KindOf(me_->client.Delete(kConfigMap, Key("contested"), {.resource_version = old}, Within())),
      ApiErrorKind::kConflict);

  const auto invalid = Create(Map("Not A Name"));
  EXPECT_EQ(KindOf(invalid), ApiErrorKind::kInvalid);
  ASSERT_FALSE(invalid.error().causes.empty());
  EXPECT_EQ(invalid.error().causes.front().field, "metadata.name");

  ASSERT_TRUE(me_->client
                  .Patch(kConfigMap, Key("contested"),
                         R"([{"op":"remove","path":"/metadata/finalizers"}])",
                         {.type = PatchType::kJson}, Within())
                  .ok());
}

TEST_F(ApiClientClusterTest, R28_ApplyDoesNotTakeFieldsFromOthers) {
  // With data, as nobody is noted as the owner of fields while there are none.
  ASSERT_TRUE(
      Create(
          R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"shared"},"data":{"a":"b"}})")
          .ok());
  Kubectl({"patch", "configmap", "shared", "-n", ns_, "--type=merge", "--field-manager=somebody",
           "-p", R"({"data":{"theirs":"1"}})"});
  const std::string ours =
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"shared"},"data":{"ours":"1"}})";
  const auto applied =
      me_->client.Patch(kConfigMap, Key("shared"), ours, {.type = PatchType::kApply}, Within());
  EXPECT_TRUE(applied.ok()) << applied.error().message;
  const std::string theirs =
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"shared"},"data":{"theirs":"2"}})";
  const auto refused =
      me_->client.Patch(kConfigMap, Key("shared"), theirs, {.type = PatchType::kApply}, Within());
  EXPECT_EQ(KindOf(refused), ApiErrorKind::kConflict);
  EXPECT_THAT(refused.error().message, HasSubstr("somebody"));
}

TEST_F(ApiClientClusterTest, R29_TooLargeHasTwoFaces) {
  const auto of_size = [&](std::size_t bytes) {
    return R"({"apiVersion":"v1","kind":"Job","metadata":{"name":"large","annotations":{"x":")" +
           std::string(bytes, 'x') + "\"}}}";
  };
  // A ConfigMap may say so itself, as invalid: what etcd and the server refuse needs another path.
  const auto large = me_->client.Call(
      {.method = HttpMethod::kPost,
       .target = "/apis/coordination.k8s.io/v1/namespaces/" + ns_ + "/leases",
       .content_type = "application/json",
       .body =
           R"({"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"large"},)"
           R"("spec":{"holderIdentity":")" +
           std::string(2 << 20, 'x') + "\"}}"},
      "creating a lease", Within());
  EXPECT_EQ(KindOf(large), ApiErrorKind::kTooLarge) << large.error().message.substr(0, 300);
  const auto larger = me_->client.Create(kJob, ns_, of_size(4 << 20), Within());
  EXPECT_EQ(KindOf(larger), ApiErrorKind::kTooLarge) << larger.error().message.substr(0, 300);
}

TEST_F(ApiClientClusterTest, R30_RefusalsSayWhy) {
  Kubectl({"create", "quota", "none", "-n", ns_, "--hard=count/jobs.batch=0"});
  const std::string job =
      R"({"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"refused"},"spec":{"template":)"
      R"({"spec":{"restartPolicy":"Never","containers":[{"name":"one","image":"localhost/any:1"}]}}}})";
  // The quota counts once a controller has looked at it.
  std::optional<ApiError> refused;
  ASSERT_TRUE(e2e::TimeUntil(30s, [&] {
    const auto created = me_->client.Create(kJob, ns_, job, Within());
    if (!created.ok()) refused = created.error();
    if (created.ok()) (void)me_->client.Delete(kJob, Key("refused"), {}, Within());
    return refused && refused->kind == ApiErrorKind::kForbidden;
  }));
  EXPECT_TRUE(refused->HasCause(kCauseQuotaExceeded)) << refused->message;

  // A finalizer keeps the namespace terminating.
  ASSERT_TRUE(Create(Map("stays", R"(,"finalizers":["example.dev/a"])")).ok());
  Kubectl({"delete", "namespace", ns_, "--wait=false"});
  const auto late = Create(Map("late"));
  EXPECT_EQ(KindOf(late), ApiErrorKind::kForbidden);
  EXPECT_TRUE(late.error().HasCause(kCauseNamespaceTerminating)) << late.error().message;
  EXPECT_TRUE(
      me_->client
          .Patch(kConfigMap, Key("stays"), R"({"metadata":{"finalizers":null}})", {}, Within())
          .ok());
}

TEST_F(ApiClientClusterTest, R31_UnknownFieldsVanishWithAWarning) {
  ASSERT_TRUE(
      Create(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"odd"},"spec":{}})").ok());
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("unknown field \"spec\"")));
}

TEST_F(ApiClientClusterTest, KnowsWhoIsWho) {
  std::string token = Kubectl({"create", "token", "default", "-n", ns_,
                               "--audience=https://kubernetes.default.svc.cluster.local",
                               "--audience=backfill-operator"});
  token.erase(token.find_last_not_of('\n') + 1);

  const auto known = ReviewToken(me_->client, token, {"backfill-operator"}, Within());
  ASSERT_TRUE(known.ok()) << known.error().message;
  EXPECT_TRUE(known->authenticated);
  EXPECT_EQ(known->user.username, "system:serviceaccount:" + ns_ + ":default");
  EXPECT_THAT(known->user.groups, Contains("system:serviceaccounts"));
  EXPECT_THAT(known->audiences, ElementsAre("backfill-operator"));
  const auto elsewhere = ReviewToken(me_->client, token, {"another"}, Within());
  ASSERT_TRUE(elsewhere.ok()) << elsewhere.error().message;
  EXPECT_FALSE(elsewhere->authenticated);

  // That account may do nothing, and knows it.
  const std::unique_ptr<Caller> account = Connect(plane_->kubeconfig(), token);
  ASSERT_TRUE(account);
  const auto refused = account->client.Get(kConfigMap, Key("any"), Within());
  EXPECT_EQ(KindOf(refused), ApiErrorKind::kForbidden);
  EXPECT_THAT(refused.error().message, Not(HasSubstr(token.substr(0, 20))));
  const AccessQuestion question{.verb = "get", .resource = "configmaps", .ns = ns_};
  EXPECT_FALSE(MayI(account->client, question, Within()).value().allowed);
  EXPECT_TRUE(MayI(me_->client, question, Within()).value().allowed);
  EXPECT_FALSE(MayThey(me_->client, known->user, question, Within()).value().allowed);

  const std::unique_ptr<Caller> nobody = Connect(plane_->kubeconfig(), "forged");
  ASSERT_TRUE(nobody);
  EXPECT_EQ(KindOf(nobody->client.Get(kConfigMap, Key("any"), Within())),
            ApiErrorKind::kUnauthenticated);
}

TEST_F(ApiClientClusterTest, R32_AWriteWhoseAnswerIsLostIsNotSentTwice) {
  TcpProxy proxy(plane_->port());
  const cli::TempDir dir;
  const std::unique_ptr<Caller> far = Connect(plane_->KubeconfigThrough(proxy.port(), dir.path()));
  ASSERT_TRUE(far);
  // The answer is to be lost, not the handshake: that takes a connection which is there already.
  // One that the client cannot look at in time, on a busy machine, it does not use again.
  int before = 0;
  for (int attempt = 0; attempt < 5; ++attempt) {
    ASSERT_TRUE(
        far->client.Create(kConfigMap, ns_, Map(cluster::UniqueName("heard")), Within()).ok());
    before = proxy.accepted();
    proxy.CutAfter(20);
    const auto unknown = far->client.Create(kConfigMap, ns_, Map("unheard"), Within());
    ASSERT_EQ(KindOf(unknown), ApiErrorKind::kUnavailable);
    if (proxy.accepted() == before) break;
  }
  ASSERT_EQ(proxy.accepted(), before) << "no connection was used twice";
  EXPECT_TRUE(e2e::TimeUntil(20s, [&] {
    return me_->client.Get(kConfigMap, Key("unheard"), Within()).ok();
  })) << "it has happened all the same";
  const auto again = far->client.Create(kConfigMap, ns_, Map("unheard"), Within());
  EXPECT_EQ(KindOf(again), ApiErrorKind::kAlreadyExists);

  // One that succeeded and one that did not: what got lost was not sent again by itself.
  const auto codes = [&] {
    std::vector<int> of_that_name;
    for (const AuditLine& line : Asked()) {
      if (line.verb == "create" && line.name == "unheard" && line.space == ns_)
        of_that_name.push_back(line.code);
    }
    return of_that_name;
  };
  EXPECT_TRUE(e2e::TimeUntil(20s, [&] { return codes().size() >= 2; }));
  EXPECT_THAT(codes(), ElementsAre(201, 409));
}

TEST_F(ApiClientClusterTest, EndsByItsDeadlineOnASilentConnectionAndGoesOnWithAnother) {
  TcpProxy proxy(plane_->port());
  const cli::TempDir dir;
  const std::unique_ptr<Caller> far = Connect(plane_->KubeconfigThrough(proxy.port(), dir.path()));
  ASSERT_TRUE(far);
  ASSERT_TRUE(far->client.List(kConfigMap, {.ns = ns_}, Within()).ok());

  proxy.GoSilent();
  const Time began = clock_.Steady();
  EXPECT_EQ(KindOf(far->client.List(kConfigMap, {.ns = ns_}, Within(500ms))),
            ApiErrorKind::kDeadline);
  EXPECT_LT(clock_.Steady() - began, 3s);

  proxy.PassThrough();
  const auto listed = far->client.List(kConfigMap, {.ns = ns_}, Within());
  EXPECT_TRUE(listed.ok()) << listed.error().message;
}

}  // namespace
}  // namespace backfill::kube
