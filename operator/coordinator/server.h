#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "operator/coordinator/server_options.h"

namespace backfill::v1 {
class CoordinatorMessage;
class WorkerMessage;
}  // namespace backfill::v1

namespace backfill::coordinator {

// Hears the streams of a server. Called on gRPC's threads: must not block.
class SessionHandler {
 public:
  virtual ~SessionHandler() = default;
  // The first message of a session is a valid Hello, sequence numbers rise. The next message is
  // read after ReadNext().
  virtual void OnMessage(SessionId session, v1::WorkerMessage&& message) = 0;
  // The stream has ended. Once for each session, also for one that never had a message.
  virtual void OnGone(SessionId session) = 0;
};

// The gRPC service: takes up streams that show the token, checks what every stream must obey, moves
// messages. Thread-safe. One message per stream is under way at a time: a worker that talks faster
// than it is heard waits.
class Server {
 public:
  // Both must outlive it.
  Server(const ServerOptions& options, const Clock& clock, SessionHandler& handler);
  ~Server();

  // kInvalid: no token, the path does not fit into a socket address, its directory is open to
  // others; kUnavailable: cannot listen there.
  Status Start();
  [[nodiscard]] std::string address() const;
  // Streams get a moment to end, then they are cut. Returns when no callback can come any more.
  // Idempotent.
  void Shutdown();

  // To a session that is gone: nothing happens. A session that does not take what it is sent is
  // cut.
  void Send(SessionId session, v1::CoordinatorMessage&& message);
  void ReadNext(SessionId session);
  // What is queued goes first. The code becomes the stream's status; the text must not reveal
  // anything.
  void Close(SessionId session, const Error& reason);

  // Ends streams that never said Hello, cuts those that do not take their end. Call about once a
  // second.
  void Tick();

  [[nodiscard]] ServerCounts counts() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace backfill::coordinator
