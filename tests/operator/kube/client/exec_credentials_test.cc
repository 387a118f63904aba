#include "operator/kube/client/exec_credentials.h"

#include <fmt/format.h>

#include <chrono>
#include <string>

#include "operator/kube/client/child_output.h"

namespace backfill::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kV1 = "client.authentication.k8s.io/v1";

// Runs `script`, and says how long that took.
class ChildOutputTest : public testing::Test {
 protected:
  Result<std::string> Run(const std::string& script, Duration within = seconds(10),
                          std::stop_token stop = {}) {
    const Time begin = std::chrono::steady_clock::now();
    auto output = OutputOf({.program = "sh",
                            .arguments = {"-c", script},
                            .environment = {{"COLOR", "blue sky"}},
                            .max_output_bytes = 100'000},
                           begin + within, std::move(stop));
    took_ = std::chrono::steady_clock::now() - begin;
    return output;
  }
  Duration took_{};
};

TEST_F(ChildOutputTest, IsWhatItPrints) {
  EXPECT_EQ(Run("echo hello; echo $COLOR").value(), "hello\nblue sky\n");
  EXPECT_EQ(Run("cat; test -n \"$PATH\" && echo end").value(), "end\n");  // nothing to read
  EXPECT_EQ(Run("head -c 100000 /dev/zero").value().size(), 100'000u);
}

TEST_F(ChildOutputTest, SaysHowItEnded) {
  EXPECT_EQ(Run("echo x; exit 3").error().message, "ended with 3");
  EXPECT_EQ(Run("kill -9 $$").error().message, "was ended by signal 9");
  EXPECT_EQ(Run("head -c 100001 /dev/zero").error().code, ErrorCode::kInvalid);
  const auto absent =
      OutputOf({.program = "/nonexistent/login", .arguments = {}, .environment = {}},
               std::chrono::steady_clock::now() + seconds(5), {});
  EXPECT_EQ(absent.error().code, ErrorCode::kNotFound);
}

TEST_F(ChildOutputTest, EndsInTimeWithAllThatItHasStarted) {
  for (const char* script : {"sleep 60", "sleep 60 & sleep 60", "exec >&-; sleep 60",
                             "trap '' TERM; while :; do :; done", "yes | head -c 1000; sleep 60"}) {
    SCOPED_TRACE(script);
    EXPECT_EQ(Run(script, milliseconds(200)).error().code, ErrorCode::kDeadline);
    EXPECT_LT(took_, seconds(5));
  }
}

TEST_F(ChildOutputTest, WhatItLeavesBehindIsNotWaitedFor) {
  EXPECT_EQ(Run("sleep 60 & echo done").value(), "done\n");
  EXPECT_LT(took_, seconds(5));
}

TEST_F(ChildOutputTest, Stops) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(Run("sleep 60", seconds(10), stop.get_token()).error().code, ErrorCode::kAborted);
  EXPECT_LT(took_, seconds(5));
}

std::string Printed(std::string_view status, std::string_view version = kV1) {
  return fmt::format(R"({{"kind":"ExecCredential","apiVersion":"{}","status":{}}})", version,
                     status);
}

TEST(ExecCredentialTest, HasATokenACertificateOrBoth) {
  const auto token = ParseExecCredential(
      Printed(R"({"token":"t0ken","expirationTimestamp":"2026-11-23T03:28:59Z"})"), kV1);
  ASSERT_TRUE(token.ok()) << token.error().message;
  EXPECT_EQ(token->token, "t0ken");
  EXPECT_EQ(token->expires, ParseWallTime("2026-11-23T03:28:59Z"));
  const auto certificate =
      ParseExecCredential(Printed(R"({"clientCertificateData":"c","clientKeyData":"k"})"), kV1);
  ASSERT_TRUE(certificate.ok());
  EXPECT_EQ(certificate->certificate_pem, "c");
  EXPECT_EQ(certificate->key_pem, "k");
  EXPECT_FALSE(certificate->expires);
}

TEST(ExecCredentialTest, AnythingElseIsRefusedWithoutAWordOfIt) {
  for (const std::string& output : {
           std::string(),
           std::string("s3cret"),
           std::string("[]"),
           std::string("{}"),
           Printed(R"({"token":"s3cret"})", "client.authentication.k8s.io/v1beta1"),
           Printed("{}"),
           Printed(R"({"token":["s3cret"]})"),
           Printed(R"({"token":"s3cret\ns3cret"})"),
           Printed(R"({"token":"s3cret","expirationTimestamp":"s3cret"})"),
           Printed(R"({"clientKeyData":"s3cret"})"),
       }) {
    const auto refused = ParseExecCredential(output, kV1);
    ASSERT_FALSE(refused.ok()) << output;
    EXPECT_EQ(refused.error().code, ErrorCode::kUnauthenticated);
    EXPECT_THAT(refused.error().message, Not(HasSubstr("s3cret")));
  }
}

TEST(ExecCredentialTest, TakesTimesInAllTheirForms) {
  const auto want = ParseWallTime("2026-11-23T03:28:59Z");
  for (const char* text :
       {"2026-11-23T03:28:59Z", "2026-11-23t03:28:59z", "2026-11-23T03:28:59.123456Z",
        "2026-11-23T04:28:59+01:00", "2026-11-22T22:58:59.5-04:30", "2026-11-23 03:28:59+00:00"}) {
    EXPECT_EQ(ParseRfc3339(text), want) << text;
  }
  for (const char* text :
       {"", "2026-11-23", "2026-11-23T03:28:59", "2026-11-23T03:28:59.Z",
        "2026-11-23T03:28:59+0100", "2026-11-23T03:28:59+01:0x", "2026-11-23T03:28:59+25:00",
        "2026-13-23T03:28:59Z", "1700000000", "0340-11-23T03:28:59Z", "9999-11-23T03:28:59Z"}) {
    EXPECT_EQ(ParseRfc3339(text), std::nullopt) << text;
  }
}

class ExecCredentialsTest : public testing::Test {
 protected:
  static Result<Credentials> Load(const std::string& script, const std::string& program = "sh") {
    return MakeExecCredentials(
               {.command = {.program = program, .arguments = {"-c", script}, .environment = {}},
                .api_version = std::string(kV1),
                .install_hint = "apt-get install login"},
               {})
        ->Load(std::chrono::steady_clock::now() + seconds(10), {});
  }
};

TEST_F(ExecCredentialsTest, AreWhatTheProgramSays) {
  EXPECT_EQ(Load("echo '" + Printed(R"({"token":"t0ken"})") + "'")->token, "t0ken");
}

TEST_F(ExecCredentialsTest, SayWhichProgramFailed) {
  EXPECT_EQ(Load("exit 1").error().message, "exec sh: ended with 1");
  EXPECT_EQ(Load("exit 1").error().code, ErrorCode::kUnauthenticated);
  EXPECT_EQ(Load("", "no-such-login").error().message,
            "exec no-such-login: No such file or directory (apt-get install login)");
  // Half a certificate.
  EXPECT_THAT(Load("echo '" + Printed(R"({"clientCertificateData":"c"})") + "'").error().message,
              HasSubstr("together"));
}

}  // namespace
}  // namespace backfill::kube
