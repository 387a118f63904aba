// `kubectl backfill` as its users have it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "operator/api/decode.h"
#include "operator/kube/api_store.h"
#include "operator/report/run_report.h"
#include "tests/cli/temp_dir.h"
#include "tests/cli/written_ledger.h"
#include "tests/cluster/control_plane.h"
#include "tests/e2e/process.h"
#include "tests/operator/kube/cluster/server_access.h"

namespace backfill::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr kube::Durability kPower = kube::Durability::kPower;

// The folder with the binaries of the release build, or of another one.
fs::path BinDir() {
  const char* const other = std::getenv("BACKFILL_BIN");
  return other == nullptr ? fs::path(BACKFILL_BIN_DIR) : fs::path(other);
}

class KubectlBackfillTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<cluster::ControlPlane> shared = cluster::ControlPlane::Shared();
    if (!shared.ok()) GTEST_SKIP() << shared.error().message;
    plane_.emplace(std::move(shared).value());
    if (!fs::exists(BinDir() / "kubectl-backfill")) GTEST_SKIP() << "no kubectl-backfill is built";
    for (const char* plural : {"backfills", "backfillledgers"}) {
      Admin({"apply", "--server-side", "--force-conflicts", "-f",
             std::string(BACKFILL_CRDS) + "/backfill.dev_" + plural + ".yaml"});
      Admin({"wait", "--for=condition=Established", "--timeout=20s",
             std::string("crd/") + plural + ".backfill.dev"});
    }
    Admin({"create", "namespace", space_});
    Allow("viewer", "get,list,watch", "backfills.backfill.dev,backfillledgers.backfill.dev");
    Allow("editor", "get,list,watch,patch", "backfills.backfill.dev");
    transport_ =
        Must(kube::Connect(Must(kube::ReadAccess(plane_->kubeconfig())), "cli-test", clock_));
    store_.emplace(*transport_, *transport_, clock_, kube::ApiStore::Options{});
    Declare("reprice");
  }

  std::string Admin(const std::vector<std::string>& args) {
    const Result<std::string> said = plane_->Kubectl(args);
    EXPECT_TRUE(said.ok()) << said.error().message;
    return said.ok() ? *said : "";
  }
  // A user who has that role in the namespace and nothing else, with a kubeconfig of his own.
  void Allow(const std::string& user, const std::string& verbs, const std::string& resources) {
    Admin({"create", "serviceaccount", user, "-n", space_});
    Admin({"create", "role", user, "-n", space_, "--verb=" + verbs, "--resource=" + resources});
    Admin({"create", "rolebinding", user, "-n", space_, "--role=" + user,
           "--serviceaccount=" + space_ + ":" + user});
    std::string token = Admin({"create", "token", user, "-n", space_});
    token.erase(token.find_last_not_of('\n') + 1);
    WriteKubeconfig(user, token);
  }
  void WriteKubeconfig(const std::string& user, const std::string& token) {
    const fs::path file = KubeconfigOf(user);
    fs::copy_file(plane_->kubeconfig(), file);
    const std::string at = "--kubeconfig=" + file.string();
    const std::string cluster =
        Admin({at, "config", "view", "-o", "jsonpath={.contexts[0].context.cluster}"});
    Admin({at, "config", "set-credentials", user, "--token=" + token});
    Admin({at, "config", "set-context", user, "--cluster=" + cluster, "--user=" + user,
           "--namespace=" + space_});
    Admin({at, "config", "use-context", user});
  }
  fs::path KubeconfigOf(const std::string& user) const { return dir_ / (user + ".kubeconfig"); }

  // As `user` types it: kubectl finds the plugin on PATH.
  std::unique_ptr<e2e::Process> StartAs(const std::string& user,
                                        const std::vector<std::string>& args) {
    std::vector<std::string> all{BACKFILL_KUBECTL, "backfill"};
    all.insert(all.end(), args.begin(), args.end());
    return std::make_unique<e2e::Process>(all, Options(KubeconfigOf(user).string()));
  }
  e2e::Exit As(const std::string& user, const std::vector<std::string>& args) {
    return StartAs(user, args)->Wait(60s);
  }
  e2e::Process::Options Options(const std::string& kubeconfig) const {
    const fs::path dir = dir_ / ("process-" + std::to_string(++processes_));
    fs::create_directories(dir);
    const fs::path suppressions = dir / "lsan";
    std::ofstream(suppressions) << "leak:libcpprest\n";
    return {.dir = dir,
            .env = {{"KUBECONFIG", kubeconfig},
                    {"HOME", dir_.path().string()},
                    // A process that ends cuts its watch short, and the HTTP library loses some
                    // hundred bytes by that. Only a build with ASAN looks.
                    {"LSAN_OPTIONS", "print_suppressions=0:suppressions=" + suppressions.string()},
                    {"PATH", BinDir().string() + ":/usr/bin:/bin"}},
            .max_files = {}};
  }

  // A real run that goes on, with the ledger of a coordinator.
  void Declare(const std::string& name) {
    api::Backfill b =
        *api::DecodeBackfill(
             "apiVersion: backfill.dev/v1alpha1\nkind: Backfill\nmetadata: {name: " + name +
                 ", namespace: " + space_ + R"(}
spec:
  source: {range: {start: 0, end: 6000}}
  target: {http: {url: "http://orders/{{key}}", method: POST}}
  dryRun: false
  performDisruptiveBackfill: )" +
                 name + "\n  throttle: {maxRecordsPerSecond: 500}\n",
             "test")
             .backfill;
    b = Must(api::FromObject(Must(store_->Create(api::ToObject(b), kPower))));
    const plan::Plan plan = PlanOfTens(600);
    SetPhase(name, api::Phase::kRunning, plan.hash);
    const Status written = WriteLedgerOfRun(
        *store_, {.ns = space_, .name = name, .uid = b.uid, .stage = reconcile::Stage::kRun}, plan,
        /*failed_key=*/"7");
    ASSERT_TRUE(written.ok()) << written.error().message;
    ASSERT_TRUE(report::ReportStore(*store_).Begin(b, clock_.Wall()).ok());
  }
  void SetPhase(const std::string& name, api::Phase phase, const std::string& hash = "") {
    api::Backfill b = OnServer(name);
    b.status.observed_generation = b.generation;
    b.status.phase = phase;
    if (!hash.empty())
      b.status.plan = api::PlanStatus{
          .hash = hash, .shards = 600, .records = 6000, .time = FormatWallTime(clock_.Wall())};
    b.status.progress = api::ProgressStatus{.records = 10, .updated = 9, .failed = 1, .ratio = {}};
    const bool ended = phase == api::Phase::kCompleted;
    b.status.conditions = {
        {"Ready", api::ConditionStatus::kTrue, std::string(api::ToString(phase)), "", b.generation,
         FormatWallTime(clock_.Wall())},
        {"Succeeded", ended ? api::ConditionStatus::kTrue : api::ConditionStatus::kUnknown,
         std::string(api::ToString(phase)), "", b.generation, FormatWallTime(clock_.Wall())}};
    Must(store_->UpdateStatus(api::ToObject(b), kPower));
  }
  api::Backfill OnServer(const std::string& name) {
    return Must(api::FromObject(Must(store_->Get({"Backfill", space_, name}))));
  }

  template <typename T>
  static T Must(Result<T> result) {
    if (!result.ok()) {
      ADD_FAILURE() << result.error().message;
      std::abort();
    }
    return std::move(result).value();
  }

  const SystemClock clock_;
  std::optional<cluster::ControlPlane> plane_;
  const std::string space_ = cluster::UniqueName("cli");
  TempDir dir_;
  mutable int processes_ = 0;
  std::unique_ptr<kube::RestTransport> transport_;
  std::optional<kube::ApiStore> store_;
};

