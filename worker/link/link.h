#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "worker/link/dial.h"

namespace backfill::v1 {
class CoordinatorMessage;
class WorkerMessage;
}  // namespace backfill::v1

namespace backfill::worker {

using namespace std::chrono_literals;

struct LinkOptions {
  DialOptions dial;
  Duration first_backoff = 100ms;
  Duration max_backoff = 2s;  // until the coordinator has named its reconnect window, and at least
  // Likewise, for so long after it was last spoken to: another leads soon, and what is held has not
  // lapsed yet.
  Duration known_backoff = 500ms;
  Duration known_for = 60s;
  Duration refused_backoff = 30s;  // while it refuses who we are: it counts how often we ask
  // A stream that lived for so long is followed by the next one at once.
  Duration steady = 1s;
  // So many streams in a row of which nothing was heard, then a new connection.
  int streams_a_connection = 3;
  Duration silence = 15s;        // of the coordinator, who answers every report: then a new stream
  std::size_t max_queued = 256;  // messages, in each direction
  std::uint64_t seed = 1;
};

// Keeps one stream to the coordinator open, for ever: connects, carries messages both ways, and
// after a loss connects again, at once, then with full jitter. Knows nothing of what the messages
// mean. Token and authorities are read anew for each stream, so that both may be replaced; without
// authorities it does not leave this machine. Of several addresses the next is tried each time.
//
// Threads: one that connects and reads, one per stream that writes. Events are put into a bounded
// queue, which the owner empties with Poll() from a thread of its own; `wake` is called from the
// link's threads when it has something new. When the queue is full the reader waits, and so does
// the coordinator: that is the flow control.
class Link {
 public:
  // One event. Streams are numbered from 1; what belongs to an older stream than the last
  // kConnected is history.
  struct Event {
    enum class Kind { kConnected, kMessage, kDisconnected };
    Kind kind = Kind::kConnected;
    std::uint64_t stream = 0;
    std::unique_ptr<v1::CoordinatorMessage> message;  // of kMessage
    Error error;  // of kDisconnected: kUnauthenticated, kPermission or kUnavailable
    Event();
    Event(Event&&) noexcept;
    Event& operator=(Event&&) noexcept;
    ~Event();
  };

  Link(LinkOptions options, std::function<void()> wake);
  ~Link();  // Stop()
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void Start();
  // Ends the stream and joins the threads. Idempotent.
  void Stop();

  // The next event, if there is one. Does not wait.
  std::optional<Event> Poll();

  // Queues a message for that stream. False: the stream has ended, or its queue is full; then the
  // stream is ended, since a message that is left out silently could be the one that matters.
  bool Send(std::uint64_t stream, v1::WorkerMessage message);

  // Ends the stream if the coordinator has been silent for too long: a node that is gone says
  // nothing. Call now and then.
  void CutIfSilent(Time now);
  // As the coordinator asks: reconnects are spread over this time.
  void SetReconnectWindow(Duration window);
  // From now on reconnects wait for the first back-off at most: the process is about to end.
  void ReconnectSoon();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace backfill::worker
