// https targets: whom to trust, and what must never be seen anywhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/e2e/machine.h"
#include "tests/worker/target/certificates.h"
#include "tests/worker/target/tls_server.h"

namespace backfill::e2e {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr char kToken[] = "t0ps3cr3t-0f-a-token";
constexpr char kLogin[] = "alice:t0ps3cr3t-passw0rd";
constexpr char kLoginEncoded[] = "YWxpY2U6dDBwczNjcjN0LXBhc3N3MHJk";

class TlsRunTest : public Machine {
 protected:
  TlsRunTest() {
    authority_.WriteTo(ca());
    WriteFile(dir_ / "token", std::string(kToken) + "\n");
    env_["ORDERS_LOGIN"] = kLogin;
  }
  [[nodiscard]] std::filesystem::path ca() const { return dir_ / "ca.pem"; }

  // The file of a run over https that shows a token and a login.
  void WriteTlsSpec(Spec spec) {
    const std::string base = "https://127.0.0.1:" + std::to_string(server_.port());
    spec.https = true;
    spec.http_extra += "      tls: {caFile: " + ca().string() +
                       "}\n"
                       "      secretHeaders:\n"
                       "      - {name: Authorization, prefix: \"Bearer \", file: " +
                       (dir_ / "token").string() +
                       "}\n"
                       "      - {name: X-Login, prefix: \"Basic \", env: ORDERS_LOGIN, encode: "
                       "Base64}\n"
                       "      dryRun: {url: \"" +
                       base + "/check/{{key}}\"}\n";
    WriteFile(file(), ToYaml(spec, server_.port()));
  }
  // Nothing that this machine has stored or said holds a secret.
  void ExpectNoSecretIn(const std::vector<std::string>& said) {
    std::vector<std::pair<std::string, std::string>> texts;
    for (const std::string& text : said) texts.emplace_back("what was said", text);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(state())) {
      if (entry.is_regular_file()) texts.emplace_back(entry.path(), ReadFile(entry.path()));
    }
    EXPECT_GT(texts.size(), said.size() + 1);
    for (const auto& [where, text] : texts) {
      for (const char* secret : {kToken, kLogin, kLoginEncoded, "t0ps3cr3t"})
        EXPECT_EQ(text.find(secret), std::string::npos) << secret << " in " << where;
    }
  }
  std::string WorkersLog() { return ReadFile(state() / "default.touch.workers.log"); }

