#include "cli/replay_throttle.h"

#include "cli/exit_code.h"
#include "operator/decision_log/decision_log.h"
#include "tests/cli/command_fixture.h"

namespace backfill::cli {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;

class ReplayThrottleTest : public CommandFixture {
 protected:
  // It has no state directory.
  int Run(const std::vector<std::string>& arguments) {
    out_.str("");
    err_.str("");
    return RunCommandLine(arguments, env_);
  }
  // A minute in which the metric goes over its budget.
  static std::string Log() {
    struct TextLog final : decision_log::DecisionSink {
      void Write(std::string_view line) override { text.append(line).append("\n"); }
      [[nodiscard]] std::uint64_t Volume() const override { return 1; }
      std::string text = "{\"msg\":\"hello\"}\n";
    } log;
    throttle::GovernorOptions options;
    options.max_records_per_second = 600;
    options.initial = 100;
    options.budgets = {{.name = "p99", .bound = 0.25}};
    decision_log::LoggedGovernor governor("shop/reprice", throttle::Governor(options), &log);
    for (int i = 1; i <= 6; ++i) {
      const Time now{std::chrono::seconds(10 * i)};
      throttle::Inputs inputs;
      inputs.observations = {
          {.answer = throttle::Answer::kValue, .value = 0.06 * i, .time = now, .detail = ""}};
      inputs.sent = 100;
      governor.Step(inputs, now, WallTime(std::chrono::seconds(1'800'000'000 + 10 * i)));
    }
    return log.text;
  }
  std::string Write(const std::string& log, const std::string& name = "operator.log") {
    const std::string path = (dir_ / name).string();
    std::ofstream(path) << log;
    return path;
  }
};

TEST_F(ReplayThrottleTest, SaysThatAllDecisionsAreTheSame) {
  EXPECT_EQ(Run({"replay-throttle", Write(Log())}), kExitDone);
  EXPECT_EQ(out(), "6 decisions of 1 governor, made again: all the same\n");
  EXPECT_THAT(err(), IsEmpty());
}

TEST_F(ReplayThrottleTest, ReadsStdinAndShowsDecisions) {
  in_.str(Log());
  EXPECT_EQ(Run({"replay-throttle", "-", "--decisions"}), kExitDone);
  EXPECT_THAT(out(), HasSubstr("2027-01-15T08:00:50Z  shop/reprice"));
  EXPECT_THAT(out(), HasSubstr("p99 0.3 over 0.25  [BudgetExceeded]"));
}

TEST_F(ReplayThrottleTest, SaysWhatComesOutDifferently) {
  std::string log = Log();
  const std::size_t at = log.rfind("\"limit\":600");
  ASSERT_NE(at, std::string::npos);
  log.replace(at, 11, "\"limit\":601");
  EXPECT_EQ(Run({"replay-throttle", Write(log)}), kExitPlanDiffers);
  EXPECT_EQ(out(),
            "line 8, shop/reprice: limit was 601.0, is now 600.0\n"
            "6 decisions of 1 governor, made again: 1 came out differently\n");
}

TEST_F(ReplayThrottleTest, SaysWhenThereIsNothingToReplay) {
  EXPECT_EQ(Run({"replay-throttle", Write("nothing\n")}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("there is no decision"));
  EXPECT_EQ(Run({"replay-throttle", (dir_ / "missing.log").string()}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("missing.log: No such file"));
  EXPECT_EQ(Run({"replay-throttle", dir_.path().string()}), kExitNotStarted);
  EXPECT_THAT(err(), HasSubstr("is empty, or no file"));
}

TEST_F(ReplayThrottleTest, FilesThatFollowEachOtherAreOneLog) {
  const std::string log = Log();
  const std::size_t middle = log.find('\n', log.size() / 2) + 1;
  const std::string older = Write(log.substr(0, middle), "decisions.log.1");
  const std::string newer = Write(log.substr(middle), "decisions.log");
  EXPECT_EQ(Run({"replay-throttle", older, newer}), kExitDone);
  EXPECT_EQ(out(), "6 decisions of 1 governor, made again: all the same\n");
}

TEST_F(ReplayThrottleTest, WarnsOfWhatWasLeftOut) {
  std::string log = Log();
  log.insert(0, "{\"throttle\":\"step\"}\n");
  log +=
      "{\"throttle\":\"step\",\"governor\":\"other\",\"at\":\"2027-01-15T08:00:50Z\",\"now\":1,"
      "\"in\":{},\"out\":{}}\n";
  EXPECT_EQ(Run({"replay-throttle", Write(log)}), kExitDone);
  EXPECT_THAT(err(), HasSubstr("1 line that cannot be understood; the first: line 1: a step"));
  EXPECT_THAT(err(), HasSubstr("left out 1 decision"));
}

}  // namespace
}  // namespace backfill::cli
