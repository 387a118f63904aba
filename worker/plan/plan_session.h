#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backfill/v1/coordinator.pb.h"
#include "base/clock.h"
#include "base/result.h"
#include "operator/plan/found_source.h"
#include "rows/file_plan.h"
#include "worker/link/session.h"

namespace backfill::worker {

// What a worker of the stage `plan` has found, as the messages that carry it: PlanParts, then
// PlanEnd; or PlanFailure. None is as large as 1 MiB. Pure.
std::vector<v1::WorkerMessage> MessagesOf(const Result<plan::FoundSource>& found);

// The worker's side of the protocol in the stage `plan`: learns what to read, tells how far it is,
// and what was found, over streams that come and go. It says all of it anew on each stream, since
// the coordinator may be another one, and ends when it is told to. Does no I/O but through its
// Host; the time is an argument. One thread makes all calls.
class PlanSession {
 public:
  class Host {
   public:
    virtual ~Host() = default;
    // False: the stream is gone.
    virtual bool Send(std::uint64_t stream, v1::WorkerMessage message) = 0;
    // The first Welcome says what to read. kInvalid: this worker cannot.
    virtual Status OnWorkload(const v1::Workload& workload) = 0;
  };

  PlanSession(SessionOptions options, Host& host) : options_(std::move(options)), host_(host) {}

  void OnConnected(std::uint64_t stream);
  void OnMessage(std::uint64_t stream, const v1::CoordinatorMessage& message, Time now);
  void OnDisconnected(std::uint64_t stream, const Error& error, Time now);

  // SIGTERM. Nothing is left to be given back.
  void Drain() { EndAs(SessionEnd::kDrained); }
  // Once.
  void SetFound(Result<plan::FoundSource> found) { found_ = std::move(found); }
  // Sends what is due. Call every 100 ms or so.
  void Tick(const rows::PlanProgress& progress, Time now);

  [[nodiscard]] const std::optional<SessionEnd>& ended() const { return end_; }

 private:
  void Send(v1::WorkerMessage message);
  void OnWelcome(const v1::Welcome& welcome, Time now);
  void EndAs(SessionEnd end) {
    if (!end_) end_ = end;
  }

  const SessionOptions options_;
  Host& host_;
  std::optional<SessionEnd> end_;
  std::uint64_t stream_ = 0;  // 0: not connected
  std::uint64_t sequence_ = 0;
  bool welcomed_ = false;  // on this stream
  bool told_ = false;      // what was found, on this stream
  std::string workload_;   // of the first Welcome, serialised
  std::optional<Result<plan::FoundSource>> found_;
  Duration report_period_ = 1s;
  Time next_report_{};
  std::optional<Time> refused_since_;
};

}  // namespace backfill::worker
