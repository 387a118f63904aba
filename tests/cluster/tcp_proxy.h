#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/mutex.h"

namespace backfill::cluster {

// A proxy on a free port of loopback that hands on bytes to another port there, with levers for
// what networks and overloaded servers do to a connection. It looks at no byte, so TLS passes.
//
// One thread of its own does all I/O; levers may be pulled by any thread, and act on connections
// that are open as well as on later ones. At most 64 KiB wait in either direction of a connection,
// then the proxy no longer reads: a slow reader is felt at the other end. At most 256 connections
// are open; more wait to be accepted.
class TcpProxy {
 public:
  // Ends the process if there is no port to be had.
  explicit TcpProxy(std::uint16_t to);
  // Resets what is open.
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }

  // As at the beginning, and after any of the next three.
  void PassThrough();
  // Nothing passes in either direction and nothing is closed, not even by an end (R2, F5: a half
  // open connection). New connections are accepted.
  void GoSilent();
  // What the server sends arrives `bytes` at a time, every so often.
  void Drip(std::size_t bytes, Duration every);
  // After so many more bytes of the server, over all connections together, the proxy closes all of
  // them: an answer that is cut short. Once; later connections pass.
  void CutAfter(std::uint64_t bytes);

  // Resets all open connections now (RST).
  void Reset();
  // Closes all open connections now (FIN): to the reader the end of a stream.
  void Close();

  // Accepted so far; open now.
  [[nodiscard]] int accepted() const;
  [[nodiscard]] int open() const;
  // Of the server, handed on to clients.
  [[nodiscard]] std::uint64_t passed() const;

 private:
  // One direction of a connection.
  struct Flow {
    int from = -1;
    int to = -1;
    std::string waiting;
    bool ended = false;   // there is nothing more to read
    bool closed = false;  // and that was handed on
    Time next = {};       // when dripping: not before then
  };
  struct Connection {
    Flow up, down;
  };
  enum class Mode { kPass, kSilent, kDrip };
  enum class Ending { kReset, kClose };
  // What levers set and the thread reads.
  struct Levers {
    Mode mode = Mode::kPass;
    std::size_t drip_bytes = 0;
    Duration drip_every{};
    std::optional<std::uint64_t> cut_after;
    std::uint64_t cut = 0;  // which one that is
    std::optional<Ending> end_all;
  };

  template <typename Change>
  void Pull(const Change& change);
  void Run(const std::stop_token& stop);
  void Accept();
  // False: the connection failed.
  bool Read(Flow& flow) const;
  bool Write(Flow& flow, bool downwards, const Levers& levers, Time now);
  void EndAll(Ending ending);

  const std::uint16_t to_;
  std::uint16_t port_ = 0;
  int listener_ = -1;
  int wake_ = -1;

  mutable Mutex mu_;
  Levers levers_ GUARDED_BY(mu_);
  int accepted_ GUARDED_BY(mu_) = 0;
  int open_ GUARDED_BY(mu_) = 0;
  std::uint64_t passed_ GUARDED_BY(mu_) = 0;

  std::list<Connection> connections_;  // of the thread
  std::jthread thread_;
};

}  // namespace backfill::cluster
