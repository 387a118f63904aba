#include "cli/signal_interrupts.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "cli/exit_code.h"

namespace backfill::cli {
namespace {

using namespace std::chrono_literals;

TEST(SignalInterruptsTest, TellsOfTheFirstRequestAndLives) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    SignalInterrupts interrupts;
    std::promise<void> asked;
    interrupts.Listen([&] { asked.set_value(); }, [] { FAIL(); });
    kill(getpid(), signal);
    EXPECT_EQ(asked.get_future().wait_for(30s), std::future_status::ready);
    interrupts.Ignore();
  }
}

TEST(SignalInterruptsTest, LeavesAHangupAloneThatWasIgnoredBefore) {
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  struct sigaction before{};
  ASSERT_EQ(sigaction(SIGHUP, &ignore, &before), 0);  // as nohup does
  {
    SignalInterrupts interrupts;
    std::promise<int> asked;
    interrupts.Listen([&] { asked.set_value(1); }, [] { FAIL(); });
    kill(getpid(), SIGHUP);
    auto answer = asked.get_future();
    EXPECT_EQ(answer.wait_for(0s), std::future_status::timeout);
    sigset_t pending;
    sigpending(&pending);
    EXPECT_EQ(sigismember(&pending, SIGHUP), 0) << "neither taken nor kept for later";
    kill(getpid(), SIGTERM);  // what comes first is what is told: the hangup was not
    EXPECT_EQ(answer.wait_for(30s), std::future_status::ready);
    interrupts.Ignore();
  }
  sigaction(SIGHUP, &before, nullptr);
}

TEST(SignalInterruptsTest, EndsTheProcessOnTheSecond) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        SignalInterrupts interrupts(0s);
        interrupts.Listen([] { kill(getpid(), SIGTERM); }, [] { std::fputs("killed", stderr); });
        kill(getpid(), SIGINT);
        for (;;) pause();
      },
      testing::ExitedWithCode(kExitKilled), "killed");
}

TEST(SignalInterruptsTest, TakesARepetitionAtOnceForTheSameRequest) {
  SignalInterrupts interrupts(1h);
  std::promise<void> asked;
  interrupts.Listen([&] { asked.set_value(); }, [] { FAIL(); });
  kill(getpid(), SIGINT);
  asked.get_future().wait();
  kill(getpid(), SIGTERM);
  for (sigset_t pending; sigpending(&pending) == 0 && sigismember(&pending, SIGTERM) == 1;) {
    std::this_thread::yield();
  }
  interrupts.Ignore();
}

TEST(SignalInterruptsTest, GivesTheSignalsBack) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        SignalInterrupts interrupts;
        interrupts.Listen([] {}, [] {});
        interrupts.Ignore();
        interrupts.Ignore();
        kill(getpid(), SIGTERM);
        for (;;) pause();
      },
      testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace backfill::cli