  const fakes::Authority authority_;
  // A file for who asks for one; else the answer to a change.
  static bool Answer(SSL* ssl, const std::string& request, int /*number*/) {
    std::string body;
    for (int i = 0; i < 500 && request.starts_with("GET /ids"); ++i)
      body += std::to_string(i) + "\n";
    return fakes::TlsServer::Say(ssl, "HTTP/1.1 200 OK\r\nContent-Length: " +
                                          std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  fakes::TlsServer server_{authority_.Issue("IP:127.0.0.1"), Answer};
};

TEST_F(TlsRunTest, RunsOverHttpsAndNoSecretIsSeenAnywhere) {
  std::vector<std::string> said;
  const auto keep = [&said](const Exit& exit) {
    said.insert(said.end(), {exit.out, exit.err});
    return exit.code;
  };
  WriteTlsSpec({.end = 300, .real = false, .rate = 1000});
  ASSERT_EQ(keep(Run()), 0) << said.back();
  WriteTlsSpec({.end = 300, .rate = 300});
  keep(Command({"lint", "-f", file().string()}));
  keep(Command({"plan", "-f", file().string(), "-o", "json"}));
  auto run = StartRun();
  ASSERT_TRUE(TimeUntil(60s, [&] { return server_.requests().size() > 350; }));
  for (const pid_t worker : ChildrenOf(run->pid())) {
    said.push_back(ReadFile("/proc/" + std::to_string(worker) + "/cmdline"));
    EXPECT_THAT(said.back(), Not(IsEmpty()));
  }
  ASSERT_EQ(keep(run->Wait(60s)), 0) << said.back();
  keep(Command({"status", "touch", "-o", "json"}));
  keep(Command({"status", "touch"}));
  keep(Command({"failures", "touch"}));
  ExpectNoSecretIn(said);

  std::size_t checks = 0, changes = 0;
  for (const std::string& request : server_.requests()) {
    (request.find(" /check/") == std::string::npos ? changes : checks) += 1;
    EXPECT_THAT(request, HasSubstr("\r\nAuthorization: Bearer " + std::string(kToken) + "\r\n"));
    EXPECT_THAT(request, HasSubstr("\r\nX-Login: Basic " + std::string(kLoginEncoded) + "\r\n"));
  }
  EXPECT_EQ(checks, 300U);
  EXPECT_EQ(changes, 300U);
}

TEST_F(TlsRunTest, AFileBehindHttpsIsReadWithASecretThatIsSeenNowhere) {
  Spec spec{.records_per_shard = 100};
  spec.source = "file: {path: \"https://127.0.0.1:" + std::to_string(server_.port()) +
                "/ids\", format: Lines, tls: {caFile: " + ca().string() +
                "}, secretHeaders: [{name: Authorization, prefix: \"Bearer \", file: " +
                (dir_ / "token").string() + "}]}";
  WriteSpec(spec);
  std::vector<std::string> said;
  for (const std::string command : {"plan", "run"}) {
    const Exit exit = Command({command, "-f", file().string()});
    EXPECT_EQ(exit.code, 0) << command << exit.err;
    said.insert(said.end(), {exit.out, exit.err});
  }
  EXPECT_THAT(said.front(), HasSubstr("/r/0")) << "the plan shows the first requests";
  said.push_back(Command({"report", "touch"}).out);
  ExpectNoSecretIn(said);
  EXPECT_EQ(sink_->stats().duplicates, 0U);
  EXPECT_EQ(Status()["status"]["progress"]["updated"], 500);
  for (const std::string& request : server_.requests())
    EXPECT_THAT(request, HasSubstr("\r\nAuthorization: Bearer " + std::string(kToken) + "\r\n"));
}

TEST_F(TlsRunTest, ATargetThatIsNotTrustedIsWaitedForAndNoRecordFails) {
  fakes::Authority("another").WriteTo(ca());
  WriteTlsSpec({.end = 200});
  auto run = StartRun();
  ASSERT_TRUE(TimeUntil(60s, [this] {
    return WorkersLog().find("is not trusted: unable to get local issuer certificate") !=
           std::string::npos;
  })) << WorkersLog();
  const std::string waits =
      "Waits:        the target cannot be reached: connecting: the certificate of 127.0.0.1:" +
      std::to_string(server_.port()) + " is not trusted: unable to get local issuer certificate\n";
  EXPECT_TRUE(TimeUntil(60s, [&] {
    return Command({"status", "touch"}).out.find(waits) != std::string::npos;
  })) << Command({"status", "touch"}).out;
  EXPECT_TRUE(run->running());
  EXPECT_THAT(server_.requests(), IsEmpty());
  authority_.WriteTo(ca());  // mended while it runs
  const Exit exit = run->Wait(60s);
  EXPECT_EQ(exit.code, 0) << exit.err;
  EXPECT_EQ(Status()["status"]["progress"].value("failed", 0), 0);
  EXPECT_EQ(server_.requests().size(), 200U);
}

TEST_F(TlsRunTest, AFileThatIsMissingIsNamedBeforeAnythingStarts) {
  WriteTlsSpec({.end = 200});
  std::filesystem::remove(dir_ / "token");
  env_.erase("ORDERS_LOGIN");
  const Exit exit = Run();
  EXPECT_EQ(exit.code, 1);
  EXPECT_THAT(exit.err, HasSubstr("spec.target.http.secretHeaders[0].file: " +
                                  (dir_ / "token").string() + ": No such file or directory"));
  EXPECT_THAT(exit.err,
              HasSubstr("spec.target.http.secretHeaders[1].env: ORDERS_LOGIN is not set"));
  EXPECT_THAT(server_.requests(), IsEmpty());
}

TEST_F(TlsRunTest, AFileThatHoldsSomethingElseIsNamedInTheWorkersLog) {
  WriteFile(ca(), "no certificate\n");
  WriteTlsSpec({.end = 200});
  const Exit exit = Run();
  EXPECT_EQ(exit.code, 3);
  EXPECT_THAT(exit.out + exit.err, HasSubstr("WorkerConfigError"));
  EXPECT_THAT(WorkersLog(), HasSubstr("ca.pem: holds no certificate (PEM)"));
}

}  // namespace
}  // namespace backfill::e2e