TEST_F(KubectlBackfillTest, AViewerSeesWhatGoesOn) {
  const e2e::Exit status = As("viewer", {"status", "reprice"});
  EXPECT_EQ(status.code, 0) << status.err;
  EXPECT_THAT(status.out,
              AllOf(HasSubstr("Namespace:    " + space_), HasSubstr("Phase:        Running")));
  const e2e::Exit all = As("viewer", {"status", "-o", "wide"});
  EXPECT_EQ(all.code, 0) << all.err;
  EXPECT_THAT(all.out, AllOf(StartsWith("NAMESPACE"), HasSubstr("reprice")));
  const e2e::Exit document = As("viewer", {"status", "reprice", "-o", "json"});
  EXPECT_EQ(json::parse(document.out)["status"]["phase"], "Running");

  const e2e::Exit shards = As("viewer", {"shards", "reprice", "-o", "json"});
  EXPECT_EQ(shards.code, 0) << shards.err;
  EXPECT_EQ(std::ranges::count(shards.out, '\n'), 600);
  const e2e::Exit failures = As("viewer", {"failures", "reprice"});
  EXPECT_EQ(failures.code, 0) << failures.err;
  EXPECT_THAT(failures.out, HasSubstr("422 total is negative"));
  // The report's ConfigMap is beyond this role: it does without.
  const e2e::Exit report = As("viewer", {"report", "reprice", "-o", "markdown"});
  EXPECT_EQ(report.code, 0) << report.err;
  EXPECT_THAT(report.err, AllOf(HasSubstr("note:"), HasSubstr("cannot get resource")));
}

