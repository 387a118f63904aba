#include "operator/kube/client/rest_transport.h"

#include <fmt/format.h>

#include <atomic>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/operator/kube/client/rest_fixture.h"
#include "tests/worker/target/raw_server.h"

namespace backfill::kube {
namespace {

using fakes::RawServer;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

// As a main does it, so that all of this is known to work with so few.
class FourThreads final : public testing::Environment {
 public:
  void SetUp() override {
    if (!std::exchange(started_, true)) {
      ASSERT_TRUE(StartHttpThreads(4));
    }
  }

 private:
  bool started_ = false;  // once in a process, however often the tests are repeated
};
const testing::Environment* const four_threads = testing::AddGlobalTestEnvironment(new FourThreads);

class RestTransportTest : public RawServerFixture {};

TEST_F(RestTransportTest, R35_SendsWhatItIsTold) {
  server_.emplace([](int fd, const std::string&, int) { return RawServer::Say(fd, Reply("{}")); });
  Connect(0,
          {.server = fmt::format("http://127.0.0.1:{}/k8s/c-1/", server_->port()),
           .user_agent = "backfill-operator/1.2 (linux/amd64)"},
          std::make_unique<TestCredentials>([] { return Credentials{.token = "t0ken"}; }));
  const auto response = Send(HttpRequest{.method = HttpMethod::kPatch,
                                         .target = "/api/v1/%2E%2E/a%2Fb?x=1%262&watch=true",
                                         .content_type = "application/merge-patch+json",
                                         .body = R"({"a":1})"});
  ASSERT_TRUE(response.ok()) << response.error().message;
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "{}");
  const std::string request = server_->requests().at(0);
  EXPECT_THAT(request, testing::StartsWith(
                           "PATCH /k8s/c-1/api/v1/%2E%2E/a%2Fb?x=1%262&watch=true HTTP/1.1\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\nUser-Agent:backfill-operator/1.2 (linux/amd64)\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\nAuthorization:Bearer t0ken\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\nAccept:application/json\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\nContent-Type:application/merge-patch+json\r\n"));
  EXPECT_THAT(request, testing::EndsWith("\r\n\r\n{\"a\":1}"));
}

TEST_F(RestTransportTest, AsksForTheRepresentationThatIsWanted) {
  Serve([](int fd, const std::string&, int) { return RawServer::Say(fd, Reply("x")); });
  ASSERT_TRUE(Send(HttpRequest{.target = "/x", .accept = "application/json;as=Table"}).ok());
  EXPECT_THAT(server_->requests().at(0), HasSubstr("\r\nAccept:application/json;as=Table\r\n"));
}

TEST_F(RestTransportTest, KeepsItsConnection) {
  Serve([](int fd, const std::string&, int) { return RawServer::Say(fd, Reply("x")); });
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Get().ok());
  EXPECT_EQ(server_->accepted(), 1);
}

// R32: without the guard the library sends all of these twice.
TEST_F(RestTransportTest, R32_NoWriteIsSentTwiceWhenAReusedConnectionDies) {
  for (const HttpMethod method :
       {HttpMethod::kPost, HttpMethod::kPut, HttpMethod::kPatch, HttpMethod::kDelete}) {
    SCOPED_TRACE(ToString(method));
    Serve([](int fd, const std::string&, int number) {
      return number != 2 && RawServer::Say(fd, Reply("x"));
    });
    ASSERT_TRUE(Get().ok());
    const auto lost = Send(method, "/jobs", method == HttpMethod::kDelete ? "" : "{}");
    EXPECT_EQ(FailsWith(lost, ErrorCode::kUnavailable, "connection was lost"), "");
    EXPECT_EQ(server_->accepted(), 1);
    EXPECT_THAT(server_->requests(), SizeIs(2));
    // And all goes on.
    EXPECT_TRUE(Send(method, "/jobs").ok());
    EXPECT_THAT(server_->requests(), SizeIs(3));
  }
}

TEST_F(RestTransportTest, R32_AWriteOnAFreshConnectionThatDiesIsSentOnce) {
  ServeText("");
  EXPECT_EQ(FailsWith(Send(HttpMethod::kPost, "/jobs", "{}"), ErrorCode::kUnavailable), "");
  EXPECT_THAT(server_->requests(), SizeIs(1));
}

