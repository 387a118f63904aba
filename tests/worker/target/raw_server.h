#pragma once

#include <sys/socket.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "tests/worker/target/accept_loop.h"

namespace backfill::fakes {

// A TCP server that says whatever the test wants: `serve` gets each request with its number (from
// 1) and the socket, and answers as badly as it likes. False: the connection is closed.
class RawServer {
 public:
  using Serve = std::function<bool(int fd, const std::string& request, int number)>;

  explicit RawServer(Serve serve, const char* address = "127.0.0.1", int port = 0)
      : serve_(std::move(serve)), loop_(address, port, [this](int fd) { Talk(fd); }) {}

  // The same reply to every request; with ThenClose the connection ends behind it.
  static Serve Always(const std::string& reply) {
    return [reply](int fd, const std::string&, int) { return Say(fd, reply); };
  }
  static Serve ThenClose(const std::string& reply) {
    return [reply](int fd, const std::string&, int) {
      Say(fd, reply);
      return false;
    };
  }
  // A reply that does not end by closing.
  static bool Say(int fd, std::string_view text) {
    return ::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  [[nodiscard]] int port() const { return loop_.port(); }
  [[nodiscard]] int accepted() const { return loop_.accepted(); }
  [[nodiscard]] std::vector<std::string> requests() const {
    MutexLock l(mu_);
    return requests_;
  }

 private:
  void Talk(int fd) {
    std::string in;
    char buffer[16 * 1024];
    while (true) {
      const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
      if (n <= 0) break;
      in.append(buffer, static_cast<std::size_t>(n));
      const auto request = TakeRequest(in);
      if (!request) continue;
      int number = 0;
      {
        MutexLock l(mu_);
        requests_.push_back(*request);
        number = static_cast<int>(requests_.size());
      }
      if (!serve_(fd, *request, number)) break;
    }
    ::shutdown(fd, SHUT_RDWR);
  }

  const Serve serve_;
  mutable Mutex mu_;
  std::vector<std::string> requests_ GUARDED_BY(mu_);
  AcceptLoop loop_;  // last: its threads use the rest
};

}  // namespace backfill::fakes
