// Files as sources: real processes, a target that counts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include "tests/e2e/machine.h"
#include "tests/rows/file_server.h"

namespace backfill::e2e {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr int kRows = 200'000;
constexpr int kEvery = 25'000;  // rows of each kind that are bad, one in so many

class FileTest : public Machine {
 protected:
  [[nodiscard]] std::filesystem::path data() const { return dir_ / "ids.csv"; }

  // Rows 0 .. kRows - 1 with their number as key; of each stretch of kEvery five are bad, each in
  // its own way. Returns the lines of the bad ones.
  std::set<std::uint64_t> WriteCsv() {
    std::string text = "key,note\n";
    std::set<std::uint64_t> bad;
    for (int i = 0; i < kRows; ++i) {
      const std::string n = std::to_string(i);
      const int place = i % kEvery;
      const bool is_bad = place >= 100 && place < 105;
      if (is_bad) bad.insert(static_cast<std::uint64_t>(i) + 2);
      switch (place) {
        case 100:
          text += n + "\n";  // a column is missing
          break;
        case 101:
          text += ",no key\n";
          break;
        case 102:
          text += n + ",\xff\n";  // not UTF-8
          break;
        case 103:
          text += n + ",a \"quote\n";
          break;
        case 104:
          text += n + "," + std::string((1 << 20) + 10, 'x') + "\n";  // too long
          break;
        default:
          text += n + ",\"note, " + n + "\"\n";
      }
    }
    WriteFile(data(), text);
    return bad;
  }
  [[nodiscard]] static Spec Csv() {
    return {.source = "file: {path: ids.csv, format: Csv, key: key}",
            .extra = "  failurePolicy: {maxFailedPercent: \"1\"}\n"};
  }
  void ExpectEverythingSentOnceBut(const std::set<std::uint64_t>& bad_lines) {
    const json status = Status()["status"];
    EXPECT_EQ(status["phase"], "Completed");
    EXPECT_EQ(status["plan"]["records"], kRows);
    EXPECT_EQ(status["plan"]["badRecords"], bad_lines.size());
    EXPECT_EQ(status["progress"]["records"], kRows);
    EXPECT_EQ(status["progress"]["failed"], bad_lines.size());
    EXPECT_EQ(sink_->stats().missing, bad_lines.size()) << "the bad rows alone are never sent";
    EXPECT_EQ(sink_->stats().outside, 0U);
    std::istringstream failures(Command({"failures", "touch", "-o", "json"}).out);
    std::set<std::uint64_t> listed;
    for (std::string line; std::getline(failures, line);) {
      const json failure = json::parse(line);
      EXPECT_EQ(failure["class"], "permanent");
      EXPECT_EQ(failure["attempts"], 0);
      const std::string message = failure["message"];
      ASSERT_THAT(message, testing::StartsWith("line "));
      listed.insert(static_cast<std::uint64_t>(std::atoll(message.c_str() + 5)));
    }
    EXPECT_EQ(listed, bad_lines);
  }
  void Compress(const std::string& command) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    ASSERT_EQ(std::system((command + " " + data().string()).c_str()), 0);
  }
  // A run is under way when the file becomes another one.
  Exit RunWhileTheFileChanges(const std::function<void()>& change) {
    TargetIs({.bitmap = 20'000});
    std::string text = "key\n";
    for (int i = 0; i < 20'000; ++i) text += std::to_string(100'000 + i).substr(1) + "\n";
    WriteFile(data(), text);
    Spec spec = Csv();
    spec.rate = 2000;
    spec.records_per_shard = 500;
    WriteSpec(spec);
    const auto run = StartRun();
    EXPECT_TRUE(TargetSees(500));
    change();
    return run->Wait(60s);
  }
};

TEST_F(FileTest, EveryRowIsSentOnceAndTheBadOnesAreListedWithTheirLines) {
  TargetIs({.bitmap = kRows});
  const std::set<std::uint64_t> bad = WriteCsv();
  WriteSpec(Csv());
  const Exit exit = Run();
  ASSERT_EQ(exit.code, 0) << exit.err;
  EXPECT_EQ(sink_->stats().duplicates, 0U);
  ExpectEverythingSentOnceBut(bad);
}

TEST_F(FileTest, KillsLoseNothing) {
  TargetIs({.bitmap = kRows});
  const std::set<std::uint64_t> bad = WriteCsv();
  Spec spec = Csv();
  spec.rate = 25'000;
  spec.replicas = 3;
  spec.http_extra = "      timeout: 100ms\n";
  WriteSpec(spec);
  auto run = StartRun();
  ASSERT_TRUE(TargetSees(20'000));
  for (const pid_t worker : ChildrenOf(run->pid())) {
    kill(worker, SIGKILL);
    break;
  }
  ASSERT_TRUE(TargetSees(60'000, 60s));
  run->Signal(SIGKILL);
  (void)run->Wait(5s);
  run = StartRun();
  const Exit exit = run->Wait(120s);
  ASSERT_EQ(exit.code, 0) << exit.err;
  ExpectEverythingSentOnceBut(bad);
  EXPECT_LE(sink_->stats().duplicates,
            Status()["status"]["progress"].value("redoneAtMost", std::uint64_t{0}));
}

TEST_F(FileTest, CompressedFilesAreReadAsTheyAre) {
  for (const auto& [command, name] :
       {std::pair{"gzip -k", "ids.csv.gz"}, {"zstd -q -k", "ids.csv.zst"}}) {
    TargetIs({.bitmap = kRows});
    const std::set<std::uint64_t> bad = WriteCsv();
    Compress(command);
    std::filesystem::remove(data());
    std::filesystem::remove_all(state());
    Spec spec = Csv();
    spec.source = std::string("file: {path: ") + name + ", format: Csv, key: key}";
    spec.batch = 50;
    WriteSpec(spec);
    const Exit exit = Run();
    ASSERT_EQ(exit.code, 0) << name << exit.err;
    EXPECT_EQ(sink_->stats().duplicates, 0U);
    ExpectEverythingSentOnceBut(bad);
  }
}

TEST_F(FileTest, AByteThatChangesStopsTheRunBeforeItsShardIsSent) {
  const Exit exit = RunWhileTheFileChanges([this] {
    std::fstream file(data(), std::ios::in | std::ios::out);
    file.seekp(4 + 6 * 19'900);  // in the last shard
    file.put('9');
  });
  EXPECT_EQ(exit.code, 3) << exit.err;
  EXPECT_THAT(exit.out, HasSubstr("SourceChanged: ids.csv: the file changed since it was planned"));
  for (int key = 19'500; key < 20'000; ++key) {
    ASSERT_EQ(sink_->TimesSeen(static_cast<std::uint64_t>(key)), 0) << key;
  }
  EXPECT_EQ(Run().code, 3) << "it is still another file";
  EXPECT_EQ(sink_->TimesSeen(19'900), 0);
  EXPECT_EQ(sink_->stats().outside, 0U);
}

TEST_F(FileTest, AFileOfAnotherSizeStopsTheRun) {
  const Exit truncated =
      RunWhileTheFileChanges([this] { std::filesystem::resize_file(data(), 90'000); });
  EXPECT_EQ(truncated.code, 3) << truncated.err;
  EXPECT_THAT(truncated.out, HasSubstr("SourceChanged"));
  std::filesystem::remove_all(state());
  const Exit appended =
      RunWhileTheFileChanges([this] { std::ofstream(data(), std::ios::app) << "77777\n"; });
  EXPECT_EQ(appended.code, 3) << appended.err;
  EXPECT_THAT(appended.out, HasSubstr("SourceChanged"));
  EXPECT_EQ(sink_->stats().outside, 0U);
}

TEST_F(FileTest, AFileThatIsPutBackGoesOn) {
  std::string before;
  const Exit exit = RunWhileTheFileChanges([&] {
    before = ReadFile(data());
    std::ofstream(data(), std::ios::app) << "77777\n";
  });
  ASSERT_EQ(exit.code, 3) << exit.err;
  WriteFile(data(), before);
  const Exit again = Run();
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(sink_->stats().missing, 0U);
}

TEST_F(FileTest, ObjectsAreSentAsTheyStand) {
  TargetIs({.bitmap = 1000});
  std::string text;
  for (int i = 0; i < 1000; ++i)
    text += "{\"key\": " + std::to_string(i) + ", \"tags\": [\"a\", {\"b\": null}]}\n";
  WriteFile(dir_ / "ids.ndjson", text + "{\"key\": }\n");
  Spec spec = Csv();
  spec.source = "file: {path: ids.ndjson, format: NdJson, key: key}";
  spec.path = "/bulk";
  spec.http_extra = "      body: \"{{record}}\"\n";
  WriteSpec(spec);
  const Exit exit = Run();
  ASSERT_EQ(exit.code, 0) << exit.err;
  EXPECT_EQ(sink_->stats().missing, 0U);
  EXPECT_EQ(sink_->stats().duplicates, 0U);
  EXPECT_THAT(Command({"failures", "touch"}).out, HasSubstr("line 1001: not valid JSON"));
}

TEST_F(FileTest, AFileBehindAUrlIsReadWhereItIs) {
  TargetIs({.bitmap = 20'000});
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += std::to_string(i) + "\n";
  const rows::FileServer server(text);
  Spec spec = Csv();
  spec.source = "file: {path: '" + server.Url() + "', format: Lines}";
  WriteSpec(spec);
  const Exit exit = Run();
  ASSERT_EQ(exit.code, 0) << exit.err;
  EXPECT_EQ(sink_->stats().missing, 0U);
  EXPECT_EQ(sink_->stats().duplicates, 0U);
}

TEST_F(FileTest, ADryRunReadsEveryRowAndSendsNothing) {
  const std::set<std::uint64_t> bad = WriteCsv();
  Spec spec = Csv();
  spec.real = false;
  spec.path = "/r/{{key}}?note={{fields.note}}";
  WriteSpec(spec);
  const Exit exit = Run();
  ASSERT_EQ(exit.code, 0) << exit.err;
  EXPECT_EQ(sink_->stats().connections, 0U);
  const json status = Status()["status"];
  EXPECT_EQ(status["dryRun"]["records"], kRows);
  EXPECT_EQ(status["dryRun"]["failed"], bad.size());
}

TEST_F(FileTest, AFieldThatIsNoColumnIsSaidBeforeAnythingIsSent) {
  WriteFile(data(), "key,price\n1,2\n");
  Spec spec = Csv();
  spec.path = "/r/{{key}}/{{fields.prise}}";
  WriteSpec(spec);
  const Exit run = Run();
  EXPECT_EQ(run.code, 3);
  EXPECT_THAT(run.out, HasSubstr("InvalidSpec"));
  EXPECT_THAT(run.out, HasSubstr("{{fields.prise}}"));
  EXPECT_EQ(sink_->stats().requests, 0U);
}

}  // namespace
}  // namespace backfill::e2e