TEST_F(RestTransportTest, AReadIsRepeatedOnceWhenAReusedConnectionDies) {
  Serve([](int fd, const std::string&, int number) {
    return number != 2 && RawServer::Say(fd, Reply("x"));
  });
  ASSERT_TRUE(Get().ok());
  EXPECT_TRUE(Get().ok());
  EXPECT_THAT(server_->requests(), SizeIs(3));
}

TEST_F(RestTransportTest, SeesThatAnIdleConnectionWasClosed) {
  std::atomic<int> closed{0};
  Serve([&](int fd, const std::string&, int) {
    RawServer::Say(fd, Reply("x"));
    ::shutdown(fd, SHUT_RDWR);
    ++closed;
    return false;
  });
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(Send(HttpMethod::kPost, "/jobs", "{}").ok());
    ASSERT_TRUE(Eventually([&] { return closed == i; }));
  }
  EXPECT_THAT(server_->requests(), SizeIs(3));
  Close();
}

TEST_F(RestTransportTest, WhatNobodyAskedForAnswersNoOtherRequest) {
  std::atomic<bool> answered{false}, forged{false};
  Serve([&](int fd, const std::string&, int number) {
    if (number > 1) return RawServer::Say(fd, Reply("second"));
    RawServer::Say(fd, Reply("first") + Reply("forged"));
    EXPECT_TRUE(Eventually([&] { return answered.load(); }));
    RawServer::Say(fd, Reply("forged"));
    forged = true;
    return true;
  });
  EXPECT_EQ(Get()->body, "first");
  answered = true;
  ASSERT_TRUE(Eventually([&] { return forged.load(); }));
  EXPECT_EQ(Get()->body, "second");
  EXPECT_EQ(server_->accepted(), 2);
  Close();
}

TEST_F(RestTransportTest, R32_ADeadlineCoversABodyThatDrips) {
  Serve([](int fd, const std::string&, int) {
    RawServer::Say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    pollfd p{.fd = fd, .events = POLLRDHUP, .revents = 0};
    while (::poll(&p, 1, 10) == 0) {
      if (!RawServer::Say(fd, "x")) break;
    }
    return false;
  });
  const auto result = Send(HttpMethod::kGet, "/x", "", milliseconds(300));
  EXPECT_EQ(FailsWith(result, ErrorCode::kDeadline), "");
  EXPECT_GE(took_, milliseconds(300));
  EXPECT_LT(took_, seconds(2));
}

TEST_F(RestTransportTest, R32_ADeadlineCoversAServerThatSaysNothing) {
  Serve([](int fd, const std::string&, int) {
    HoldUntilClosed(fd);  // and closed it is, or this test hangs
    return false;
  });
  EXPECT_EQ(FailsWith(Send(HttpMethod::kGet, "/x", "", milliseconds(100)), ErrorCode::kDeadline),
            "");
  EXPECT_LT(took_, seconds(2));
}

// Takes no connection, and refuses none.
class FullListener {
 public:
  FullListener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof a;
    auto* generic = reinterpret_cast<sockaddr*>(&a);  // NOLINT: the socket API's own cast
    if (::bind(fd_, generic, size) != 0 || ::listen(fd_, 0) != 0) std::abort();
    ::getsockname(fd_, generic, &size);
    port_ = ntohs(a.sin_port);
    for (int& fd : waiting_) {
      fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      ::connect(fd, generic, size);
    }
  }
  ~FullListener() {
    for (const int fd : waiting_) ::close(fd);
    ::close(fd_);
  }
  FullListener(const FullListener&) = delete;
  FullListener& operator=(const FullListener&) = delete;
  [[nodiscard]] int port() const { return port_; }

 private:
  const int fd_;
  int port_ = 0;
  int waiting_[4] = {};
};

TEST_F(RestTransportTest, R32_DeadlineAndStopCoverConnecting) {
  const FullListener nowhere;
  Connect(nowhere.port());
  EXPECT_EQ(FailsWith(Send(HttpMethod::kGet, "/x", "", milliseconds(100)), ErrorCode::kDeadline),
            "");
  EXPECT_LT(took_, seconds(2));
  const std::jthread stopper([&] {
    std::this_thread::sleep_for(milliseconds(50));
    stop_.request_stop();
  });
  EXPECT_EQ(FailsWith(Get(), ErrorCode::kAborted), "");
  EXPECT_LT(took_, seconds(2));
}

