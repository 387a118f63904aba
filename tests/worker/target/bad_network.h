#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

#include "worker/target/resolver.h"

namespace backfill::fakes {

// A name server with levers.
class FakeResolver final : public worker::Resolver {
 public:
  void Resolve(const std::string&, const std::string&, Done done) override {
    ++lookups;
    pending = std::move(done);
  }
  // Answers the lookup that is under way.
  void Answer(const std::vector<std::pair<const char*, int>>& addresses) {
    std::vector<worker::Tcp::endpoint> endpoints;
    for (const auto& [address, port] : addresses) {
      endpoints.emplace_back(boost::asio::ip::make_address(address),
                             static_cast<unsigned short>(port));
    }
    std::exchange(pending, nullptr)(std::move(endpoints));
  }
  void Fail() { std::exchange(pending, nullptr)(Error{ErrorCode::kUnavailable, "looking up: no"}); }

  int lookups = 0;
  Done pending;
};

// An address that takes no connection and refuses none: its queue is full.
class BlackHole {
 public:
  explicit BlackHole(const char* address) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    ::inet_pton(AF_INET, address, &a.sin_addr);
    socklen_t size = sizeof a;
    auto* generic = reinterpret_cast<sockaddr*>(&a);  // NOLINT: the socket API's own cast
    sockets_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::bind(sockets_[0], generic, size) != 0 || ::listen(sockets_[0], 0) != 0) std::abort();
    ::getsockname(sockets_[0], generic, &size);
    port_ = ntohs(a.sin_port);
    for (int i = 0; i < 4; ++i) {
      sockets_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      ::connect(sockets_.back(), generic, size);
    }
  }
  ~BlackHole() {
    for (const int fd : sockets_) ::close(fd);
  }
  BlackHole(const BlackHole&) = delete;
  BlackHole& operator=(const BlackHole&) = delete;
  [[nodiscard]] int port() const { return port_; }

 private:
  std::vector<int> sockets_;
  int port_ = 0;
};

// Takes a connection with a small buffer and reads nothing before `read_on`, then counts in `got`.
class SlowReader {
 public:
  SlowReader(const std::atomic<bool>& read_on, std::atomic<std::size_t>& got) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof a;
    auto* generic = reinterpret_cast<sockaddr*>(&a);  // NOLINT: the socket API's own cast
    const int small = 4096;
    ::setsockopt(listener_, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 1) != 0) std::abort();
    ::getsockname(listener_, generic, &size);
    port_ = ntohs(a.sin_port);
    thread_ = std::thread([this, &read_on, &got] {
      const int fd = ::accept(listener_, nullptr, nullptr);
      while (!read_on) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      char buffer[4096];
      for (ssize_t n = 1; n > 0;) {
        n = ::recv(fd, buffer, sizeof buffer, 0);
        got += static_cast<std::size_t>(std::max<ssize_t>(n, 0));
      }
      ::close(fd);
    });
  }
  ~SlowReader() {
    ::shutdown(listener_, SHUT_RDWR);
    Join();
    ::close(listener_);
  }
  SlowReader(const SlowReader&) = delete;
  SlowReader& operator=(const SlowReader&) = delete;
  void Join() {
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] int port() const { return port_; }

 private:
  int listener_ = -1;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace backfill::fakes
