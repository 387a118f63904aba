// What a person sees: `backfill run` on a real terminal, and the same where there is none.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <unistd.h>

#include <array>

#include "tests/e2e/machine.h"

namespace backfill::e2e {
namespace {

using testing::HasSubstr;
using testing::Not;

class TerminalTest : public Machine {
 protected:
  ~TerminalTest() override {
    for (const int fd : {screen_, terminal_})
      if (fd >= 0) close(fd);
  }
  void HasTerminal(unsigned short columns) {
    winsize size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    ASSERT_EQ(openpty(&screen_, &terminal_, nullptr, nullptr, &size), 0);
    env_["TERM"] = "xterm";
  }
  // Everything that is drawn until the process ends.
  std::string Drawn(Process& process) {
    std::string drawn;
    (void)TimeUntil(60s, [&] {
      pollfd ready{.fd = screen_, .events = POLLIN, .revents = 0};
      while (poll(&ready, 1, 0) > 0 && (ready.revents & POLLIN) != 0) {
        std::array<char, 4096> block{};
        const ssize_t n = read(screen_, block.data(), block.size());
        if (n <= 0) break;
        drawn.append(block.data(), static_cast<std::size_t>(n));
      }
      return !process.running();
    });
    return drawn;
  }

  int screen_ = -1;
};

TEST_F(TerminalTest, ARunInAnotherProcessIsWatchedToItsEnd) {
  WriteSpec({.end = 3000, .rate = 1000});
  auto run = StartRun();
  ASSERT_TRUE(TargetSees(20)) << run->Err();
  HasTerminal(60);
  auto watch = Start({"watch", "touch"});
  const std::string drawn = Drawn(*watch);
  const Exit exit = watch->Wait(1s);
  EXPECT_EQ(exit.code, 0) << drawn;
  EXPECT_THAT(drawn, HasSubstr("Running"));
  EXPECT_THAT(drawn, HasSubstr("[=")) << "a bar";
  EXPECT_THAT(exit.out, HasSubstr("Phase:        Completed"));
  EXPECT_EQ(run->Wait(60s).code, 0);
}

TEST_F(TerminalTest, WatchingEndsWithARunnerThatIsKilled) {
  WriteSpec({.end = 100'000, .rate = 500});
  auto run = StartRun();
  ASSERT_TRUE(TargetSees(20)) << run->Err();
  auto watch = Start({"watch", "touch"});
  ASSERT_TRUE(TimeUntil(60s, [&] { return watch->Err().find("Running") != std::string::npos; }));
  run->Signal(SIGKILL);
  const Exit exit = watch->Wait(60s);
  EXPECT_EQ(exit.code, 3) << exit.err;
  EXPECT_THAT(exit.err, Not(HasSubstr("\x1b")));
  EXPECT_THAT(exit.out, HasSubstr("Run by:       nothing"));
}

TEST_F(TerminalTest, ARunIsDrawnInPlaceWithinTheWidth) {
  HasTerminal(60);
  WriteSpec({.end = 2000, .rate = 1000});
  auto run = Start({"run", "-f", file().string()});
  const std::string drawn = Drawn(*run);
  EXPECT_EQ(run->Wait(1s).code, 0) << drawn;
  EXPECT_THAT(drawn, HasSubstr("Running"));
  EXPECT_THAT(drawn, HasSubstr("A\x1b[J")) << "up, and over what was there";
  EXPECT_THAT(drawn, HasSubstr("[====")) << "a bar";
  EXPECT_THAT(drawn, Not(HasSubstr("touch: Running"))) << "no lines for logs";
  EXPECT_THAT(run->Out(), HasSubstr("touch completed"));
  EXPECT_THAT(run->Out(), Not(HasSubstr("\x1b"))) << "the result went into a file";
}

TEST_F(TerminalTest, WithoutATerminalThereArePlainLines) {
  WriteSpec({.end = 2000, .rate = 1000});
  const Exit exit = Command({"run", "-f", file().string()});
  EXPECT_EQ(exit.code, 0);
  EXPECT_THAT(exit.err, HasSubstr("touch: Running"));
  EXPECT_THAT(exit.err, Not(HasSubstr("\x1b")));
}

TEST_F(TerminalTest, ADumbTerminalGetsPlainLines) {
  HasTerminal(80);
  env_["TERM"] = "dumb";
  WriteSpec({.end = 2000, .rate = 1000});
  auto run = Start({"run", "-f", file().string()});
  const std::string drawn = Drawn(*run);
  EXPECT_EQ(run->Wait(1s).code, 0);
  EXPECT_THAT(drawn, HasSubstr("touch: Running"));
  EXPECT_THAT(drawn, Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace backfill::e2e
