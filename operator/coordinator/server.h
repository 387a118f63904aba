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
  // The stream has ended. Once for each session that was accepted, also for one that never had a
  // message.
  virtual void OnGone(SessionId session) = 0;
  // Whether this process may speak to workers. If not, streams are refused unheard, at once, so
  // that workers go to the next address.
  [[nodiscard]] virtual bool Serves() const { return true; }
};

// The gRPC service: finds out who opens a stream and takes it up, checks what every stream must
// obey, moves messages. Thread-safe. One message per stream is under way at a time: a worker that
// talks faster than it is heard waits.
//
// Nothing is read of a stream before the Authenticator has accepted it, and what that says is all
// that the stream may act for. What a refused peer is told is always the same.
class Server {
 public:
  // They must outlive it, like what `options` refers to.
  Server(const ServerOptions& options, const Clock& clock, SessionHandler& handler);
  ~Server();

  // kInvalid: no token, the path does not fit into a socket address, its directory is open to
  // others, a network without certificates; kUnavailable: cannot listen there.
  Status Start();
  // As a worker on this machine dials it: "unix:/path", "127.0.0.1:4711", or what it listens on.
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

  // The process behind that identity (WorkerIdentity::instance) has ended: its streams end, its
  // slot is free.
  void Disconnect(const std::string& instance);

  // Ends streams that never said Hello, cuts those that do not take their end, has identities
  // reviewed again. Call about once a second.
  void Tick();

  [[nodiscard]] ServerCounts counts() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;  // answers of an Authenticator may come later
};

}  // namespace backfill::coordinator
