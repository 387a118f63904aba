#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/result.h"

namespace backfill::coordinator {

// How many connections a server has at the same time, whoever makes them, shaking hands included.
struct ConnectionLimits {
  std::size_t all = 11'000;         // a stream each, and those that come and go
  std::size_t of_an_address = 300;  // a node full of pods that use its address
};

// The listening socket of a server on a network: accepts connections up to these bounds and hands
// them over; closes the others at once, unheard, so that a flood takes no memory but that of the
// first ones. gRPC has no such bound; it does the TLS on what it is given.
//
// Who takes a connection closes it, and does not say when. So it is looked for: it is there as long
// as its descriptor leads to the same socket.
//
// Threads: one (`bf-front-door`), which accepts and calls `take`. Listen, Open, Stop: the owner's.
class FrontDoor {
 public:
  using Take = std::function<void(int fd)>;  // owns the descriptor; must not block

  FrontDoor(const ConnectionLimits& limits, Take take);
  ~FrontDoor();  // Stop()
  FrontDoor(const FrontDoor&) = delete;
  FrontDoor& operator=(const FrontDoor&) = delete;

  // "0.0.0.0:9443" or "[::]:9443" (both families, where there are), "127.0.0.1:0", "name:9443".
  // kInvalid: it is no such thing; kUnavailable: cannot listen there.
  Status Listen(const std::string& address);
  [[nodiscard]] int port() const { return port_; }
  // From now on connections are taken.
  void Open();
  // Nobody is taken any more, and the port is free. Idempotent.
  void Stop();

  // Thread-safe.
  [[nodiscard]] std::uint64_t turned_away() const { return turned_away_; }
  [[nodiscard]] std::size_t connections() const { return connections_; }  // at the last look

 private:
  struct Connection {
    std::uint64_t inode = 0;
    std::string address;
  };

  void Run(const std::stop_token& stop);
  // Those that wait, a few. False: none can be accepted now.
  bool Accept(Time now);
  [[nodiscard]] bool HasRoomFor(const std::string& address, Time now);
  void Sweep(Time now);
  void Forget(std::map<int, Connection>::iterator connection);

  const ConnectionLimits limits_;
  const Take take_;
  int socket_ = -1;
  int port_ = 0;
  std::atomic<std::uint64_t> turned_away_{0};
  std::atomic<std::size_t> connections_{0};

  // The thread's.
  std::map<int, Connection> taken_;               // by descriptor
  std::map<std::string, std::size_t> addresses_;  // how many each has
  Time swept_{};

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace backfill::coordinator
