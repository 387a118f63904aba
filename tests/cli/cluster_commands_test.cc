// Commands that look at a cluster: what they ask of the API server, and what they say of its
// answers.
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/exit_code.h"
#include "tests/cli/cluster_fixture.h"
#include "tests/cli/golden.h"

namespace backfill::cli {
namespace {

using api::Phase;
using fakes::Fault;
using testing::AllOf;
using testing::Each;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

using ClusterCommandsTest = ClusterFixture;

// ---- where they look

TEST_F(ClusterCommandsTest, LookIntoTheNamespaceOfTheContext) {
  Declare(InShop(Phase::kRunning));
  EXPECT_EQ(Plugin({"status", "reprice"}), kExitDone) << err();
  EXPECT_THAT(out(), AllOf(HasSubstr("Namespace:    shop"), HasSubstr("Phase:        Running")));
  facts_.ns = "";
  EXPECT_EQ(Plugin({"status", "reprice"}), kExitNotStarted) << "the namespace is default";
  EXPECT_EQ(Plugin({"status", "reprice", "-n", "shop"}), kExitDone);
  facts_.ns = "../x";
  EXPECT_EQ(Plugin({"status"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("\"../x\", of the context, cannot be the name of a namespace"));
  EXPECT_EQ(Plugin({"status", "reprice", "-n", "shop"}), kExitDone);
}

TEST_F(ClusterCommandsTest, TakeTheContextThatIsNamed) {
  EXPECT_EQ(Plugin({"status", "--context", "prod", "--kubeconfig", "/k"}), kExitDone) << err();
  EXPECT_EQ(chosen_, (ClusterChoice{.context = "prod", .kubeconfig = "/k"}));
}

TEST_F(ClusterCommandsTest, LookAtAClusterUnderTheOtherNameOnlyIfTold) {
  env_.called_as = CalledAs::kBackfill;
  Declare(InShop(Phase::kRunning));
  EXPECT_EQ(Plugin({"status", "--state-dir", state_dir()}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("no state in DIR/state"));
  EXPECT_FALSE(chosen_);
  EXPECT_EQ(Plugin({"status", "reprice", "--cluster"}), kExitDone) << err();
  EXPECT_EQ(Plugin({"status", "reprice", "--context", "dev"}), kExitDone) << err();
}

TEST_F(ClusterCommandsTest, DoNotRunOrApply) {
  EXPECT_EQ(Plugin({"run", "-f", "r.yaml", "-n", "shop"}), kExitNotStarted);
  EXPECT_EQ(
      err(),
      "error: run is for this machine; on a cluster it is: kubectl apply -f r.yaml -n shop\n");
  EXPECT_EQ(Plugin({"apply", "-f", "r.yaml", "--context", "dev"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("on a cluster it is: kubectl apply -f r.yaml --context dev\n"));
  EXPECT_FALSE(chosen_) << "nothing was asked for that";
}

// ---- status

TEST_F(ClusterCommandsTest, StatusListsOneNamespaceOrAll) {
  Declare(InShop(Phase::kRunning));
  api::Backfill other = InShop(Phase::kCompleted, "reindex");
  other.ns = "other";
  Declare(other);
  EXPECT_EQ(Plugin({"status"}), kExitDone);
  EXPECT_THAT(out(), AllOf(HasSubstr("reprice"), Not(HasSubstr("reindex"))));
  EXPECT_THAT(out(), HasSubstr("4,980/s")) << "the operator runs it";
  EXPECT_EQ(Plugin({"status", "-A"}), kExitDone);
  EXPECT_THAT(out(), AllOf(HasSubstr("reprice"), HasSubstr("reindex")));
  EXPECT_EQ(Plugin({"status", "-n", "default"}), kExitDone);
  EXPECT_EQ(err(), "no backfills in namespace default\n");
  EXPECT_EQ(Plugin({"status", "-A", "-n", "shop"}), kExitNotStarted);
  EXPECT_EQ(Plugin({"status", "reprice", "-A"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("say which with -n"));
}

TEST_F(ClusterCommandsTest, StatusIsWideJsonAndYaml) {
  Declare(InShop(Phase::kRunning));
  EXPECT_EQ(Plugin({"status", "-o", "wide"}), kExitDone);
  EXPECT_THAT(out(), AllOf(HasSubstr("SHARDS"), HasSubstr("481/1000"), HasSubstr("7/8")));
  EXPECT_EQ(Plugin({"status", "reprice", "-o", "json"}), kExitDone);
  EXPECT_EQ(nlohmann::json::parse(out()).at("metadata").at("namespace"), "shop");
  EXPECT_EQ(Plugin({"status", "-o", "yaml"}), kExitDone);
  EXPECT_THAT(
      out(), AllOf(StartsWith("apiVersion: backfill.dev/v1alpha1\n"), HasSubstr("phase: Running")));
}

TEST_F(ClusterCommandsTest, StatusSaysWhatToDoInWordsOfTheCluster) {
  api::Backfill paused = InShop(Phase::kPaused);
  paused.annotations[api::kPausedAnnotation] = "errors in checkout";
  Declare(paused);
  EXPECT_EQ(Plugin({"status", "reprice"}), kExitDone);
  EXPECT_THAT(out(), HasSubstr("Next:         continue with: kubectl backfill resume reprice\n"));
  Declare(InShop(Phase::kRunning, "goes"));
  EXPECT_EQ(Plugin({"status", "goes"}), kExitDone);
  EXPECT_THAT(out(), AllOf(Not(HasSubstr("Next:")), Not(HasSubstr("Run by:"))));
}

TEST_F(ClusterCommandsTest, StatusTellsWhenNoOperatorHasSeenIt) {
  api::Backfill b = InShop(Phase::kRunning);
  b.status = {};
  Must(cluster_.Create(api::ToObject(b), kPower));
  EXPECT_EQ(Plugin({"status", "reprice"}), kExitDone);
  EXPECT_THAT(out(), HasSubstr("no operator has seen it yet; is one running?"));
}

TEST_F(ClusterCommandsTest, OneThatCannotBeReadHidesNoOther) {
  Declare(InShop(Phase::kRunning));
  server_.UseSchema("backfills", nullptr);  // of a version that knows more
  ASSERT_EQ(
      server_
          .Do(kube::HttpMethod::kPost, "/apis/backfill.dev/v1alpha1/namespaces/shop/backfills",
              R"({"apiVersion":"backfill.dev/v1alpha1","kind":"Backfill",
                        "metadata":{"name":"odd"},"spec":{"new":"\u001b[2J"}})")
          .status,
      201);
  EXPECT_EQ(Plugin({"status"}), kExitNotStarted);
  EXPECT_THAT(out(), HasSubstr("reprice"));
  EXPECT_THAT(err(), AllOf(HasSubstr("odd"), Not(HasSubstr("\x1b"))));
  EXPECT_EQ(Plugin({"status", "odd"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("is this program older than the cluster's operator?"));
}

TEST_F(ClusterCommandsTest, StatusWaitTellsHowItEnds) {
  Declare(InShop(Phase::kCompleted, "done"));
  Declare(InShop(Phase::kFailed, "bad"));
  Declare(InShop(Phase::kPaused, "held"));
  Declare(InShop(Phase::kRunning, "goes"));
  EXPECT_EQ(Plugin({"status", "done", "--wait"}), kExitDone);
  EXPECT_EQ(Plugin({"status", "bad", "--wait"}), kExitFailed);
  EXPECT_EQ(Plugin({"status", "held", "--wait"}), kExitStopped);
  EXPECT_EQ(Plugin({"status", "goes", "--wait", "--timeout", "100ms"}), kExitStopped);
  EXPECT_THAT(err(), HasSubstr("goes has not ended after 100 ms"));
}

// ---- errors

TEST_F(ClusterCommandsTest, GuessTheNameThatWasMeant) {
  Declare(InShop(Phase::kRunning));
  for (const std::string command :
       {"status", "watch", "failures", "shards", "report", "pause", "resume"}) {
    EXPECT_EQ(Plugin({command, "repice"}), kExitNotStarted);
    EXPECT_EQ(err(), "error: no backfill \"repice\" in namespace shop; did you mean \"reprice\"?\n")
        << command;
  }
  EXPECT_EQ(Plugin({"status", "reprice", "-n", "other"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("there is one in namespace shop: add -n shop"));
}

TEST_F(ClusterCommandsTest, GuessAlsoForWhoMayLookIntoOneNamespaceOnly) {
  Declare(InShop(Phase::kRunning));
  server_.FailNext(1, Fault::ForbiddenByRole(), {.verb = "list", .plural = "backfills"});
  EXPECT_EQ(Plugin({"status", "repice"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("did you mean \"reprice\"?"));
}

TEST_F(ClusterCommandsTest, NameTheRoleThatIsMissing) {
  Declare(InShop(Phase::kRunning));
  server_.FailAlways(Fault::ForbiddenByRole());
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"status"}, {"status", "reprice"}, {"watch", "reprice"}, {"shards", "reprice"}}) {
    EXPECT_EQ(Plugin(command), kExitNotStarted);
    EXPECT_THAT(err(), AllOf(HasSubstr("403 Forbidden"), HasSubstr("the role backfill-viewer")))
        << command.front();
  }
  server_.Heal();
  server_.FailAlways(Fault::ForbiddenByRole(), {.verb = "patch"});
  EXPECT_EQ(Plugin({"pause", "reprice"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("the role backfill-editor"));
}

TEST_F(ClusterCommandsTest, SayWhichServerDoesNotKnowUs) {
  server_.FailAlways(Fault::Unauthorized());
  EXPECT_EQ(Plugin({"status"}), kExitNotStarted);
  EXPECT_THAT(err(), AllOf(HasSubstr("https://cluster.example:6443 (context dev)"),
                           HasSubstr("401 Unauthorized"), HasSubstr("log in again")));
}

TEST_F(ClusterCommandsTest, SayWhichServerCannotBeReached) {
  server_.GoDown();
  for (const std::string command :
       {"status", "watch", "failures", "shards", "report", "pause", "resume"}) {
    EXPECT_EQ(Plugin({command, "reprice"}), kExitNotStarted);
    EXPECT_THAT(err(), HasSubstr("https://cluster.example:6443 (context dev) cannot be used now"))
        << command;
  }
}

TEST_F(ClusterCommandsTest, AskWhetherTheOperatorIsInstalled) {
  // As a server says it of a kind that it does not have.
  server_.FailAlways(Fault::Status(404, "", "404 page not found"));
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"status"}, {"status", "reprice"}, {"watch", "reprice"}, {"pause", "reprice"}}) {
    EXPECT_EQ(Plugin(command), kExitNotStarted);
    EXPECT_THAT(err(), HasSubstr("is the operator installed there?")) << command.front();
  }
}

TEST_F(ClusterCommandsTest, PassOnWhyThereIsNoConnection) {
  connect_error_ = Error{ErrorCode::kNotFound, "there is no context \"\x1b[2J\"; there are: dev"};
  EXPECT_EQ(Plugin({"status"}), kExitNotStarted);
  EXPECT_EQ(err(), "error: there is no context \"\\x1b[2J\"; there are: dev\n");
}

// ---- shards, failures, report, retry

TEST_F(ClusterCommandsTest, ShardsAndFailuresAreReadFromTheLedgers) {
  Declare(InShop(Phase::kRunning));
  WriteLedger("reprice", 600);
  server_.ForgetCalls();
  EXPECT_EQ(Plugin({"shards", "reprice"}), kExitDone) << err();
  EXPECT_THAT(out(), AllOf(HasSubstr("run-0/abc"), HasSubstr("\n1099 ")));
  EXPECT_THAT(err(), IsEmpty()) << "the operator runs it";
  EXPECT_EQ(Plugin({"failures", "reprice"}), kExitDone) << err();
  EXPECT_THAT(out(), AllOf(HasSubstr("7\\x1b[2J"), HasSubstr("422 total is negative")));
  // What the role of a viewer has: nothing else was asked for.
  EXPECT_THAT(server_.Calls(), Each(AllOf(Field(&fakes::ServedCall::verb, "get"),
                                          Field(&fakes::ServedCall::ns, "shop"))));
}

TEST_F(ClusterCommandsTest, ADamagedLedgerIsAnError) {
  Declare(InShop(Phase::kRunning));
  WriteLedger("reprice", 3);
  kube::Object chunk =
      Must(cluster_.Get({"BackfillLedger", "shop", coordinator::ChunkName(RunOf(OnServer()), 0)}));
  auto content = nlohmann::json::parse(chunk.content);
  content["data"] = "AAAA";
  chunk.content = content.dump();
  Must(cluster_.Update(chunk, kPower));
  EXPECT_EQ(Plugin({"shards", "reprice"}), kExitNotStarted);
  EXPECT_THAT(err(), StartsWith("error: "));
}

TEST_F(ClusterCommandsTest, ReportTellsWhenItBegan) {
  Declare(InShop(Phase::kRunning));
  WriteLedger("reprice", 3);
  const WallTime noon = Noon();
  ASSERT_TRUE(report::ReportStore(cluster_).Begin(OnServer(), noon).ok());
  EXPECT_EQ(Plugin({"report", "reprice"}), kExitDone) << err();
  EXPECT_THAT(out(), HasSubstr("2026-05-01T12:00:00Z"));
  EXPECT_EQ(Plugin({"report", "reprice", "-o", "json"}), kExitDone);
  EXPECT_TRUE(nlohmann::json::accept(out()));
}

TEST_F(ClusterCommandsTest, ReportDoesWithoutTheRightToReadConfigMaps) {
  Declare(InShop(Phase::kRunning));
  server_.FailAlways(Fault::ForbiddenByRole(), {.plural = "configmaps"});
  EXPECT_EQ(Plugin({"report", "reprice"}), kExitDone);
  EXPECT_THAT(err(), AllOf(StartsWith("note: when it began and ended is not known"),
                           HasSubstr("403 Forbidden")));
  EXPECT_THAT(out(), HasSubstr("reprice"));
}

TEST_F(ClusterCommandsTest, RetryPrintsAFileForKubectl) {
  Declare(InShop(Phase::kCompleted));
  WriteLedger("reprice", 3);
  EXPECT_EQ(Plugin({"retry", "reprice", "--name", "again", "-f", "-"}), kExitDone) << err();
  EXPECT_THAT(out(), HasSubstr("failuresOf"));
  EXPECT_EQ(Plugin({"retry", "reprice", "--name", "again", "-f", (dir_ / "a.yaml").string()}),
            kExitDone);
  EXPECT_THAT(err(), HasSubstr("try it with: kubectl apply -f DIR/a.yaml\n"));
}

// ---- pause and resume

TEST_F(ClusterCommandsTest, PausePatchesAnnotationsAndNothingElse) {
  Declare(InShop(Phase::kRunning));
  const api::Backfill before = OnServer();
  server_.ForgetCalls();
  EXPECT_EQ(Plugin({"pause", "reprice", "--reason", "errors in checkout"}), kExitDone) << err();
  EXPECT_EQ(out(), "reprice: paused by hand: errors in checkout\n");
  EXPECT_THAT(err(), IsEmpty());
  EXPECT_EQ(OnServer().annotations.at(api::kPausedAnnotation), "errors in checkout");
  EXPECT_EQ(OnServer().generation, before.generation);
  EXPECT_EQ(server_.Count({.verb = "update"}), 0);
  const auto patches = server_.Calls({.verb = "patch"});
  ASSERT_EQ(patches.size(), 1U);
  EXPECT_THAT(patches[0].target, HasSubstr("fieldManager=backfill-cli"));
  EXPECT_EQ(patches[0].subresource, "");
  const auto body = nlohmann::json::parse(patches[0].body);
  EXPECT_EQ(body.size(), 1U);
  EXPECT_EQ(body["metadata"].size(), 2U) << "annotations, and the version they were made from";
  EXPECT_EQ(body["metadata"]["resourceVersion"], before.resource_version);

  EXPECT_EQ(Plugin({"resume", "reprice"}), kExitDone) << err();
  EXPECT_EQ(out(), "reprice is no longer paused\n");
  EXPECT_FALSE(OnServer().annotations.contains(api::kPausedAnnotation));
  EXPECT_EQ(Plugin({"resume", "reprice"}), kExitDone);
  EXPECT_EQ(out(), "reprice was not paused\n");
}

TEST_F(ClusterCommandsTest, PauseReadsAgainWhatTheOperatorWroteMeanwhile) {  // R25
  Declare(InShop(Phase::kRunning));
  server_.FailNext(3, Fault::Status(409, "Conflict", "the object has been modified"),
                   {.verb = "patch"});
  server_.ForgetCalls();
  EXPECT_EQ(Plugin({"pause", "reprice"}), kExitDone) << err();
  EXPECT_EQ(server_.Count({.verb = "patch"}), 4);
  server_.FailAlways(Fault::Status(409, "Conflict", "the object has been modified"),
                     {.verb = "patch"});
  EXPECT_EQ(Plugin({"resume", "reprice"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("each of 20 times; try again"));
}

TEST_F(ClusterCommandsTest, PauseNamesWhoTheServerSaysWeAre) {
  Declare(InShop(Phase::kRunning));
  EXPECT_EQ(Plugin({"pause", "reprice"}), kExitDone);
  EXPECT_THAT(OnServer().annotations.at(api::kPausedAnnotation), StartsWith("paused by ann at "))
      << "this server does not say";
}

TEST_F(ClusterCommandsTest, ResumePointsToTheFileThatPauses) {
  api::Backfill b = InShop(Phase::kPaused);
  b.annotations.clear();
  b.spec.paused = true;
  Declare(b);
  EXPECT_EQ(Plugin({"resume", "reprice"}), kExitStopped);
  EXPECT_THAT(err(), HasSubstr("set spec.paused: false there, then kubectl apply -f FILE"));
}

TEST_F(ClusterCommandsTest, PauseWaitsForTheOperator) {
  Declare(InShop(Phase::kRunning));
  std::jthread command([this] { EXPECT_EQ(Plugin({"pause", "reprice", "--wait"}), kExitDone); });
  ASSERT_TRUE(server_.AwaitStreams(1, "backfills"));
  SetStatusOf("reprice", InShop(Phase::kPaused).status);
  command.join();
  EXPECT_THAT(out(), HasSubstr("reprice is paused\n")) << err();
}

// ---- watch

class ClusterWatchTest : public ClusterFixture {
 protected:
  void StartWatching() {
    watching_ = std::jthread([this] { code_ = Plugin({"watch", "reprice"}); });
    ASSERT_TRUE(server_.AwaitStreams(1, "backfills"));
  }
  int EndOfWatching() {
    watching_.join();
    return code_;
  }
  std::jthread watching_;
  int code_ = -1;
};

TEST_F(ClusterWatchTest, EndsWithTheBackfill) {
  Declare(InShop(Phase::kRunning));
  StartWatching();
  SetStatusOf("reprice", InShop(Phase::kCompleted).status);
  EXPECT_EQ(EndOfWatching(), kExitDone) << err();
  EXPECT_THAT(err(), StartsWith("reprice: Running, 48.1 %"));
  EXPECT_THAT(out(), HasSubstr("Phase:        Completed"));
}

TEST_F(ClusterWatchTest, AsksForOneObjectAndThenNothing) {
  Declare(InShop(Phase::kRunning));
  server_.ForgetCalls();
  StartWatching();
  EXPECT_LE(server_.Count({.verb = "list"}), 1);
  EXPECT_EQ(server_.Count({.verb = "get"}), 0);
  EXPECT_THAT(server_.Calls({.verb = "list"}).at(0).target,
              HasSubstr("fieldSelector=metadata.name%3Dreprice"));
  SetStatusOf("reprice", InShop(Phase::kFailed).status);
  EXPECT_EQ(EndOfWatching(), kExitFailed);
}

TEST_F(ClusterWatchTest, R4_OutlivesConnectionsThatBreakAndAServerThatIsAway) {
  Declare(InShop(Phase::kRunning));
  StartWatching();
  server_.CutStreams();
  ASSERT_TRUE(server_.AwaitStreams(1, "backfills"));
  server_.GoDown();
  server_.ComeBack();
  ASSERT_TRUE(server_.AwaitStreams(1, "backfills"));
  SetStatusOf("reprice", InShop(Phase::kCompleted).status);
  EXPECT_EQ(EndOfWatching(), kExitDone) << err();
}

TEST_F(ClusterWatchTest, R3_GoesOnWhereTheVersionHasExpired) {
  Declare(InShop(Phase::kRunning));
  StartWatching();
  server_.ExpireStreams();
  SetStatusOf("reprice", InShop(Phase::kCompleted).status);
  EXPECT_EQ(EndOfWatching(), kExitDone) << err();
}

TEST_F(ClusterWatchTest, SaysWhenTheBackfillIsDeleted) {
  Declare(InShop(Phase::kRunning));
  StartWatching();
  ASSERT_TRUE(cluster_.Delete({"Backfill", "shop", "reprice"}, "").ok());
  EXPECT_EQ(EndOfWatching(), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("no backfill \"reprice\" in namespace shop"));
}

TEST_F(ClusterWatchTest, LooksNowAndThenWhereItMayNotWatch) {
  Declare(InShop(Phase::kRunning));
  server_.FailAlways(Fault::ForbiddenByRole(), {.verb = "list"});
  server_.FailAlways(Fault::ForbiddenByRole(), {.verb = "watch"});
  server_.ForgetCalls();
  std::jthread watching([this] { code_ = Plugin({"watch", "reprice"}); });
  while (server_.Count({.verb = "get"}) == 0) std::this_thread::yield();
  SetStatusOf("reprice", InShop(Phase::kCompleted).status);
  watching.join();
  EXPECT_EQ(code_, kExitDone) << err();
  EXPECT_LE(server_.Count({.verb = "get"}), 4);
}

}  // namespace
}  // namespace backfill::cli
