#include "cli/command_line.h"

#include <array>
#include <cstdio>

#include "cli/exit_code.h"
#include "cli/help_topics.h"
#include "cli/terminal_text.h"
#include "tests/cli/command_fixture.h"
#include "tests/cli/golden.h"

namespace backfill::cli {
namespace {

using api::Phase;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class CommandLineTest : public CommandFixture {
 protected:
  int Plain(const std::vector<std::string>& arguments) {
    out_.str("");
    err_.str("");
    return RunCommandLine(arguments, env_);
  }
};

TEST_F(CommandLineTest, ExplainsItselfAndEachCommand) {
  EXPECT_EQ(Plain({"--help"}), kExitDone);
  ExpectGolden("help.txt", out());
  for (const std::string command :
       {"lint", "plan", "run", "status", "watch", "failures", "shards", "report", "retry", "pause",
        "resume", "apply", "replay-throttle", "completion", "help", "version"}) {
    EXPECT_EQ(Plain({command, "--help"}), kExitDone) << command;
    ExpectGolden("help_" + command + ".txt", out());
    EXPECT_THAT(out(), HasSubstr("Examples:"));
    EXPECT_THAT(err(), IsEmpty());
  }
}

TEST_F(CommandLineTest, ShowsItsHelpWhenNothingIsAsked) {
  EXPECT_EQ(Plain({}), kExitNotStarted);
  EXPECT_THAT(out(), HasSubstr("Subcommands:"));
}

TEST_F(CommandLineTest, TellsItsVersion) {
  for (const std::string asked : {"version", "--version"}) {
    EXPECT_EQ(Plain({asked}), kExitDone);
    EXPECT_THAT(out(), StartsWith("backfill "));
    EXPECT_THAT(out(), testing::EndsWith("\n"));
  }
}

TEST_F(CommandLineTest, RefusesWhatItDoesNotUnderstandAndPointsToTheHelp) {
  std::string text;
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"runn"},
           {"run"},
           {"run", "-f"},
           {"run", "-f", "x", "--workers", "0"},
           {"run", "-f", "x", "-o", "xml"},
           {"run", "-f", "x", "--colour"},
           {"status", "--timeout", "10m"},
           {"status", "reprice", "--wait", "--timeout", "soon"},
           {"status", "../etc"},
           {"pause"},
           {"pause", "\x1b[2J"},
           {"status", "-n", "Shop"},
           {"retry", "reprice", "-f", "x", "--name", "R"},
           {"retry", "reprice", "-f", "x", "--name", "r", "--class", "timeout,never"}}) {
    EXPECT_EQ(Plain(arguments), kExitNotStarted);
    EXPECT_THAT(out(), IsEmpty());
    std::string line = "$ backfill";
    for (const std::string& a : arguments)
      line += " " + (a.find('\x1b') == std::string::npos ? a : "ESC[2J");
    text += line + "\n" + err();
  }
  ExpectGolden("usage_errors.txt", text);
}

TEST_F(CommandLineTest, ListsItsTopics) {
  EXPECT_EQ(Plain({"help"}), kExitDone);
  ExpectGolden("help_topics.txt", out());
}

TEST_F(CommandLineTest, TopicsFitOnATerminal) {
  for (const HelpTopic& topic : HelpTopics()) {
    EXPECT_EQ(Plain({"help", std::string(topic.name)}), kExitDone);
    EXPECT_EQ(out(), HelpText(topic.name));
    std::istringstream lines(out());
    for (std::string line; std::getline(lines, line);) EXPECT_LE(Columns(line), 80U) << line;
  }
}

TEST_F(CommandLineTest, TheFileOfTheHelpIsValid) {
  const std::string text = HelpText("spec").value();
  WriteFile(text.substr(0, text.find("\n\n") + 1));
  EXPECT_EQ(Run({"lint", "-f", file()}), kExitDone) << out();
}

TEST_F(CommandLineTest, ExplainsEveryFieldOfASpec) {
  EXPECT_EQ(Plain({"help", "spec"}), kExitDone);
  ExpectGolden("help_topic_spec.txt", out());
}

TEST_F(CommandLineTest, HelpOfACommandIsItsHelp) {
  EXPECT_EQ(Plain({"plan", "--help"}), kExitDone);
  const std::string help = out();
  EXPECT_EQ(Plain({"help", "plan"}), kExitDone);
  EXPECT_EQ(out(), help);
}

TEST_F(CommandLineTest, RefusesATopicThatThereIsNot) {
  EXPECT_EQ(Plain({"help", "conzepts"}), kExitNotStarted);
  EXPECT_THAT(out(), IsEmpty());
  EXPECT_THAT(err(), HasSubstr("did you mean concepts?"));
}