TEST_F(RestTransportTest, StopsBeforeAndDuringAResponse) {
  Serve([this](int fd, const std::string&, int number) {
    if (number == 2) RawServer::Say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    stop_.request_stop();
    HoldUntilClosed(fd);
    return false;
  });
  EXPECT_EQ(FailsWith(Get(), ErrorCode::kAborted), "");
  stop_ = {};
  EXPECT_EQ(FailsWith(Get(), ErrorCode::kAborted), "");
  EXPECT_LT(took_, seconds(2));
  // Stopped already, or too late: nothing is sent.
  EXPECT_EQ(FailsWith(Get(), ErrorCode::kAborted), "");
  stop_ = {};
  EXPECT_EQ(FailsWith(Send(HttpMethod::kPost, "/x", "{}", {}), ErrorCode::kDeadline), "");
  EXPECT_THAT(server_->requests(), SizeIs(2));
}

TEST_F(RestTransportTest, IsUnavailableWhereNobodyListens) {
  {
    Serve([](int, const std::string&, int) { return false; });
  }
  const int port = server_->port();
  server_.reset();
  Connect(port);
  EXPECT_EQ(FailsWith(Get(), ErrorCode::kUnavailable), "");
}

TEST_F(RestTransportTest, R33_ALargeResponseIsRefusedWhileItIsRead) {
  const std::string big(100'000, 'x');
  const std::string head = "HTTP/1.1 200 OK\r\n";
  for (const std::string& reply : {
           Reply(big),                                                // says so
           head + "\r\n" + big,                                       // until close
           std::string(kChunkedHead) + Chunk(big),                    // at once
           head + "Content-Length: 99999999999999999\r\n\r\nx",       //
           head + "Transfer-Encoding: chunked\r\n\r\n-2\r\nabc\r\n",  // taken for 2^64 - 2
           head + "Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n",  //
       }) {
    SCOPED_TRACE(reply.substr(0, 80));
    ServeText(reply);
    EXPECT_EQ(FailsWith(Send(HttpRequest{.target = "/x", .max_response_bytes = 65536}),
                        ErrorCode::kInvalid, "bytes"),
              "");
  }
  // In pieces, and without an end.
  Serve([](int fd, const std::string&, int) {
    RawServer::Say(fd, kChunkedHead);
    while (RawServer::Say(fd, Chunk("0123456789abcdef"))) {
    }
    return false;
  });
  EXPECT_EQ(FailsWith(Send(HttpRequest{.target = "/x", .max_response_bytes = 65536}),
                      ErrorCode::kInvalid),
            "");
  // As large as allowed.
  ServeText(Reply(big));
  EXPECT_EQ(Send(HttpRequest{.target = "/x", .max_response_bytes = 100'000})->body.size(),
            100'000u);
}

TEST_F(RestTransportTest, R33_WhatTheLibraryKeepsToItselfIsBoundedToo) {
  // A head, and a chunk of 2 GiB, that do not end: of neither anything is handed over.
  for (const std::string& begin :
       {std::string("HTTP/1.1 200 OK\r\nX: "),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n" +
            std::string(10, 'x')}) {
    Serve([&](int fd, const std::string&, int) {
      RawServer::Say(fd, begin);
      if (SayTooMuch([fd](const std::string& piece) { return RawServer::Say(fd, piece); }))
        HoldUntilClosed(fd);
      return false;
    });
    EXPECT_EQ(FailsWith(Send(HttpRequest{.target = "/x"}, seconds(60)), ErrorCode::kInvalid), "");
    Close();
  }
}

TEST_F(RestTransportTest, WhatIsNoHttpIsUnavailable) {
  for (const char* reply : {
           "",
           "garbage",
           "garbage\r\n\r\n",
           "SSH-2.0-OpenSSH_9.2\r\n\r\n",
           "HTTP/1.1\r\n\r\n",
           "HTTP/1.1 abc OK\r\n\r\n",
           "HTTP/1.1 99999 OK\r\n\r\n",
           "HTTP/1.1 -1 OK\r\nContent-Length: 0\r\n\r\n",
           "HTTP/1.1 99 OK\r\nContent-Length: 0\r\n\r\n",
           "HTTP/1.1 100 Continue\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Len",
           "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
           "HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nabc",
           "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc",
           "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\nabc\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
       }) {
    SCOPED_TRACE(reply);
    ServeText(reply);
    EXPECT_EQ(FailsWith(Get(), ErrorCode::kUnavailable), "");
    EXPECT_LT(took_, seconds(2));
  }
}

TEST_F(RestTransportTest, R36_FollowsNoRedirect) {
  ServeText(Reply("", "Location: /y\r\n", "302 Found"));
  EXPECT_EQ(Get()->status, 302);
  EXPECT_THAT(server_->requests(), SizeIs(1));
}

TEST_F(RestTransportTest, AnyCompleteResponseIsAResult) {
  for (const int status : {200, 204, 304, 404, 409, 500, 503}) {
    ServeText(fmt::format("HTTP/1.1 {} Some\r\nContent-Length: 0\r\n\r\n", status));
    const auto response = Get();
    ASSERT_TRUE(response.ok()) << status << response.error().message;
    EXPECT_EQ(response->status, status);
  }
  ServeText("HTTP/1.0 200 OK\r\n\r\nuntil the end");
  EXPECT_EQ(Get()->body, "until the end");
}

TEST_F(RestTransportTest, R34_SaysHowLongToHoldOff) {
  ServeText(Reply("", "Retry-After: 7\r\n", "429 Too Many Requests"));
  EXPECT_EQ(Get()->retry_after, seconds(7));
  ServeText(Reply("", "Retry-After: 3600\r\n", "503 Unavailable"));
  EXPECT_EQ(Get()->retry_after, seconds(60));
  ServeText(Reply("", "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "503 Unavailable"));
  EXPECT_EQ(Get()->retry_after, seconds(0));
  ServeText(Reply("", "Retry-After: soon\r\n", "503 Unavailable"));
  EXPECT_EQ(Get()->retry_after, std::nullopt);
}

TEST_F(RestTransportTest, R31_HandsOverWarnings) {
  ServeText(Reply("",
                  "Warning: 299 - \"unknown field \\\"spec.x\\\"\"\r\n"
                  "warning: 299 - \"and, again\"\r\n"));
  EXPECT_THAT(Get()->warnings, ElementsAre("unknown field \"spec.x\"", "and, again"));
}

TEST_F(RestTransportTest, RefusesWhatCannotBeSent) {
  Serve([](int fd, const std::string&, int) { return RawServer::Say(fd, Reply("x")); });
  for (const HttpRequest& request : {
           HttpRequest{.target = ""},
           HttpRequest{.target = "x"},
           HttpRequest{.target = "//evil/x"},
           HttpRequest{.target = "/x y"},
           HttpRequest{.target = "/x\r\nX: y"},
           HttpRequest{.target = "/x\xc3\xa4"},
           HttpRequest{.target = "/x", .accept = "a/b\r\nX: y"},
           HttpRequest{.method = HttpMethod::kPost, .target = "/x", .body = "{}"},
           HttpRequest{.method = HttpMethod::kPost,
                       .target = "/x",
                       .content_type = "a/b\r\nX: y",
                       .body = "{}"},
       }) {
    EXPECT_EQ(FailsWith(Send(request), ErrorCode::kInvalid), "") << request.target;
  }
  EXPECT_THAT(server_->requests(), IsEmpty());
}

TEST_F(RestTransportTest, R34_BoundsWhatIsUnderWay) {
  std::atomic<bool> release{false};
  server_.emplace([&](int fd, const std::string&, int) {
    EXPECT_TRUE(Eventually([&] { return release.load(); }));
    return RawServer::Say(fd, Reply("x"));
  });
  Connect(server_->port(), {.max_requests = 2, .max_waiting = 0});
  std::atomic<int> ok{0};
  std::vector<std::jthread> two;
  for (int i = 0; i < 2; ++i) {
    two.emplace_back([&] {
      ok += transport_->Send({.target = "/x"}, clock_.Steady() + seconds(10), {}).ok() ? 1 : 0;
    });
  }
  ASSERT_TRUE(Eventually([&] { return server_->requests().size() == 2; }));
  EXPECT_EQ(FailsWith(Get(), ErrorCode::kUnavailable), "");
  release = true;
  two.clear();
  EXPECT_EQ(ok, 2);
  EXPECT_TRUE(Get().ok());
  Close();
}

TEST_F(RestTransportTest, R35_ANewTokenIsReadAndUsedAfterA401) {
  std::string token = "old";
  int loads = 0;
  server_.emplace([](int fd, const std::string& request, int) {
    const bool known = request.find("Bearer new") != std::string::npos;
    return RawServer::Say(fd, Reply("x", "", known ? "200 OK" : "401 Unauthorized"));
  });
  Connect(server_->port(), {}, std::make_unique<TestCredentials>([&] {
            ++loads;
            return Credentials{.token = token};
          }));
  // The same again is not sent again.
  EXPECT_EQ(Send(HttpMethod::kPost, "/x", "{}")->status, 401);
  EXPECT_THAT(server_->requests(), SizeIs(1));
  EXPECT_EQ(loads, 2);
  // A storm of refusals does not read as often.
  EXPECT_EQ(Get()->status, 401);
  EXPECT_EQ(loads, 2);
  token = "new";
  ASSERT_TRUE(Eventually([&] { return Send(HttpMethod::kPost, "/x", "{}")->status == 200; }));
  const std::size_t so_far = server_->requests().size();
  EXPECT_EQ(Get()->status, 200);
  EXPECT_THAT(server_->requests(), SizeIs(so_far + 1));
}

TEST_F(RestTransportTest, CredentialsThatCannotBeReadAreSaid) {
  Serve([](int fd, const std::string&, int) { return RawServer::Say(fd, Reply("x")); });
  Connect(server_->port(), {}, MakeFileCredentials({.token_file = "/nonexistent/token"}));
  EXPECT_EQ(FailsWith(Get(), ErrorCode::kUnauthenticated, "/nonexistent/token"), "");
  EXPECT_THAT(server_->requests(), IsEmpty());
}

TEST_F(RestTransportTest, ATokenNeedsTls) {
  Connect(0, {.server = "http://192.0.2.1"},
          std::make_unique<TestCredentials>([] { return Credentials{.token = "t0ken"}; }));
  const auto refused = Get();
  EXPECT_EQ(FailsWith(refused, ErrorCode::kUnauthenticated, "without TLS"), "");
  EXPECT_THAT(refused.error().message, Not(HasSubstr("t0ken")));
}

TEST_F(RestTransportTest, LeavesNothingOpenHoweverRequestsEnd) {
  const auto open = [] {
    const std::filesystem::directory_iterator files("/proc/self/fd");
    return std::distance(begin(files), end(files));
  };
  const auto serve = [this] {
    Serve([](int fd, const std::string&, int number) {
      if (number % 3 == 0) return RawServer::Say(fd, Reply("x"));
      if (number % 3 == 1) RawServer::Say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx");
      HoldUntilClosed(fd);
      return false;
    });
  };
  serve();  // what the library opens once
  EXPECT_FALSE(Send(HttpMethod::kGet, "/x", "", milliseconds(10)).ok());
  Close();
  const auto before = open();
  serve();
  int ok = 0;
  for (int i = 0; i < 60; ++i)
    ok += Send(HttpMethod::kPut, "/x", "{}", milliseconds(50)).ok() ? 1 : 0;
  EXPECT_GT(ok, 0);
  EXPECT_LT(ok, 60);
  Close();
  EXPECT_TRUE(Eventually([&] { return open() <= before; })) << open() << " after " << before;
}

TEST_F(RestTransportTest, ThreadsAreChosenOnceInAProcess) {
  ASSERT_NE(four_threads, nullptr);
  EXPECT_FALSE(StartHttpThreads(8));
}

TEST_F(RestTransportTest, OptionsThatMakeNoSenseAreRefused) {
  for (const RestOptions& options : {
           RestOptions{},
           RestOptions{.server = "https://[::1]:6443"},
           RestOptions{.server = "https://a", .proxy_url = "socks5://p"},
           RestOptions{.server = "https://a", .user_agent = "a\r\nb"},
           RestOptions{.server = "https://a", .max_requests = 0},
       }) {
    const auto made = RestTransport::Make(
        options, std::make_shared<CredentialCache>(NoCredentials(), clock_), clock_);
    ASSERT_FALSE(made.ok()) << options.server;
    EXPECT_EQ(made.error().code, ErrorCode::kInvalid);
  }
}

}  // namespace
}  // namespace backfill::kube
