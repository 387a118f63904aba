#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/e2e/machine.h"

namespace backfill::e2e {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class RunTest : public Machine {};

TEST_F(RunTest, ADryRunIsTheDefaultAndTheTargetSeesNothing) {
  WriteSpec({.end = 5000, .real = false});
  const Exit exit = Run();
  EXPECT_EQ(exit.code, 0) << exit.err;
  EXPECT_EQ(sink_->stats().connections, 0U);
  const json object = Status();
  EXPECT_EQ(object["status"]["phase"], "AwaitingApproval");
  EXPECT_EQ(object["status"]["dryRun"]["records"], 5000);
  EXPECT_EQ(object["status"]["plan"]["records"], 5000);
}

TEST_F(RunTest, ARealRunReachesEveryRecordOnce) {
  TargetIs({.bitmap = 20'000});
  WriteSpec({.end = 20'000});
  const Exit exit = Command({"run", "-f", file().string(), "-o", "json"});
  ASSERT_EQ(exit.code, 0) << exit.err;
  EXPECT_EQ(sink_->stats().missing, 0U);
  EXPECT_EQ(sink_->stats().duplicates, 0U);
  const json object = json::parse(exit.out);  // one document and nothing else
  EXPECT_EQ(object["kind"], "Backfill");
  EXPECT_EQ(object["status"]["phase"], "Completed");
  EXPECT_EQ(object["status"]["progress"]["records"], 20'000);
  EXPECT_EQ(object["status"]["progress"]["updated"], 20'000);
  EXPECT_EQ(object["status"]["progress"].value("redoneAtMost", 0), 0);
  EXPECT_LE(object["status"].dump().size(), 4096U);
  EXPECT_FALSE(std::filesystem::exists(state() / "default.touch.workers.sent"))
      << "what workers noted is needed no more";
}

TEST_F(RunTest, WhatItsGovernorDecidedIsDecidedAgainFromItsLog) {
  WriteSpec({});
  ASSERT_EQ(Run().code, 0);
  Process replaying({std::string(BACKFILL_BIN_DIR) + "/backfill", "replay-throttle",
                     (state() / "default.touch.decisions.log").string()},
                    {.dir = file().parent_path(), .env = {}, .max_files = {}});
  const Exit replay = replaying.Wait(60s);
  EXPECT_EQ(replay.code, 0) << replay.err;
  EXPECT_THAT(replay.out, HasSubstr("of 1 governor, made again: all the same"));
}

TEST_F(RunTest, BatchesReachEveryRecordOnce) {
  TargetIs({.bitmap = 50'000});
  WriteSpec({.end = 50'000, .batch = 100});
  const Exit exit = Run();
  ASSERT_EQ(exit.code, 0) << exit.err;
  EXPECT_EQ(sink_->stats().missing, 0U);
  EXPECT_EQ(sink_->stats().duplicates, 0U);
}

TEST_F(RunTest, ACompletedOneSaysSoAndSendsNothing) {
  WriteSpec({});
  ASSERT_EQ(Run().code, 0);
  const std::uint64_t sent = sink_->stats().requests;
  const Exit again = Run();
  EXPECT_EQ(again.code, 0);
  EXPECT_THAT(again.err + again.out, HasSubstr("completed"));
  EXPECT_EQ(sink_->stats().requests, sent);
}

TEST_F(RunTest, AnotherSpecUnderTheNameOfACompletedOneIsRefused) {
  WriteSpec({});
  ASSERT_EQ(Run().code, 0);
  const std::uint64_t sent = sink_->stats().requests;
  WriteSpec({.end = 2000});
  const Exit other = Run();
  EXPECT_EQ(other.code, 1);
  EXPECT_THAT(other.err, HasSubstr("AlreadyRan"));
  EXPECT_EQ(sink_->stats().requests, sent);
}

TEST_F(RunTest, TheRunKeepsThePlanOfItsDryRun) {
  TargetIs({.bitmap = 3000});
  WriteSpec({.end = 3000, .real = false});
  ASSERT_EQ(Run().code, 0);
  const std::string hash = Status()["status"]["plan"]["hash"];
  WriteSpec({.end = 3000});
  ASSERT_EQ(Run().code, 0);
  EXPECT_EQ(Status()["status"]["plan"]["hash"], hash);
  EXPECT_EQ(sink_->stats().missing, 0U);
}

TEST_F(RunTest, AChangedSourceAfterTheDryRunIsRefused) {
  WriteSpec({.real = false});
  ASSERT_EQ(Run().code, 0);
  WriteSpec({.end = 2000});
  const Exit exit = Run();
  EXPECT_EQ(exit.code, 1);
  EXPECT_THAT(exit.err, HasSubstr("source is fixed once planned"));
  EXPECT_EQ(sink_->stats().requests, 0U);
}

TEST_F(RunTest, AnEmptyRangeCompletes) {
  WriteSpec({.start = 5, .end = 5});
  const Exit exit = Run();
  EXPECT_EQ(exit.code, 0) << exit.err;
  EXPECT_EQ(Phase(), "Completed");
}

TEST_F(RunTest, NegativeKeysAndTheEndOfTheNumbersAreKeysLikeOthers) {
  WriteSpec({.start = INT64_MAX - 50, .end = INT64_MAX});
  ASSERT_EQ(Run().code, 0);
  EXPECT_EQ(sink_->stats().requests, 50U);
  WriteSpec({.name = "negative", .start = INT64_MIN, .end = INT64_MIN + 50});
  ASSERT_EQ(Run().code, 0);
  EXPECT_EQ(sink_->stats().requests, 100U);
}

TEST_F(RunTest, FailedRecordsAreListedAndTheRestGoesOn) {
  TargetIs({.bitmap = 2000, .refuse_every = 500});
  WriteSpec({.end = 2000, .extra = "  failurePolicy: {maxFailedPercent: \"1\"}\n"});
  const Exit exit = Run();
  EXPECT_EQ(exit.code, 0) << exit.err;
  const json object = Status();
  EXPECT_EQ(object["status"]["progress"]["failed"], 4);
  EXPECT_EQ(object["status"]["progress"]["updated"], 1996);
  const Exit failures = Command({"failures", "touch", "-o", "json"});
  EXPECT_EQ(failures.code, 0) << failures.err;
  std::istringstream lines(failures.out);
  std::vector<std::string> keys;
  for (std::string line; std::getline(lines, line);) {
    const json failure = json::parse(line);
    keys.push_back(failure["key"]);
    EXPECT_EQ(failure["class"], "permanent");
  }
  EXPECT_EQ(keys.size(), 4U);
}

TEST_F(RunTest, WhatFailedIsSentAgainByABackfillOfItsOwn) {
  TargetIs({.bitmap = 2000, .refuse_every = 500});
  WriteSpec({.end = 2000, .extra = "  failurePolicy: {maxFailedPercent: \"100\"}\n"});
  ASSERT_EQ(Run().code, 0);
  std::filesystem::remove(file());
  const Exit made = Command({"retry", "touch", "-f", file().string(), "--name", "touch-2"});
  ASSERT_EQ(made.code, 0) << made.err;

  const std::uint64_t sent = sink_->stats().requests;
  const Exit dry = Run();
  EXPECT_EQ(dry.code, 0) << dry.err;
  EXPECT_EQ(sink_->stats().requests, sent);
  EXPECT_EQ(Status("touch-2")["status"]["plan"]["records"], 4);

  std::string text = ReadFile(file());
  const auto replace = [&text](const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << text;
    text.replace(at, from.size(), to);
  };
  replace("dryRun: true", "dryRun: false");
  replace("performDisruptiveBackfill: \"\"", "performDisruptiveBackfill: touch-2");
  WriteFile(file(), text);
  const Exit real = Run();
  EXPECT_EQ(real.code, 0) << real.err;
  EXPECT_EQ(sink_->stats().requests, sent + 4);
  EXPECT_EQ(Status("touch-2")["status"]["progress"]["failed"], 4) << "they are refused again";
}

TEST_F(RunTest, TheFailureBudgetStopsItAndAHigherOneContinues) {
  TargetIs({.bitmap = 4000, .refuse_every = 10});
  const std::string policy = "  failurePolicy: {maxFailedPercent: \"100\", maxFailedRecords: ";
  WriteSpec({.end = 4000, .rate = 2000, .extra = policy + "20}\n"});
  const Exit exit = Run();
  EXPECT_EQ(exit.code, 3) << exit.err;
  EXPECT_THAT(exit.out, HasSubstr("maxFailedRecords"));
  EXPECT_EQ(Phase(), "Paused");
  EXPECT_LT(sink_->stats().requests, 4000U);
  WriteSpec({.end = 4000, .extra = policy + "1000}\n"});
  const Exit again = Run();
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(sink_->stats().missing, 0U);
  EXPECT_EQ(Status()["status"]["progress"]["failed"], 400);
}

TEST_F(RunTest, TheFailureBudgetFailsItWhereDeclared) {
  TargetIs({.bitmap = 4000, .refuse_every = 2});
  WriteSpec({.end = 4000,
             .rate = 2000,
             .extra = "  failurePolicy: {maxFailedRecords: 20, onExceeded: Fail}\n"});
  const Exit exit = Run();
  EXPECT_EQ(exit.code, 2) << exit.err;
  EXPECT_EQ(Phase(), "Failed");
  EXPECT_EQ(Run().code, 2) << "and stays so";
}

TEST_F(RunTest, TheFailureBudgetHoldsAlsoWhereItIsExceededAtTheVeryEnd) {
  TargetIs({.bitmap = 100, .refuse_every = 1});
  WriteSpec({.end = 100});
  const Exit paused = Run();
  EXPECT_EQ(paused.code, 3) << paused.err;
  EXPECT_THAT(paused.out, HasSubstr("of 100 records failed, over maxFailedPercent 0.1"));
  EXPECT_EQ(Status()["status"]["progress"]["failed"], 100);
  WriteSpec({.end = 100, .extra = "  failurePolicy: {maxFailedPercent: \"100\"}\n"});
  const std::uint64_t sent = sink_->stats().requests;
  EXPECT_EQ(Run().code, 0) << "a person has raised the bound";
  EXPECT_EQ(sink_->stats().requests, sent) << "nothing was left to send";

  WriteSpec({.name = "strict", .end = 100, .extra = "  failurePolicy: {onExceeded: Fail}\n"});
  const Exit failed = Run();
  EXPECT_EQ(failed.code, 2) << failed.err;
  EXPECT_EQ(Phase("strict"), "Failed");
}

TEST_F(RunTest, ADryRunThatSendsRequestsObeysTheFailureBudget) {
  TargetIs({.bitmap = 1000, .refuse_every = 1});
  const std::string base = "http://127.0.0.1:" + std::to_string(sink_->port());
  WriteSpec({.real = false,
             .rate = 500,
             .extra = "  failurePolicy: {maxFailedRecords: 10}\n",
             .http_extra = "      dryRun: {method: GET, url: \"" + base + "/r/{{key}}\"}\n"});
  const Exit exit = Run();
  EXPECT_EQ(exit.code, 3) << exit.err;
  EXPECT_THAT(exit.out, HasSubstr("FailureBudgetExceeded"));
  EXPECT_LT(sink_->stats().requests, 1000U);
}

TEST_F(RunTest, AnotherNumberOfWorkersBetweenPlanAndDryRunDoesNoHarm) {
  WriteSpec({.end = 90'000, .real = false, .replicas = 1, .extra = "  paused: true\n"});
  EXPECT_EQ(Run().code, 3);  // planned, nothing else
  WriteSpec({.end = 90'000, .real = false, .replicas = 7});
  const Exit exit = Run();
  EXPECT_EQ(exit.code, 0) << exit.err;
  EXPECT_EQ(Status()["status"]["dryRun"]["records"], 90'000);
}

TEST_F(RunTest, AnEmptyRangeThatIsPausedByItsFileCompletes) {
  WriteSpec({.start = 5, .end = 5, .extra = "  paused: true\n"});
  const Exit exit = Run();
  EXPECT_EQ(exit.code, 0) << exit.err;
  EXPECT_EQ(Phase(), "Completed");
}

TEST_F(RunTest, TheCommandLineNamesTheNamespaceWhereTheFileDoesNot) {
  WriteSpec({});
  EXPECT_EQ(Command({"run", "-f", file().string(), "-n", "shop"}).code, 0);
  EXPECT_EQ(Command({"status", "touch", "-n", "shop", "-o", "json"}).code, 0);
  EXPECT_EQ(Command({"status", "touch"}).code, 1) << "there is none in the default namespace";
}

TEST_F(RunTest, ASecondRunnerOfTheSameStateIsRefused) {
  WriteSpec({.end = 100'000, .rate = 500});
  auto first = StartRun();
  ASSERT_TRUE(TargetSees(1));
  const Exit second = Run();
  EXPECT_EQ(second.code, 1);
  EXPECT_THAT(second.err, HasSubstr(std::to_string(first->pid())));
  EXPECT_TRUE(first->running());
}

TEST_F(RunTest, TwoBackfillsShareAStateDirectory) {
  WriteSpec({.end = 100'000, .rate = 500});
  auto first = StartRun();
  ASSERT_TRUE(TargetSees(1));
  WriteSpec({.name = "other", .start = 200'000, .end = 200'100});
  EXPECT_EQ(Run().code, 0);
  EXPECT_TRUE(first->running());
}

TEST_F(RunTest, AMissingWorkerBinaryIsNamedBeforeAnythingStarts) {
  env_["BACKFILL_WORKER_BINARY"] = "/nonexistent/backfill-worker";
  WriteSpec({});
  const Exit exit = Run();
  EXPECT_EQ(exit.code, 1);
  EXPECT_THAT(exit.err, HasSubstr("/nonexistent/backfill-worker"));
}

TEST_F(RunTest, AWorkerThatCrashesAtOnceStopsTheRunAndNothingIsLost) {
  env_["BACKFILL_WORKER_BINARY"] = "/bin/false";
  WriteSpec({});
  const Exit exit = Run();
  EXPECT_EQ(exit.code, 3) << exit.err;
  EXPECT_THAT(exit.out, HasSubstr("exited with 1"));
  env_.clear();
  EXPECT_EQ(Run().code, 0);
  EXPECT_EQ(sink_->stats().requests, 1000U);
}

TEST_F(RunTest, TooFewFileDescriptorsAreAClearError) {
  max_files_ = 10;
  WriteSpec({});
  const Exit exit = Run();
  EXPECT_EQ(exit.code, 1) << exit.err;
  EXPECT_THAT(exit.err, HasSubstr("file"));
  max_files_.reset();
  EXPECT_EQ(Run().code, 0);
}

TEST_F(RunTest, ATargetThatIsAwayIsNamedWithTheReasonForAsLongAsItIs) {
  static constexpr char kWhy[] = "the target cannot be reached: connecting: Connection refused";
  WriteSpec({.end = 100});
  const fakes::SinkOptions same_port{.port = sink_->port()};
  sink_.reset();
  auto run = StartRun();
  const auto waits = [this] {
    return Command({"status", "touch"}).out.find("Waits:        " + std::string(kWhy)) !=
           std::string::npos;
  };
  ASSERT_TRUE(TimeUntil(60s, waits)) << run->Err();
  EXPECT_THAT(run->Err(), HasSubstr("limited by TargetUnreachable"));
  EXPECT_THAT(run->Err(), HasSubstr(kWhy));
  TargetIs(same_port);
  const Exit exit = run->Wait(60s);
  EXPECT_EQ(exit.code, 0) << exit.err;
  EXPECT_EQ(sink_->stats().requests, 100U);
  EXPECT_THAT(Command({"status", "touch"}).out, testing::Not(HasSubstr(kWhy)));
}

TEST_F(RunTest, AFullDiskIsNamedNothingIsLostAndItGoesOnOnceThereIsRoom) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to mount a small tmpfs";
  std::filesystem::create_directories(state());
  ASSERT_EQ(mount("tmpfs", state().c_str(), "tmpfs", 0, "mode=0700,size=400k"), 0);
  TargetIs({.bitmap = 30'000});
  WriteSpec({.end = 30'000, .rate = 10'000});
  WriteFile(state() / "filler", std::string(60'000, 'x'));
  auto process = StartRun();
  EXPECT_TRUE(TimeUntil(60s, [&] {
    return Command({"status", "touch"}).out.find("there is no room left") != std::string::npos ||
           process->Err().find("there is no room left") != std::string::npos;
  })) << process->Err();
  EXPECT_TRUE(process->running());
  ASSERT_EQ(mount("tmpfs", state().c_str(), "tmpfs", MS_REMOUNT, "size=64m"), 0);
  const Exit exit = process->Wait(60s);
  EXPECT_EQ(exit.code, 0) << exit.err;
  EXPECT_EQ(sink_->stats().missing, 0U);
  EXPECT_EQ(sink_->stats().duplicates, 0U);
  umount2(state().c_str(), MNT_DETACH);
}

TEST_F(RunTest, AStateDirectoryThatCannotBeWrittenIsAClearError) {
  WriteFile(state(), "a file, not a directory");
  WriteSpec({});
  const Exit exit = Run();
  EXPECT_EQ(exit.code, 1);
  EXPECT_THAT(exit.err, HasSubstr(state().string()));
}

}  // namespace
}  // namespace backfill::e2e