// What shells propose while somebody types.
class CompletionTest : public CommandLineTest {
 protected:
  std::string Script(const std::string& shell) {
    EXPECT_EQ(Plain({"completion", shell}), kExitDone) << err();
    return out_.str();
  }
  // What a program says on stdout.
  static std::string OutputOf(const std::string& command) {
    std::string text;
    FILE* pipe = popen(command.c_str(), "r");
    EXPECT_NE(pipe, nullptr);
    if (pipe == nullptr) return text;
    std::array<char, 4096> block{};
    for (std::size_t n = 0; (n = fread(block.data(), 1, block.size(), pipe)) > 0;)
      text.append(block.data(), n);
    pclose(pipe);
    return text;
  }
  // What bash proposes for the word at `current`; functions play `backfill` itself, and bash's own
  // completion of files.
  std::vector<std::string> BashProposes(const std::string& words, int current) {
    std::ofstream(dir_ / "completion.bash") << Script("bash");
    std::ofstream(dir_ / "ask.bash")
        << "backfill() { echo \"$*\" >> " << (dir_ / "asked").string() << "; echo first second; }\n"
        << "compopt() { [[ $* == '-o default' ]] && COMPREPLY=('(files)'); }\n"
        << "source " << (dir_ / "completion.bash").string() << "\n"
        << "COMP_WORDS=(" << words << ")\nCOMP_CWORD=" << current << "\n"
        << "_backfill\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n";
    std::istringstream lines(OutputOf("bash --norc " + (dir_ / "ask.bash").string()));
    std::vector<std::string> proposed;
    for (std::string line; std::getline(lines, line);) proposed.push_back(line);
    return proposed;
  }
  [[nodiscard]] std::string Asked() const {
    std::ifstream in(dir_ / "asked");
    std::string last;
    for (std::string line; std::getline(in, line);) last = line;
    return last;
  }
};

TEST_F(CompletionTest, BashProposesCommands) {
  EXPECT_THAT(BashProposes("backfill pl", 1), ElementsAre("plan"));
  EXPECT_THAT(BashProposes("backfill ''", 1), AllOf(Contains("run"), Contains("report")));
}

TEST_F(CompletionTest, BashProposesOptionsAndWhatTheyTake) {
  EXPECT_THAT(BashProposes("backfill plan --ag", 2), ElementsAre("--against"));
  EXPECT_THAT(BashProposes("backfill plan -o ''", 3),
              ElementsAre("text", "json", "yaml", "markdown"));
  EXPECT_THAT(BashProposes("backfill plan -o = ya", 4), ElementsAre("yaml")) << "--output=ya";
  EXPECT_THAT(BashProposes("backfill plan -f rep", 3), ElementsAre("(files)"));
  EXPECT_THAT(BashProposes("backfill run --workers ''", 3), ElementsAre("")) << "a number";
  EXPECT_THAT(BashProposes("backfill retry first --class ''", 4),
              ElementsAre("transient", "timeout", "permanent", "conflict"));
  EXPECT_THAT(BashProposes("backfill help ex", 2), ElementsAre("exit-codes"));
  EXPECT_THAT(BashProposes("backfill completion ''", 2),
              AllOf(Contains("bash"), Contains("zsh"), Contains("fish")));
}

TEST_F(CompletionTest, BashProposesNamesOfThePlaceThatIsMeant) {
  EXPECT_THAT(BashProposes("backfill status --state-dir /s fi", 4), ElementsAre("first"));
  EXPECT_EQ(Asked(), "completion names --state-dir /s");
  EXPECT_THAT(BashProposes("backfill pause ''", 2), ElementsAre("first", "second"));
  EXPECT_THAT(BashProposes("backfill pause -n = shop fi", 5), ElementsAre("first"));
  EXPECT_EQ(Asked(), "completion names -n shop");
  EXPECT_THAT(BashProposes("backfill lint fi", 2), Not(Contains("first")));
}

TEST_F(CompletionTest, NamesAreThoseOfTheState) {
  EXPECT_EQ(Run({"completion", "names"}), kExitDone);
  EXPECT_EQ(out() + err(), "") << "no state is no error";
  Store(FileIn(Phase::kRunning));
  EXPECT_EQ(Run({"completion", "names"}), kExitDone);
  EXPECT_EQ(out(), "reprice\n");
}

TEST_F(CompletionTest, WhatNoCommandTakesForANameIsNotProposed) {
  kube::Object object = api::ToObject(FileIn(Phase::kRunning));
  object.ref.name = "re.price";
  ASSERT_TRUE(store().Create(object, kube::Durability::kProcess).ok());
  EXPECT_EQ(Run({"completion", "names"}), kExitDone);
  EXPECT_THAT(out(), IsEmpty());
}

TEST_F(CompletionTest, EveryShellHasAScriptThatItCanRead) {
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const std::string script = Script(shell);
    if (shell != "bash") ExpectGolden("completion." + shell, script);
    const std::string path = (dir_ / ("script." + shell)).string();
    std::ofstream(path) << script;
    if (OutputOf("command -v " + shell).empty()) continue;  // not installed here
    EXPECT_EQ(OutputOf(shell + " -n " + path + " 2>&1"), "");
  }
}

TEST_F(CompletionTest, AnUnknownShellIsRefused) {
  EXPECT_EQ(Plain({"completion", "tcsh"}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("bash, zsh, fish"));
}

}  // namespace
}  // namespace backfill::cli
