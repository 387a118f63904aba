#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "worker/link/conversation.h"
#include "worker/settings.h"

namespace boost::asio {
class io_context;
}

namespace backfill::worker {

class Link;

// The loop of a worker process, whatever its stage: one thread with the sockets, on which a session
// hears of the stream that the Link keeps open, of SIGTERM, and of the passing of time. Ends the
// process at once when the runner dies (lifeline). Post() may be called from any thread, all else
// only from the loop's, which is that of Run().
class WorkerLoop {
 public:
  class Stage {
   public:
    virtual ~Stage() = default;
    virtual StageSession& session() = 0;
    virtual void OnTick(Time now) = 0;
    // Goes on with whatever can go on now. After every tick and every event.
    virtual void Pump() = 0;
  };

  // The stage must outlive it; it is not called before Run().
  WorkerLoop(Settings settings, Duration tick, Stage& stage);
  ~WorkerLoop();
  WorkerLoop(const WorkerLoop&) = delete;
  WorkerLoop& operator=(const WorkerLoop&) = delete;

  // Until the session has ended; returns the exit code. Once.
  int Run();

  // Pumps, and ends the loop if the session has ended.
  void Turn();
  void Post(std::function<void()> f);
  boost::asio::io_context& io();
  Link& link();
  [[nodiscard]] const Settings& settings() const;  // without the token
  [[nodiscard]] SessionOptions session_options() const;
  [[nodiscard]] std::uint64_t seed() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace backfill::worker