TEST_F(KubectlBackfillTest, AViewerIsToldWhatIsBeyondTheRole) {
  const e2e::Exit all = As("viewer", {"status", "-A"});
  EXPECT_EQ(all.code, 1);
  EXPECT_THAT(all.err, AllOf(HasSubstr("cannot list resource \"backfills\""),
                             HasSubstr("at the cluster scope"), HasSubstr("backfill-viewer")));
  const e2e::Exit pause = As("viewer", {"pause", "reprice"});
  EXPECT_EQ(pause.code, 1);
  EXPECT_THAT(pause.err, AllOf(HasSubstr("cannot patch resource \"backfills\""),
                               HasSubstr("in the namespace \"" + space_ + "\""),
                               HasSubstr("backfill-editor")));
  EXPECT_THAT(OnServer("reprice").annotations, IsEmpty());
  const e2e::Exit typo = As("viewer", {"status", "repice"});
  EXPECT_EQ(typo.code, 1);
  EXPECT_THAT(typo.err, HasSubstr("did you mean \"reprice\"?"));
}

TEST_F(KubectlBackfillTest, AnEditorPausesUnderAFieldManagerOfItsOwn) {
  const e2e::Exit pause = As("editor", {"pause", "reprice"});
  ASSERT_EQ(pause.code, 0) << pause.err;
  EXPECT_THAT(pause.out, HasSubstr("system:serviceaccount:" + space_ + ":editor"));
  const json object = json::parse(
      Admin({"get", "backfill", "reprice", "-n", space_, "-o", "json", "--show-managed-fields"}));
  bool found = false;
  for (const json& entry : object["metadata"]["managedFields"]) {
    if (entry["manager"] != "backfill-cli") continue;
    found = true;
    EXPECT_FALSE(entry["fieldsV1"].contains("f:spec")) << entry;
    EXPECT_EQ(entry["fieldsV1"]["f:metadata"].size(), 1U) << "annotations alone: " << entry;
  }
  EXPECT_TRUE(found) << object["metadata"]["managedFields"];
  const e2e::Exit resume = As("editor", {"resume", "reprice"});
  EXPECT_EQ(resume.code, 0) << resume.err;
  EXPECT_FALSE(OnServer("reprice").annotations.contains(api::kPausedAnnotation));
}

