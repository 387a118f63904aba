#include "operator/certificates/secret_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/fakes/manual_clock.h"
#include "tests/fakes/scripted_transport.h"

namespace backfill::certificates {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string SecretText(const std::string& version, const std::string& name = "tls") {
  return R"({"kind":"Secret","metadata":{"namespace":"ops","name":")" + name +
         R"(","uid":"u","resourceVersion":")" + version + R"("}})";
}
std::string SecretEvent(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}";
}
std::string Refusal(int code, const std::string& reason) {
  return R"({"kind":"Status","code":)" + std::to_string(code) + R"(,"reason":")" + reason + "\"}";
}

class SecretWatchTest : public ::testing::Test {
 protected:
  SecretWatchTest() {
    server_.AnswerOthers([](const kube::HttpRequest&) -> Result<kube::HttpResponse> {
      return kube::HttpResponse{.status = 200, .body = SecretText("1")};
    });
  }
  void Start() { watch_.Start(); }
  void Settle() { ASSERT_TRUE(server_.AwaitSilence()); }
  std::vector<std::string> Seen() {
    MutexLock l(mu_);
    return std::exchange(seen_, {});
  }
  std::vector<std::int64_t> Waits() {
    MutexLock l(mu_);
    return std::exchange(waits_, {});
  }
  void Wait(Time until) {
    {
      MutexLock l(mu_);
      waits_.push_back((until - clock_.Steady()) / 1ms);
    }
    if (until > clock_.Steady()) clock_.Advance(until - clock_.Steady());
  }

  fakes::ManualClock clock_;
  fakes::ScriptedTransport server_{clock_};
  Mutex mu_;
  std::vector<std::string> seen_ GUARDED_BY(mu_);  // versions; "-": it is not there
  std::vector<std::int64_t> waits_ GUARDED_BY(mu_);
  SecretWatch watch_{server_,
                     clock_,
                     {.ns = "ops", .name = "tls"},
                     [this](const std::shared_ptr<const CertificateSecret>& secret) {
                       MutexLock l(mu_);
                       seen_.push_back(secret ? secret->meta.resource_version : "-");
                     },
                     {.wait = [this](Time until, const std::stop_token&) { Wait(until); }}};
};

TEST_F(SecretWatchTest, ItGetsTheObjectAndWatchesItByName) {
  server_.Line(SecretEvent("ADDED", SecretText("1")));
  server_.Line(SecretEvent("MODIFIED", SecretText("2")));
  server_.Line(SecretEvent("BOOKMARK", SecretText("3")));
  server_.Line(SecretEvent("MODIFIED", SecretText("4", "another")));
  server_.Line(SecretEvent("DELETED", SecretText("5")));
  Start();
  Settle();
  EXPECT_THAT(Seen(), ElementsAre("1", "1", "2", "-"));
  ASSERT_EQ(server_.sent().size(), 1U);
  EXPECT_EQ(server_.sent()[0].target, "/api/v1/namespaces/ops/secrets/tls");
  EXPECT_THAT(
      server_.streams()[0].target,
      HasSubstr("/api/v1/namespaces/ops/secrets?fieldSelector=metadata.name%3Dtls&watch=true"
                "&allowWatchBookmarks=true&timeoutSeconds=2"));
}

TEST_F(SecretWatchTest, OneThatIsNotThereIsAwaited) {
  server_.Answer(404, Refusal(404, "NotFound"));
  server_.Line(SecretEvent("ADDED", SecretText("7")));
  Start();
  Settle();
  EXPECT_THAT(Seen(), ElementsAre("-", "7"));
}

TEST_F(SecretWatchTest, R2_AWatchThatIsSilentIsGivenUp) {
  const Time before = clock_.Steady();
  server_.GoSilent();
  Start();
  Settle();
  EXPECT_GE(clock_.Steady() - before, 245s);
  EXPECT_LE(clock_.Steady() - before, 297s);
  EXPECT_EQ(server_.streams().size(), 2U);
}

TEST_F(SecretWatchTest, R4_ARefusalIsWaitedOutForAsLongAsItSays) {
  server_.Refuse(429, Refusal(429, "TooManyRequests"), std::chrono::milliseconds(7000));
  server_.Refuse(503, Refusal(503, "ServiceUnavailable"), std::chrono::hours(1));
  Start();
  Settle();
  EXPECT_THAT(Waits(), ElementsAre(7000, 60'000));
}

TEST_F(SecretWatchTest, R5_FailuresAreWaitedOutLongerAndLonger) {
  for (int i = 0; i < 4; ++i) server_.CutStream({ErrorCode::kUnavailable, "connection refused"});
  for (int i = 0; i < 4; ++i) server_.EndStream();  // at once: no good end
  server_.Line(SecretEvent("ERROR", Refusal(410, "Expired")));
  server_.Line("{ no event");
  Start();
  Settle();
  const std::vector<std::int64_t> waits = Waits();
  ASSERT_EQ(waits.size(), 10U);
  std::int64_t base = 800;
  for (const std::int64_t wait : waits) {
    EXPECT_GE(wait, base);
    EXPECT_LE(wait, 2 * base);
    base = std::min<std::int64_t>(base * 2, 30'000);
  }
}

TEST_F(SecretWatchTest, R41_ItStopsWhileItWaitsForTheServer) {
  Start();
  Settle();
  watch_.Stop();
  watch_.Stop();
}

}  // namespace
}  // namespace backfill::certificates
