#pragma once

#include <cstdint>
#include <memory>

namespace backfill::kube {

// Looks at a connection from the side, through a descriptor of its own: what a library is reading
// from it cannot be seen before a chunk of it is complete. Thread-safe.
class SocketWatch {
 public:
  // Null: there is no such connection. Sets keepalive on it (R2: 30 s, as half-open connections
  // stay silent).
  static std::unique_ptr<SocketWatch> Of(int socket);
  ~SocketWatch();
  SocketWatch(const SocketWatch&) = delete;
  SocketWatch& operator=(const SocketWatch&) = delete;

  // Bytes that have come since this was made.
  [[nodiscard]] std::uint64_t Received() const;
  // Nothing has come that nobody has asked for, not even the end: it may carry another request.
  [[nodiscard]] bool IsQuiet() const;

 private:
  SocketWatch(int fd, std::uint64_t before) : fd_(fd), before_(before) {}
  const int fd_;
  const std::uint64_t before_;
};

}  // namespace backfill::kube
