#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "backfill/v1/coordinator.pb.h"
#include "base/clock.h"
#include "base/result.h"
#include "worker/link/session_end.h"

namespace backfill::worker {

using namespace std::chrono_literals;

struct SessionOptions {
  std::string uid;
  std::string stage;     // "run", "dry-run" or "plan"
  std::string worker;    // the slot in the pool
  std::string instance;  // of this process
  Duration drain_grace = 10s;
  Duration refused_for = 5min;  // then the worker gives up
  std::uint64_t seed = 1;
};

// The side of a worker in what is alike in every stage: which stream counts, who we are, the first
// Welcome that says what to do and later ones that have to say the same, an identity that is
// refused for too long, and the end. Does no I/O but through its Host; the time is an argument. One
// thread makes all calls.
class Conversation {
 public:
  class Host {
   public:
    virtual ~Host() = default;
    // False: the stream is gone.
    virtual bool Send(std::uint64_t stream, v1::WorkerMessage message) = 0;
    // The first Welcome says what to do. kInvalid: this worker cannot.
    virtual Status OnWorkload(const v1::Workload& workload) = 0;
  };

  // The host must outlive it.
  Conversation(const SessionOptions& options, Host& host) : options_(options), host_(host) {}

  // A stream begins. Returns the Hello for it, to which the stage adds what it holds.
  v1::WorkerMessage OnConnected(std::uint64_t stream);
  // Also after LoseStream().
  void OnDisconnected(std::uint64_t stream, const Error& error, Time now);
  // Whether what came on that stream is still listened to.
  [[nodiscard]] bool Hears(std::uint64_t stream);
  // True: the first Welcome of this stream, and it asks for what is being done.
  [[nodiscard]] bool OnWelcome(const v1::Welcome& welcome);

  void LoseStream() {
    stream_ = 0;
    welcomed_ = false;
  }
  // What was asked for turned out to be impossible.
  void GiveUp(const Error& why);
  void EndAs(SessionEnd end) {
    if (!end_) end_ = end;
  }

  [[nodiscard]] std::uint64_t stream() const { return stream_; }  // 0: not connected
  [[nodiscard]] bool welcomed() const { return welcomed_; }       // on this stream
  [[nodiscard]] bool begun() const { return !workload_.empty(); }
  [[nodiscard]] const std::optional<SessionEnd>& ended() const { return end_; }

 private:
  const SessionOptions options_;
  Host& host_;
  std::optional<SessionEnd> end_;
  std::uint64_t stream_ = 0;
  bool welcomed_ = false;
  std::string workload_;  // of the first Welcome, serialised
  std::optional<Time> refused_since_;
};

// What the loop around a stream tells to a stage.
class StageSession {
 public:
  virtual ~StageSession() = default;
  virtual void OnConnected(std::uint64_t stream, Time now) = 0;
  virtual void OnMessage(std::uint64_t stream, const v1::CoordinatorMessage& message, Time now) = 0;
  virtual void OnDisconnected(std::uint64_t stream, const Error& error, Time now) = 0;
  // SIGTERM.
  virtual void Drain(Time now) = 0;
  [[nodiscard]] virtual const std::optional<SessionEnd>& ended() const = 0;
};

}  // namespace backfill::worker
