#include "operator/kube/client/rest_exchange.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace backfill::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class RestExchangeTest : public testing::Test {
 protected:
  bool Bytes(std::string_view text) {
    return exchange_.OnBytes(reinterpret_cast<const std::uint8_t*>(text.data()),  // NOLINT: bytes
                             text.size(), [this] { ++went_on_; });
  }
  RestExchange::News News(Duration within = {}) {
    return exchange_.Wait(std::chrono::steady_clock::now() + within, {});
  }

  RestExchange exchange_{1 << 20};
  std::atomic<int> went_on_{0};
};

TEST_F(RestExchangeTest, HandsOverHeadBytesAndEnd) {
  EXPECT_FALSE(News().head);
  exchange_.OnHead({.status = 200, .content_length = "5", .retry_after = {}, .warning = {}});
  EXPECT_TRUE(Bytes("he"));
  EXPECT_TRUE(Bytes("llo"));
  auto news = News();
  ASSERT_TRUE(news.head);
  EXPECT_EQ(news.head->status, 200);
  EXPECT_EQ(news.bytes, "hello");
  EXPECT_FALSE(news.done);
  exchange_.OnDone(std::nullopt);
  news = News(seconds(10));
  EXPECT_FALSE(news.head);
  EXPECT_EQ(news.bytes, "");
  EXPECT_TRUE(news.done);
  EXPECT_EQ(went_on_, 2);
}

// The library's threads may be faster with the body than with the head.
TEST_F(RestExchangeTest, BytesWaitForTheHead) {
  EXPECT_TRUE(Bytes("x"));
  EXPECT_EQ(News().bytes, "");
  exchange_.OnHead({.status = 200, .content_length = {}, .retry_after = {}, .warning = {}});
  EXPECT_EQ(News().bytes, "x");
}

TEST_F(RestExchangeTest, R33_HoldsTheLibraryBackUntilWhatThereIsWasTaken) {
  exchange_.OnHead({.status = 200, .content_length = {}, .retry_after = {}, .warning = {}});
  EXPECT_TRUE(Bytes(std::string(300 << 10, 'x')));
  EXPECT_EQ(went_on_, 0);
  EXPECT_EQ(News().bytes.size(), 300u << 10);
  EXPECT_EQ(went_on_, 1);
  EXPECT_TRUE(Bytes(std::string(300 << 10, 'x')));
  exchange_.Abandon();  // else the library would wait for ever
  EXPECT_EQ(went_on_, 2);
  EXPECT_FALSE(Bytes("x"));
}

TEST_F(RestExchangeTest, R33_RefusesAPieceThatIsTooLargeWithoutReadingIt) {
  const std::uint8_t byte = 0;
  EXPECT_FALSE(exchange_.OnBytes(&byte, SIZE_MAX - 1, [] {}));
  EXPECT_TRUE(News().too_much);
}

TEST_F(RestExchangeTest, EndsItsWaitByAStop) {
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  exchange_.Wait(std::chrono::steady_clock::now() + seconds(10), stop.get_token());
  EXPECT_TRUE(stop.stop_requested());
}

TEST_F(RestExchangeTest, TwoThreadsAgreeOnAllBytes) {
  constexpr std::size_t kPieces = 200;
  const std::string piece(10'000, 'x');
  std::jthread library([&] {
    exchange_.OnHead({.status = 200, .content_length = {}, .retry_after = {}, .warning = {}});
    for (std::size_t i = 0; i < kPieces; ++i) {
      std::atomic<bool> room{false};
      exchange_.OnBytes(reinterpret_cast<const std::uint8_t*>(piece.data()),  // NOLINT: bytes
                        piece.size(), [&] { room = true; });
      while (!room) std::this_thread::yield();
    }
    exchange_.OnDone(std::nullopt);
  });
  std::size_t taken = 0;
  while (true) {
    const auto news = News(seconds(10));
    taken += news.bytes.size();
    if (news.done) break;
  }
  EXPECT_EQ(taken, kPieces * piece.size());
}

// Two ends of a connection.
class SocketWatchTest : public testing::Test {
 protected:
  SocketWatchTest() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof a;
    auto* generic = reinterpret_cast<sockaddr*>(&a);  // NOLINT: the socket API's own cast
    if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 1) != 0) std::abort();
    ::getsockname(listener_, generic, &size);
    near_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(near_, generic, size) != 0) std::abort();
    far_ = ::accept(listener_, nullptr, nullptr);
  }
  ~SocketWatchTest() override {
    for (const int fd : {near_, far_, listener_}) ::close(fd);
  }
  void Say(std::string_view text) const {
    ASSERT_EQ(::send(far_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  int listener_, near_ = -1, far_ = -1;
};

TEST_F(SocketWatchTest, SeesWhatHasComeAndTheEnd) {
  Say("before");
  const auto watch = SocketWatch::Of(near_);
  ASSERT_NE(watch, nullptr);
  char buffer[10];
  ASSERT_EQ(::recv(near_, buffer, 6, MSG_WAITALL), 6);
  EXPECT_TRUE(watch->IsQuiet());
  const std::uint64_t before = watch->Received();
  Say("hello");
  ASSERT_EQ(::recv(near_, buffer, 1, MSG_WAITALL), 1);
  EXPECT_EQ(watch->Received(), before + 5);
  EXPECT_FALSE(watch->IsQuiet());
  ASSERT_EQ(::recv(near_, buffer, 4, MSG_WAITALL), 4);
  EXPECT_TRUE(watch->IsQuiet());
  ::shutdown(far_, SHUT_WR);
  ASSERT_EQ(::recv(near_, buffer, 1, MSG_WAITALL), 0);
  EXPECT_FALSE(watch->IsQuiet());
}

TEST_F(SocketWatchTest, R2_FindsOutThatTheOtherSideIsGone) {
  const auto watch = SocketWatch::Of(near_);
  int on = 0;
  socklen_t size = sizeof on;
  ::getsockopt(near_, SOL_SOCKET, SO_KEEPALIVE, &on, &size);
  EXPECT_EQ(on, 1);
  EXPECT_EQ(SocketWatch::Of(-1), nullptr);
}

}  // namespace
}  // namespace backfill::kube