TEST_F(KubectlBackfillTest, AWatcherSeesTheEnd) {
  const auto watching = StartAs("viewer", {"watch", "reprice"});
  ASSERT_TRUE(e2e::TimeUntil(20s, [&] {
    return watching->Err().find("reprice: Running") != std::string::npos;
  })) << watching->Err();
  const auto waiting = StartAs("viewer", {"status", "reprice", "--wait"});
  SetPhase("reprice", api::Phase::kCompleted);
  const e2e::Exit watched = watching->Wait(20s);
  EXPECT_EQ(watched.code, 0) << watched.err;
  EXPECT_THAT(watched.out, HasSubstr("Phase:        Completed"));
  EXPECT_EQ(waiting->Wait(20s).code, 0);
}

TEST_F(KubectlBackfillTest, SaysWhatIsWrongWithTheWayThere) {
  const std::string program = (BinDir() / "kubectl-backfill").string();
  const auto run = [&](const std::string& kubeconfig, const std::vector<std::string>& more) {
    std::vector<std::string> args{program, "status"};
    args.insert(args.end(), more.begin(), more.end());
    return e2e::Process(args, Options(kubeconfig)).Wait(30s);
  };
  const e2e::Exit none = run((dir_ / "absent").string(), {});
  EXPECT_EQ(none.code, 1);
  EXPECT_THAT(none.err, HasSubstr("there is no kubeconfig at " + (dir_ / "absent").string()));
  const e2e::Exit context = run(KubeconfigOf("viewer").string(), {"--context", "viwer"});
  EXPECT_EQ(context.code, 1);
  EXPECT_THAT(context.err,
              AllOf(HasSubstr("there is no context 'viwer'; there are: "), HasSubstr("viewer")));

  WriteKubeconfig("stranger", "not-a-token");
  const e2e::Exit stranger = run(KubeconfigOf("stranger").string(), {});
  EXPECT_EQ(stranger.code, 1);
  EXPECT_THAT(stranger.err, AllOf(HasSubstr("(context stranger)"), HasSubstr("401"),
                                  Not(HasSubstr("not-a-token"))));

  const fs::path away = dir_ / "away";
  e2e::WriteFile(away,
                 "{apiVersion: v1, kind: Config, current-context: c,"
                 " clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}],"
                 " contexts: [{name: c, context: {cluster: c}}]}");
  const e2e::Exit unreachable = run(away.string(), {});
  EXPECT_EQ(unreachable.code, 1);
  EXPECT_THAT(unreachable.err, AllOf(HasSubstr("https://127.0.0.1:1 (context c)"),
                                     HasSubstr("cannot be used now: ")));
}

TEST_F(KubectlBackfillTest, KubectlListsAndCompletesIt) {
  const auto list =
      e2e::Process({BACKFILL_KUBECTL, "plugin", "list"}, Options(KubeconfigOf("viewer").string()))
          .Wait(30s);
  EXPECT_THAT(list.out, HasSubstr("/kubectl-backfill"));
  const auto completion = e2e::Process({BACKFILL_KUBECTL, "__complete", "backfill", "pause", ""},
                                       Options(KubeconfigOf("viewer").string()))
                              .Wait(30s);
  EXPECT_THAT(completion.out, AllOf(HasSubstr("reprice\n"), HasSubstr(":4")));
}

TEST_F(KubectlBackfillTest, AsksForNothingBeyondTheRoles) {
  As("viewer", {"status", "reprice"});
  As("viewer", {"shards", "reprice"});
  As("editor", {"pause", "reprice"});
  std::vector<cluster::AuditLine> lines;
  ASSERT_TRUE(e2e::TimeUntil(20s, [&] {
    lines = Must(plane_->Requests("backfill-cli/"));
    return std::ranges::any_of(
        lines, [&](const cluster::AuditLine& l) { return l.space == space_ && l.verb == "patch"; });
  }));
  for (const cluster::AuditLine& line : lines) {
    if (line.space != space_) continue;
    EXPECT_THAT(line.verb, testing::AnyOf("get", "list", "watch", "patch")) << line.uri;
    EXPECT_THAT(line.resource, testing::AnyOf("backfills", "backfillledgers")) << line.uri;
    EXPECT_EQ(line.code, 200) << line.uri;
  }
}

}  // namespace
}  // namespace backfill::cli
