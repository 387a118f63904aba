#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <list>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace backfill::fakes {

// A TCP server that says whatever the test wants: `serve` gets each request with its number (from
// 1) and the socket, and answers as badly as it likes. False: the connection is closed.
class RawServer {
 public:
  using Serve = std::function<bool(int fd, const std::string& request, int number)>;

  explicit RawServer(Serve serve, const char* address = "127.0.0.1", int port = 0)
      : serve_(std::move(serve)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET, address, &a.sin_addr);
    socklen_t size = sizeof a;
    auto* generic = reinterpret_cast<sockaddr*>(&a);  // NOLINT: the socket API's own cast
    if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 64) != 0) std::abort();
    ::getsockname(listener_, generic, &size);
    port_ = ntohs(a.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~RawServer() {
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    ::close(listener_);
    for (auto& c : connections_) {
      ::shutdown(c.fd, SHUT_RDWR);
      c.thread.join();
      ::close(c.fd);
    }
  }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;

  // A reply that does not end by closing.
  static bool Say(int fd, std::string_view text) {
    return ::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] int accepted() const { return accepted_; }
  [[nodiscard]] std::vector<std::string> requests() const {
    MutexLock l(mu_);
    return requests_;
  }

 private:
  struct Connection {
    int fd = -1;
    std::thread thread;
  };
  void Accept() {
    while (true) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0 || stopping_) {
        if (fd >= 0) ::close(fd);
        return;
      }
      ++accepted_;
      connections_.push_back({fd, std::thread([this, fd] { Talk(fd); })});
    }
  }
  void Talk(int fd) {
    std::string in;
    char buffer[16 * 1024];
    while (true) {
      const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
      if (n <= 0) break;
      in.append(buffer, static_cast<std::size_t>(n));
      const std::size_t end = in.find("\r\n\r\n");
      if (end == std::string::npos) continue;
      std::size_t length = 0;
      if (const std::size_t at = in.find("Content-Length:"); at != std::string::npos && at < end) {
        length = std::strtoul(in.c_str() + at + 15, nullptr, 10);
      }
      if (in.size() < end + 4 + length) continue;
      const std::string request = in.substr(0, end + 4 + length);
      in.erase(0, request.size());
      int number = 0;
      {
        MutexLock l(mu_);
        requests_.push_back(request);
        number = static_cast<int>(requests_.size());
      }
      if (!serve_(fd, request, number)) break;
    }
    ::shutdown(fd, SHUT_RDWR);
  }

  const Serve serve_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> accepted_{0};
  std::atomic<bool> stopping_{false};
  mutable Mutex mu_;
  std::vector<std::string> requests_ GUARDED_BY(mu_);
  std::list<Connection> connections_;
  std::thread acceptor_;
};

}  // namespace backfill::fakes
