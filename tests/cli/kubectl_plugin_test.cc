// How the program shows itself under the name that kubectl calls it by.
#include <sstream>

#include "cli/exit_code.h"
#include "tests/cli/cluster_fixture.h"
#include "tests/cli/golden.h"

namespace backfill::cli {
namespace {

using api::Phase;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class KubectlPluginTest : public ClusterFixture {
 protected:
  // What is proposed for the last word, and what the shell may add.
  std::vector<std::string> Proposed(const std::vector<std::string>& words) {
    out_.str("");
    EXPECT_EQ(RunKubectlCompletion(words, env_), kExitDone);
    std::istringstream lines(out_.str());
    std::vector<std::string> proposed;
    for (std::string line; std::getline(lines, line);)
      proposed.push_back(line.substr(0, line.find('\t')));
    return proposed;
  }
};

TEST_F(KubectlPluginTest, ExplainsItselfInWordsOfKubectl) {
  EXPECT_EQ(Plugin({"--help"}), kExitDone);
  ExpectGolden("help_kubectl.txt", out());
  for (const std::string command : {"status", "watch", "pause", "resume", "retry", "completion"}) {
    EXPECT_EQ(Plugin({command, "--help"}), kExitDone);
    ExpectGolden("help_kubectl_" + command + ".txt", out());
  }
}

TEST_F(KubectlPluginTest, SaysNowhereToTypeTheOtherName) {
  for (const std::string command : {"lint", "plan", "status", "watch", "failures", "shards",
                                    "report", "retry", "pause", "resume", "help", "version"}) {
    EXPECT_EQ(Plugin({command, "--help"}), kExitDone);
    EXPECT_THAT(out(), Not(HasSubstr("\n  backfill "))) << command;
    EXPECT_THAT(out(), HasSubstr("Usage: kubectl backfill " + command));
  }
  EXPECT_EQ(Plugin({"statu"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("did you mean status?\nsee: kubectl backfill --help"));
}

TEST_F(KubectlPluginTest, HidesWhatIsOfThisMachineAlone) {
  EXPECT_EQ(Plugin({"--help"}), kExitDone);
  EXPECT_THAT(out(), AllOf(Not(HasSubstr("\n  run ")), Not(HasSubstr("\n  apply "))));
}

TEST_F(KubectlPluginTest, RefusesTwoPlacesAtOnce) {
  EXPECT_EQ(Plugin({"status", "--state-dir", "/s", "--context", "dev"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("not together with --cluster, --context or --kubeconfig"));
}

TEST_F(KubectlPluginTest, KubectlCompletesCommandsOptionsAndNames) {
  Declare(InShop(Phase::kRunning));
  EXPECT_THAT(Proposed({"sta"}), ElementsAre("status", ":4"));
  EXPECT_THAT(Proposed({""}), AllOf(Contains("pause"), Contains("report"), Not(Contains("run"))));
  EXPECT_THAT(Proposed({"status", "--ti"}), ElementsAre("--timeout", ":4"));
  EXPECT_THAT(Proposed({"status", "-o", ""}), ElementsAre("text", "wide", "json", "yaml", ":4"));
  EXPECT_THAT(Proposed({"lint", "-f", ""}), ElementsAre(":0")) << "files";
  EXPECT_THAT(Proposed({"pause", "re"}), ElementsAre("reprice", ":4"));
  EXPECT_THAT(Proposed({"pause", "x"}), ElementsAre(":4"));
  EXPECT_THAT(Proposed({"pause", "-n", "other", ""}), ElementsAre(":4"));
  EXPECT_THAT(Proposed({"status", "--context", "prod", ""}), ElementsAre("reprice", ":4"));
  EXPECT_EQ(chosen_->context, "prod");
  EXPECT_THAT(Proposed({"nonsense", ""}), ElementsAre(":4"));
  EXPECT_THAT(Proposed({}), Contains("status"));
}

TEST_F(KubectlPluginTest, CompletionIsSilentWithoutACluster) {
  server_.GoDown();
  EXPECT_THAT(Proposed({"pause", ""}), ElementsAre(":4"));
  EXPECT_THAT(err_.str(), testing::IsEmpty());
}

TEST_F(KubectlPluginTest, ShellsCompleteTheOtherNameToo) {
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    EXPECT_EQ(Plugin({"completion", shell}), kExitDone);
    EXPECT_THAT(out(), AllOf(HasSubstr("kubectl-backfill completion names"),
                             Not(HasSubstr(" backfill\n")), Not(HasSubstr("-c backfill"))))
        << shell;
  }
}

}  // namespace
}  // namespace backfill::cli
