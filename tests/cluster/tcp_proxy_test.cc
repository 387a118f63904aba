#include "tests/cluster/tcp_proxy.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>

namespace backfill::cluster {
namespace {

using namespace std::chrono_literals;

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&&) = delete;

  void Send(const std::string& text) const {
    std::size_t sent = 0;
    while (sent < text.size()) {
      const ssize_t n = send(fd_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return;
      sent += static_cast<std::size_t>(n);
    }
  }
  void SendNoMore() const { shutdown(fd_, SHUT_WR); }

  // What comes until there is so much, or the end, or nothing for that long. `errno` says which:
  // 0 for the end.
  [[nodiscard]] std::string Receive(std::size_t most, Duration patience = 10s) const {
    const timeval limit{.tv_sec = static_cast<time_t>(patience / 1s),
                        .tv_usec = static_cast<suseconds_t>(patience % 1s / 1us)};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    std::string text(most, '\0');
    std::size_t size = 0;
    errno = 0;
    while (size < most) {
      const ssize_t n = recv(fd_, text.data() + size, most - size, 0);
      if (n <= 0) {
        if (n == 0) errno = 0;
        break;
      }
      size += static_cast<std::size_t>(n);
    }
    text.resize(size);
    return text;
  }
  [[nodiscard]] bool Ended() const { return Receive(1).empty() && errno == 0; }
  [[nodiscard]] bool WasReset() const { return Receive(1).empty() && errno == ECONNRESET; }
  [[nodiscard]] bool IsSilentFor(Duration time) const {
    return Receive(1, time).empty() && (errno == EAGAIN || errno == EWOULDBLOCK);
  }

  // Sends until it would have to wait for longer than a moment; how much that was.
  [[nodiscard]] std::size_t SendUntilFull() const {
    const timeval moment{.tv_sec = 0, .tv_usec = 200'000};
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &moment, sizeof moment);
    const std::string block(64 << 10, 'x');
    std::size_t sent = 0;
    for (;;) {
      const ssize_t n = send(fd_, block.data(), block.size(), MSG_NOSIGNAL);
      if (n <= 0) return sent;
      sent += static_cast<std::size_t>(n);
    }
  }

 private:
  int fd_;
};

// A server on loopback, which accepts when the test says so.
class Server {
 public:
  Server() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(fd_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(fd_, 8) != 0 ||
        getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      std::abort();
    }
    port_ = ntohs(address.sin_port);
  }
  ~Server() { Stop(); }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void Stop() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }
  [[nodiscard]] Socket Accept() const {
    const timeval limit{.tv_sec = 10, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return Socket(accept(fd_, nullptr, nullptr));
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  int fd_;
  std::uint16_t port_ = 0;
};

Socket ConnectTo(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return Socket(fd);
}

std::string Bytes(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint32_t state = 1;
  for (char& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<char>(state >> 24U);
  }
  return bytes;
}

class TcpProxyTest : public ::testing::Test {
 protected:
  struct Pair {
    Socket client, server;
  };
  [[nodiscard]] Pair Connect() const {
    Socket client = ConnectTo(proxy_.port());
    return {std::move(client), server_.Accept()};
  }

  Server server_;
  TcpProxy proxy_{server_.port()};
};

TEST_F(TcpProxyTest, PassesAllBytesInBothDirectionsAtOnce) {
  const Pair pair = Connect();
  const std::string up = Bytes(3 << 20);
  const std::string down = std::string("first") + Bytes(2 << 20);
  const std::jthread sends_up([&] { pair.client.Send(up); });
  const std::jthread sends_down([&] { pair.server.Send(down); });
  std::string received_up;
  std::jthread receives_up([&] { received_up = pair.server.Receive(up.size()); });
  EXPECT_TRUE(pair.client.Receive(down.size()) == down);
  receives_up.join();
  EXPECT_TRUE(received_up == up);
  EXPECT_EQ(proxy_.passed(), down.size());
  EXPECT_EQ(proxy_.accepted(), 1);
  EXPECT_EQ(proxy_.open(), 1);
}

TEST_F(TcpProxyTest, HandsOnTheEndOfOneDirection) {
  const Pair pair = Connect();
  pair.client.Send("question");
  pair.client.SendNoMore();
  EXPECT_EQ(pair.server.Receive(100), "question");
  pair.server.Send("answer");
  pair.server.SendNoMore();
  EXPECT_EQ(pair.client.Receive(100), "answer");
  EXPECT_TRUE(pair.client.Ended());
}

TEST_F(TcpProxyTest, IsSilentWithoutClosingAnything) {
  const Pair before = Connect();
  before.server.Send("heard");
  ASSERT_EQ(before.client.Receive(5), "heard");
  proxy_.GoSilent();
  const Pair later = Connect();
  before.server.Send("unheard");
  later.client.Send("unheard");
  before.client.Send("unheard");
  before.client.SendNoMore();
  EXPECT_TRUE(before.client.IsSilentFor(200ms));
  EXPECT_TRUE(later.server.IsSilentFor(1ms));
  EXPECT_TRUE(before.server.IsSilentFor(1ms));

  proxy_.PassThrough();
  EXPECT_EQ(before.client.Receive(7), "unheard");
  EXPECT_EQ(later.server.Receive(7), "unheard");
  EXPECT_EQ(before.server.Receive(100), "unheard");  // and the end
}

TEST_F(TcpProxyTest, Drips) {
  proxy_.Drip(10, 20ms);
  const Pair pair = Connect();
  const std::string text = Bytes(55);
  const Time began = std::chrono::steady_clock::now();
  pair.server.Send(text);
  EXPECT_EQ(pair.client.Receive(text.size()), text);
  EXPECT_GE(std::chrono::steady_clock::now() - began, 100ms);  // six drops, five pauses
  pair.client.Send(text);                                      // the other direction passes
  EXPECT_EQ(pair.server.Receive(text.size()), text);
}

TEST_F(TcpProxyTest, CutsAnAnswerShortOnce) {
  const Pair cut = Connect();
  const Pair other = Connect();
  proxy_.CutAfter(7);
  cut.server.Send("seven of these bytes");
  EXPECT_EQ(cut.client.Receive(100), "seven o");
  EXPECT_TRUE(cut.client.Ended());
  EXPECT_TRUE(other.client.Ended());

  const Pair later = Connect();
  later.server.Send("seven of these bytes");
  EXPECT_EQ(later.client.Receive(20), "seven of these bytes");
}

TEST_F(TcpProxyTest, DoesNotCountWhatHasArrivedBeforeACut) {
  for (int i = 0; i < 300; ++i) {
    const Pair pair = Connect();
    pair.server.Send("arrived before");
    ASSERT_EQ(pair.client.Receive(14), "arrived before");
    proxy_.CutAfter(5);
    pair.server.Send("later");
    ASSERT_EQ(pair.client.Receive(100), "later") << i;
  }
}

TEST_F(TcpProxyTest, ResetsOrClosesWhatIsOpen) {
  const Pair reset = Connect();
  reset.server.Send("1");
  ASSERT_EQ(reset.client.Receive(1), "1");
  proxy_.Reset();
  EXPECT_TRUE(reset.client.WasReset());
  EXPECT_TRUE(reset.server.WasReset());

  const Pair closed = Connect();
  closed.server.Send("2");
  ASSERT_EQ(closed.client.Receive(1), "2");
  proxy_.Close();
  EXPECT_TRUE(closed.client.Ended());
  EXPECT_TRUE(closed.server.Ended());
  EXPECT_EQ(proxy_.accepted(), 2);
}

TEST_F(TcpProxyTest, HandsOnAReset) {
  Pair pair = Connect();
  pair.client.Send("never read");
  {
    const Socket ends_with_unread_bytes = std::move(pair.server);
  }
  EXPECT_TRUE(pair.client.WasReset() || pair.client.Ended());
}

TEST_F(TcpProxyTest, LetsASlowReaderBeFelt) {
  const Pair pair = Connect();
  const std::size_t before = pair.server.SendUntilFull();
  EXPECT_LT(before, std::size_t{64} << 20);
  EXPECT_EQ(pair.client.Receive(before).size(), before);
}

TEST_F(TcpProxyTest, ResetsWhoConnectsWhenThereIsNoServer) {
  server_.Stop();
  const Socket client = ConnectTo(proxy_.port());
  EXPECT_TRUE(client.WasReset());
  EXPECT_EQ(proxy_.accepted(), 0);
}

TEST(TcpProxyEndTest, EndsWithOpenConnectionsInAnyMode) {
  const Server server;
  for (int mode = 0; mode < 3; ++mode) {
    TcpProxy proxy(server.port());
    const Socket client = ConnectTo(proxy.port());
    const Socket accepted = server.Accept();
    if (mode == 1) proxy.GoSilent();
    if (mode == 2) proxy.Drip(1, 1h);
    accepted.Send("waiting");
  }
}

}  // namespace
}  // namespace backfill::cluster
