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
#include "worker/link/conversation.h"

namespace backfill::worker {

// What a worker of the stage `plan` has found, as the messages that carry it: PlanParts, then
// PlanEnd; or PlanFailure. None is as large as 1 MiB. Pure.
std::vector<v1::WorkerMessage> MessagesOf(const Result<plan::FoundSource>& found);

// The worker's side of the protocol in the stage `plan`: learns what to read, tells how far it is,
// and what was found, over streams that come and go. It says all of it anew on each stream, since
// the coordinator may be another one, and ends when it is told to. Does no I/O but through its
// Host; the time is an argument. One thread makes all calls.
class PlanSession final : public StageSession {
 public:
  using Host = Conversation::Host;

  PlanSession(const SessionOptions& options, Host& host)
      : host_(host), conversation_(options, host) {}

  void OnConnected(std::uint64_t stream, Time now) override;
  void OnMessage(std::uint64_t stream, const v1::CoordinatorMessage& message, Time now) override;
  void OnDisconnected(std::uint64_t stream, const Error& error, Time now) override {
    conversation_.OnDisconnected(stream, error, now);
  }
  // Nothing is left to be given back.
  void Drain(Time) override { conversation_.EndAs(SessionEnd::kDrained); }
  [[nodiscard]] const std::optional<SessionEnd>& ended() const override {
    return conversation_.ended();
  }

  // Once.
  void SetFound(Result<plan::FoundSource> found) { found_ = std::move(found); }
  // Sends what is due. Call every 100 ms or so.
  void Tick(const rows::PlanProgress& progress, Time now);

 private:
  void Send(v1::WorkerMessage message);

  Host& host_;
  Conversation conversation_;
  std::uint64_t sequence_ = 0;
  bool told_ = false;  // what was found, on this stream
  std::optional<Result<plan::FoundSource>> found_;
  Duration report_period_ = 1s;
  Time next_report_{};
};

}  // namespace backfill::worker
