#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace backfill::fakes {

inline constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

// Accepts connections and has a thread for each, which lives in `talk`. Destroyed, it ends all of
// them: what `talk` uses is declared before it.
class AcceptLoop {
 public:
  // `port` 0: any. Ends the process if it cannot listen.
  AcceptLoop(const char* address, int port, std::function<void(int fd)> talk)
      : talk_(std::move(talk)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
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
  ~AcceptLoop() {
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
  AcceptLoop(const AcceptLoop&) = delete;
  AcceptLoop& operator=(const AcceptLoop&) = delete;

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] int accepted() const { return accepted_; }

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
      connections_.push_back({fd, std::thread([this, fd] { talk_(fd); })});
    }
  }

  const std::function<void(int fd)> talk_;
  const int listener_;
  int port_ = 0;
  std::atomic<int> accepted_{0};
  std::atomic<bool> stopping_{false};
  std::list<Connection> connections_;  // the acceptor's, and the destructor's once that has ended
  std::thread acceptor_;
};

// The first whole request in what has come, taken out of it; nullopt: more has to come.
inline std::optional<std::string> TakeRequest(std::string& in) {
  const std::size_t end = in.find("\r\n\r\n");
  if (end == std::string::npos) return std::nullopt;
  std::size_t length = 0;
  if (const std::size_t at = in.find("Content-Length:"); at != std::string::npos && at < end)
    length = std::strtoul(in.c_str() + at + 15, nullptr, 10);
  if (in.size() < end + 4 + length) return std::nullopt;
  std::string request = in.substr(0, end + 4 + length);
  in.erase(0, request.size());
  return request;
}

}  // namespace backfill::fakes
