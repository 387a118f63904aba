// The sender against servers that misbehave.
#include "worker/target/http_sender.h"

#include <atomic>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "tests/worker/target/bad_network.h"
#include "tests/worker/target/raw_server.h"
#include "worker/target/run_target.h"

namespace backfill::worker {
namespace {

using fakes::BlackHole;
using fakes::FakeResolver;
using fakes::kOk;
using fakes::RawServer;
using fakes::SlowReader;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class HttpSenderTest : public ::testing::Test {
 protected:
  void Target(int port, std::chrono::milliseconds timeout = 2s, HttpSenderOptions options = {},
              const std::string& host = "127.0.0.1", const std::string& method = "POST") {
    RequestTemplate request{.method = method,
                            .url = "http://" + host + ":" + std::to_string(port) + "/r/{{key}}",
                            .headers = {},
                            .body = method == "POST" ? "{{record}}" : ""};
    request.timeout = timeout;
    target_.reset();  // before its io_context, whose handlers never run again
    io_ = std::make_unique<boost::asio::io_context>(1);
    auto target = RunTarget::Create(
        *io_, request, {.backfill_name = "b", .backfill_uid = "u", .fields = {}}, OutcomeMap(),
        options, [this](std::uint32_t slot, BatchResult r) { results_[slot] = std::move(r); });
    ASSERT_TRUE(target.ok()) << target.error().message;
    target_ = std::move(*target);
  }
  void Start(std::uint32_t slot, const std::vector<std::string>& keys) {
    records_[slot].clear();
    Position p = 0;
    for (const std::string& k : keys) records_[slot].push_back({.position = p++, .key = k});
    results_.erase(slot);
    target_->Send({slot, ShardId{0}, &records_[slot]}, std::chrono::steady_clock::now());
  }
  void RunFor(Duration d) {
    const Time until = std::chrono::steady_clock::now() + d;
    while (std::chrono::steady_clock::now() < until) Step();
  }
  void Step() {
    io_->restart();
    io_->run_for(5ms);
    target_->Tick(std::chrono::steady_clock::now());
  }
  BatchResult Await(std::uint32_t slot) {
    const Time until = std::chrono::steady_clock::now() + 10s;
    while (!results_.contains(slot) && std::chrono::steady_clock::now() < until) Step();
    EXPECT_TRUE(results_.contains(slot)) << "no result";
    return results_[slot];
  }
  BatchResult Send(const std::vector<std::string>& keys = {"1"}) {
    Start(0, keys);
    return Await(0);
  }
  void ExpectUpdated(const BatchResult& r) {
    EXPECT_EQ(r.verdict.outcome, Outcome::kUpdated) << r.verdict.message;
    EXPECT_EQ(r.delivery, Delivery::kAnswered);
  }
  void ExpectLost(const BatchResult& r, Delivery delivery,
                  FailureClass failure = FailureClass::kTransient) {
    EXPECT_EQ(r.verdict.outcome, Outcome::kFailed);
    EXPECT_EQ(r.verdict.failure, failure) << r.verdict.message;
    EXPECT_EQ(r.delivery, delivery) << r.verdict.message;
    EXPECT_THAT(r.verdict.message, Not(IsEmpty()));
  }

  FakeResolver resolver_;
  std::unique_ptr<boost::asio::io_context> io_;
  std::unique_ptr<RunTarget> target_;
  std::map<std::uint32_t, std::vector<Record>> records_;
  std::map<std::uint32_t, BatchResult> results_;
};

TEST_F(HttpSenderTest, SendsTheRequestAndReusesItsConnection) {
  RawServer server(RawServer::Always(kOk));
  Target(server.port());
  ExpectUpdated(Send({"17"}));
  ExpectUpdated(Send({"a/b"}));
  EXPECT_EQ(server.accepted(), 1);
  ASSERT_THAT(server.requests(), SizeIs(2));
  EXPECT_THAT(server.requests()[0], testing::StartsWith("POST /r/17 HTTP/1.1\r\n"));
  EXPECT_THAT(server.requests()[0],
              HasSubstr("\r\nHost: 127.0.0.1:" + std::to_string(server.port()) + "\r\n"));
  EXPECT_THAT(server.requests()[0], HasSubstr("\r\nIdempotency-Key: u/17\r\n"));
  EXPECT_THAT(server.requests()[0], HasSubstr("\r\nContent-Type: application/json\r\n"));
  EXPECT_THAT(server.requests()[0], testing::EndsWith("\r\n\r\n{\"key\":\"17\"}"));
  EXPECT_THAT(server.requests()[1], HasSubstr("\r\nIdempotency-Key: u/a%2Fb\r\n"));
}

TEST_F(HttpSenderTest, UsesAsManyConnectionsAsRequestsAreUnderWay) {
  RawServer server([](int fd, const std::string&, int) {
    std::this_thread::sleep_for(100ms);
    return RawServer::Say(fd, kOk);
  });
  Target(server.port());
  for (std::uint32_t slot = 0; slot < 5; ++slot) Start(slot, {std::to_string(slot)});
  for (std::uint32_t slot = 0; slot < 5; ++slot) ExpectUpdated(Await(slot));
  EXPECT_EQ(server.accepted(), 5);
  ExpectUpdated(Send());
  EXPECT_EQ(server.accepted(), 5);
}

struct Reply {
  const char* name;
  std::string bytes;
  bool closes = false;
  bool reused = true;
};

TEST_F(HttpSenderTest, UnderstandsEveryKindOfReply) {
  const Reply replies[] = {
      {"by length", kOk},
      {"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
      {"chunked with trailers",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3;x=y\r\nabc\r\n0\r\nX: "
       "1\r\n\r\n"},
      {"until close", "HTTP/1.1 200 OK\r\n\r\nsome text", true, false},
      {"1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false, false},
      {"connection: close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
       false, false},
      {"100 first", std::string("HTTP/1.1 100 Continue\r\n\r\n") + kOk},
      {"103 and 100 first",
       std::string("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 C\r\n\r\n") + kOk},
      {"204", "HTTP/1.1 204 No Content\r\n\r\n"},
      {"empty body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
      {"a body of 60 KiB",
       "HTTP/1.1 200 OK\r\nContent-Length: 61440\r\n\r\n" + std::string(61440, 'x')},
      {"bytes left over", std::string(kOk) + "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
       false, false},
      {"no time to keep it alive",
       "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 0\r\n\r\n", false, false},
  };
  for (const Reply& reply : replies) {
    SCOPED_TRACE(reply.name);
    RawServer server(reply.closes ? RawServer::ThenClose(reply.bytes)
                                  : RawServer::Always(reply.bytes));
    Target(server.port());
    ExpectUpdated(Send());
    ExpectUpdated(Send());
    EXPECT_EQ(server.accepted(), reply.reused ? 1 : 2);
  }
}

TEST_F(HttpSenderTest, NotModifiedHasNoBodyWhateverItSays) {
  RawServer server(RawServer::Always("HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"));
  Target(server.port());
  EXPECT_EQ(Send().verdict.outcome, Outcome::kUnchanged);
}

TEST_F(HttpSenderTest, ARepliesToHeadHasNoBody) {
  RawServer server(RawServer::Always("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"));
  Target(server.port(), 2s, {}, "127.0.0.1", "HEAD");
  ExpectUpdated(Send());
  ExpectUpdated(Send());
  EXPECT_EQ(server.accepted(), 1);
}

TEST_F(HttpSenderTest, ABadReplyIsNoAnswer) {
  const Reply replies[] = {
      {"garbage", "\x16\x03\x01 what is this\r\n\r\n", true},
      {"another protocol", "SSH-2.0-OpenSSH_9.2\r\n", true},
      {"cut in the head", "HTTP/1.1 200 OK\r\nContent-Le", true},
      {"cut in the body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", true},
      {"cut in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", true},
      {"a status line and nothing else", "HTTP/1.1 200 OK\r\n", true},
      {"closed before the reply", "", true},
      {"a head that is too long", "HTTP/1.1 200 OK\r\nX: " + std::string(10'000, 'x') + "\r\n\r\n"},
      {"a body that is too long",
       "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + std::string(1'000'000, 'x')},
      {"too long a body, chunked",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf4240\r\n" +
           std::string(1'000'000, 'x') + "\r\n0\r\n\r\n"},
      {"too long a body, until close", "HTTP/1.1 200 OK\r\n\r\n" + std::string(1'000'000, 'x'),
       true},
      {"a length that lies", "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nabc",
       true},
      {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", true},
      {"interim replies without end",
       [] {
         std::string s;
         for (int i = 0; i < 100; ++i) s += "HTTP/1.1 100 Continue\r\n\r\n";
         return s;
       }()},
  };
  for (const Reply& reply : replies) {
    SCOPED_TRACE(reply.name);
    RawServer server(reply.closes ? RawServer::ThenClose(reply.bytes)
                                  : RawServer::Always(reply.bytes));
    Target(server.port());
    ExpectLost(Send(), Delivery::kUnanswered);
    EXPECT_THAT(server.requests(), SizeIs(1)) << "the transport never sends twice by itself";
  }
}

TEST_F(HttpSenderTest, ASlowReplyIsATimeoutAndItsConnectionIsNotUsedAgain) {
  RawServer server([](int fd, const std::string&, int number) {
    if (number > 1) return RawServer::Say(fd, kOk);
    for (const char c : std::string_view(kOk)) {  // a byte at a time
      if (!RawServer::Say(fd, std::string_view(&c, 1))) return false;
      std::this_thread::sleep_for(20ms);
    }
    return true;
  });
  Target(server.port(), 200ms);
  const Time start = std::chrono::steady_clock::now();
  ExpectLost(Send(), Delivery::kUnanswered, FailureClass::kTimeout);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 1s);
  ExpectUpdated(Send());
  EXPECT_EQ(server.accepted(), 2) << "a late reply must not count for another record";
}

TEST_F(HttpSenderTest, AServerThatAcceptsAndSaysNothingIsATimeout) {
  RawServer server([](int, const std::string&, int) { return true; });
  Target(server.port(), 150ms);
  ExpectLost(Send(), Delivery::kUnanswered, FailureClass::kTimeout);
}

TEST_F(HttpSenderTest, ARefusedConnectionIsNotSentAndTheTargetUnreachable) {
  int port = 0;
  {
    RawServer server(RawServer::Always(kOk));
    port = server.port();
  }
  Target(port);
  const BatchResult r = Send();
  ExpectLost(r, Delivery::kNotSent);
  EXPECT_TRUE(r.unreachable);
  EXPECT_THAT(r.verdict.message, HasSubstr("refused"));
}

TEST_F(HttpSenderTest, ANameThatDoesNotExistIsUnreachable) {
  Target(80, 3s, {}, "no-such-host.invalid");
  const BatchResult r = Send();
  EXPECT_EQ(r.delivery, Delivery::kNotSent);
  EXPECT_TRUE(r.unreachable);
  EXPECT_THAT(r.verdict.message, HasSubstr("no-such-host.invalid"));
}

TEST_F(HttpSenderTest, FindsTheAddressThatAnswersAmongSeveral) {
  RawServer server(RawServer::Always(kOk));
  BlackHole hole("127.0.0.3");
  Target(80, 5s, {.max_age = 0s, .resolver = &resolver_}, "orders");
  for (int i = 0; i < 6; ++i) {
    Start(0, {"1"});
    // Nobody listens on 127.0.0.2.
    if (resolver_.pending)
      resolver_.Answer(
          {{"127.0.0.2", server.port()}, {"127.0.0.3", hole.port()}, {"127.0.0.1", server.port()}});
    const Time start = std::chrono::steady_clock::now();
    ExpectUpdated(Await(0));
    const Duration took = std::chrono::steady_clock::now() - start;
    EXPECT_LT(took, i == 0 ? 2s : 1900ms);
  }
  EXPECT_EQ(server.accepted(), 6);
}

TEST_F(HttpSenderTest, ABadAddressIsTriedLastForAWhile) {
  RawServer server(RawServer::Always(kOk));
  BlackHole hole("127.0.0.3");
  Target(80, 5s, {.max_age = 0s, .resolver = &resolver_}, "orders");
  Start(0, {"1"});
  resolver_.Answer({{"127.0.0.3", hole.port()}, {"127.0.0.1", server.port()}});
  ExpectUpdated(Await(0));
  const Time start = std::chrono::steady_clock::now();
  for (int i = 0; i < 6; ++i) ExpectUpdated(Send());
  EXPECT_LT(std::chrono::steady_clock::now() - start, 500ms);
}

TEST_F(HttpSenderTest, ALookupThatHangsDoesNotKeepItFromAddressesThatItKnows) {
  RawServer server(RawServer::Always(kOk));
  Target(80, 2s, {.max_age = 0s, .dns_fresh = 50ms, .dns_patience = 200ms, .resolver = &resolver_},
         "orders");
  Start(0, {"1"});
  resolver_.Answer({{"127.0.0.1", server.port()}});
  ExpectUpdated(Await(0));
  RunFor(60ms);
  const Time start = std::chrono::steady_clock::now();
  ExpectUpdated(Send());
  EXPECT_GE(std::chrono::steady_clock::now() - start, 150ms) << "a fresh answer would be better";
  const Time slow = std::chrono::steady_clock::now();
  for (int i = 0; i < 5; ++i) ExpectUpdated(Send());
  EXPECT_LT(std::chrono::steady_clock::now() - slow, 150ms) << "it has waited enough";
  EXPECT_EQ(resolver_.lookups, 2) << "one at a time";
  resolver_.Fail();
  RunFor(60ms);
  ExpectUpdated(Send());
  EXPECT_EQ(resolver_.lookups, 3);
}

TEST_F(HttpSenderTest, ALookupThatHangsFromTheBeginningIsATimeout) {
  Target(80, 150ms, {.resolver = &resolver_}, "orders");
  const BatchResult r = Send();
  ExpectLost(r, Delivery::kNotSent, FailureClass::kTimeout);
  EXPECT_TRUE(r.unreachable);
  RawServer server(RawServer::Always(kOk));
  resolver_.Answer({{"127.0.0.1", server.port()}});
  RunFor(30ms);
  EXPECT_EQ(server.accepted(), 0) << "too late for that request";
}

TEST_F(HttpSenderTest, WhatHasWrittenNothingCanBeWithdrawn) {
  BlackHole hole("127.0.0.3");
  RawServer server([](int fd, const std::string&, int) {
    std::this_thread::sleep_for(100ms);
    return RawServer::Say(fd, kOk);
  });
  Target(80, 5s, {.resolver = &resolver_}, "orders");
  Start(0, {"1"});
  resolver_.Answer({{"127.0.0.1", server.port()}});
  while (server.requests().empty()) Step();
  Target(hole.port(), 5s, {}, "127.0.0.3");
  Start(1, {"1"});
  target_->Withdraw();
  RunFor(20ms);
  ASSERT_TRUE(results_.contains(1)) << "connecting";
  EXPECT_TRUE(results_[1].withdrawn);
  EXPECT_FALSE(results_[1].unreachable);
  EXPECT_EQ(results_[1].delivery, Delivery::kNotSent);

  Target(80, 5s, {.resolver = &resolver_}, "orders");
  Start(2, {"1"});
  target_->Withdraw();
  RunFor(20ms);
  ASSERT_TRUE(results_.contains(2)) << "resolving";
  EXPECT_TRUE(results_[2].withdrawn);

  Target(server.port());
  Start(3, {"1"});
  while (server.requests().size() < 2) Step();
  target_->Withdraw();
  ExpectUpdated(Await(3));
}

TEST_F(HttpSenderTest, AServerThatClosesWhatItPromisedToKeepCostsOneRecord) {
  RawServer server(RawServer::ThenClose(kOk));
  Target(server.port());
  int lost = 0;
  for (int i = 0; i < 50; ++i) lost += Send().verdict.outcome == Outcome::kUpdated ? 0 : 1;
  EXPECT_LE(lost, 1);
}

TEST_F(HttpSenderTest, BytesThatComeLaterThanTheReplyAnswerNoOtherRequest) {
  std::atomic<int> replies_read{0}, more_said{0};
  RawServer server([&](int fd, const std::string&, int number) {
    RawServer::Say(fd, kOk);
    while (replies_read < number) std::this_thread::yield();
    RawServer::Say(fd, "HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n");
    more_said = number;
    return true;
  });
  Target(server.port());
  for (int i = 1; i <= 20; ++i) {
    ExpectUpdated(Send());
    replies_read = i;
    while (more_said < i) std::this_thread::yield();
  }
  EXPECT_EQ(server.accepted(), 20);
}

TEST_F(HttpSenderTest, WhatIsBufferedDoesNotLeaveAfterTheDeadline) {
  // Takes little of the request, and would take the rest after the deadline.
  std::atomic<bool> read_on{false};
  std::atomic<std::size_t> got{0};
  SlowReader server(read_on, got);
  Target(server.port(), 1s);
  Start(0, {std::string(1'000'000, 'x')});
  const BatchResult r = Await(0);
  ExpectLost(r, Delivery::kUnanswered, FailureClass::kTimeout);
  read_on = true;
  server.Join();
  EXPECT_LT(got, 32'000u) << "what was buffered is not delivered any more";
}

TEST_F(HttpSenderTest, SeesThatAnIdleConnectionWasClosedBeforeItSendsTheNextRecord) {
  RawServer server(RawServer::ThenClose(kOk));  // keep-alive promised, and closed
  Target(server.port());
  for (int i = 0; i < 5; ++i) {
    ExpectUpdated(Send());
    RunFor(30ms);
  }
  EXPECT_EQ(server.accepted(), 5);
}

TEST_F(HttpSenderTest, DropsAConnectionThatWasIdleTooLong) {
  RawServer server(RawServer::Always(kOk));
  Target(server.port(), 2s, {.max_idle = 100ms});
  ExpectUpdated(Send());
  RunFor(200ms);
  ExpectUpdated(Send());
  EXPECT_EQ(server.accepted(), 2);
}

TEST_F(HttpSenderTest, KeepAliveOfTheServerShortensTheIdleTime) {
  RawServer server(RawServer::Always(
      "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1, max=9\r\nContent-Length: 0\r\n\r\n"));
  Target(server.port());
  ExpectUpdated(Send());
  RunFor(600ms);
  ExpectUpdated(Send());
  EXPECT_EQ(server.accepted(), 2);
}

TEST_F(HttpSenderTest, ReplacesConnectionsAfterTheirTime) {
  RawServer server(RawServer::Always(kOk));
  Target(server.port(), 2s, {.max_age = 100ms});
  const Time until = std::chrono::steady_clock::now() + 500ms;
  while (std::chrono::steady_clock::now() < until) ExpectUpdated(Send());
  EXPECT_GE(server.accepted(), 3);
  EXPECT_LE(server.accepted(), 10);
}

TEST_F(HttpSenderTest, ObeysRetryAfterInSecondsOrAsADate) {
  const auto retry_after = [&](const std::string& value) {
    RawServer server(RawServer::Always("HTTP/1.1 503 Busy\r\nRetry-After: " + value +
                                       "\r\nContent-Length: 0\r\n\r\n"));
    Target(server.port());
    return Send().retry_after;
  };
  EXPECT_EQ(retry_after("7"), 7s);
  EXPECT_EQ(retry_after("99999999999999999999"), 24h);
  EXPECT_EQ(retry_after("-3"), std::nullopt);
  EXPECT_EQ(retry_after("soon"), std::nullopt);
  EXPECT_EQ(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), 0s) << "in the past";
  const std::time_t in_a_minute = std::time(nullptr) + 60;
  char date[64];
  std::tm tm{};
  gmtime_r(&in_a_minute, &tm);
  std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
  const auto wait = retry_after(date);
  ASSERT_TRUE(wait.has_value());
  EXPECT_GT(*wait, 55s);
  EXPECT_LE(*wait, 60s);
}

TEST_F(HttpSenderTest, NeverFollowsARedirect) {
  RawServer server(
      RawServer::Always("HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"));
  Target(server.port());
  const BatchResult r = Send();
  EXPECT_EQ(r.verdict.failure, FailureClass::kPermanent);
  EXPECT_EQ(r.verdict.message, "HTTP 307");
  EXPECT_THAT(server.requests(), SizeIs(1));
}

TEST_F(HttpSenderTest, HonoursPerRecordOutcomesOfABatch) {
  const std::string body =
      R"({"outcomes":[{"key":"1","outcome":"updated"},{"key":"2","outcome":"failed","class":"conflict","message":"no"}]})";
  RawServer server(RawServer::Always(
      "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body));
  Target(server.port());
  const BatchResult r = Send({"1", "2", "3"});
  EXPECT_TRUE(r.per_record);
  ASSERT_THAT(r.records, SizeIs(2));
  EXPECT_EQ(r.records[1].second.failure, FailureClass::kConflict);
  EXPECT_EQ(r.verdict.failure, FailureClass::kTransient) << "of the one that is left out";
}

TEST_F(HttpSenderTest, AReplyThatNamesOutcomesAndCannotBeReadIsNoSuccess) {
  const std::string body = R"({"outcomes":[{"key":"1","outcome":"failed")";  // cut off
  for (const auto& [status, failure] : {std::pair("200 OK", FailureClass::kTransient),
                                        std::pair("422 No", FailureClass::kPermanent)}) {
    RawServer server(RawServer::Always("HTTP/1.1 " + std::string(status) + "\r\nContent-Length: " +
                                       std::to_string(body.size()) + "\r\n\r\n" + body));
    Target(server.port());
    const BatchResult r = Send({"1", "2"});
    EXPECT_FALSE(r.per_record);
    EXPECT_EQ(r.verdict.outcome, Outcome::kFailed);
    EXPECT_EQ(r.verdict.failure, failure) << status;
    EXPECT_EQ(r.delivery, Delivery::kAnswered);
  }
}

TEST_F(HttpSenderTest, AnOverloadedTargetSaysNothingAboutRecords) {
  const std::string body = R"({"outcomes":[{"key":"1","outcome":"updated"}]})";
  RawServer server(RawServer::Always(
      "HTTP/1.1 503 Busy\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body));
  Target(server.port());
  const BatchResult r = Send();
  EXPECT_FALSE(r.per_record);
  EXPECT_EQ(r.verdict.failure, FailureClass::kTransient);
}

TEST_F(HttpSenderTest, AStoppedProcessDoesNotFinishARequestPastTheDeadline) {
  std::atomic<bool> read_on{false};
  std::atomic<std::size_t> got{0};
  SlowReader server(read_on, got);
  Target(server.port(), 1s);
  Start(0, {std::string(1'000'000, 'x')});
  RunFor(20ms);
  read_on = true;  // the socket can be written again, and nobody looks at the clock
  std::this_thread::sleep_for(1100ms);
  const std::size_t before = got;
  const BatchResult r = Await(0);
  ExpectLost(r, Delivery::kUnanswered, FailureClass::kTimeout);
  RunFor(50ms);
  EXPECT_EQ(got, before);
}

TEST_F(HttpSenderTest, AStoppedProcessWritesNothingPastTheDeadline) {
  RawServer server(RawServer::Always(kOk));
  Target(server.port(), 50ms);
  Start(0, {"1"});  // connecting
  std::this_thread::sleep_for(
      100ms);  // the process stands still; the connection is there when it wakes up
  const BatchResult r = Await(0);
  ExpectLost(r, Delivery::kNotSent, FailureClass::kTimeout);
  RunFor(50ms);
  EXPECT_THAT(server.requests(), IsEmpty());
}

}  // namespace
}  // namespace backfill::worker
