#include "cli/command_line.h"

#include "cli/exit_code.h"
#include "tests/cli/command_fixture.h"
#include "tests/cli/golden.h"

namespace backfill::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
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
  for (const std::string command : {"lint", "plan", "run", "status", "watch", "failures", "shards", "report", "retry",
                                    "pause", "resume", "apply", "version"}) {
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
  EXPECT_EQ(Plain({"version"}), kExitDone);
  EXPECT_THAT(out(), StartsWith("backfill "));
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

}  // namespace
}  // namespace backfill::cli
