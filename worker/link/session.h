#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backfill/v1/coordinator.pb.h"
#include "base/clock.h"
#include "base/result.h"
#include "worker/engine/engine.h"
#include "worker/link/conversation.h"
#include "worker/target/target.h"

namespace backfill::worker {

using namespace std::chrono_literals;

// The worker's side of the protocol: turns messages into calls on the engine and its progress into
// reports, over streams that come and go. Does no I/O but through its Host; the time is an
// argument. One thread makes all calls.
class Session final : public StageSession {
 public:
  class Host : public Conversation::Host {
   public:
    virtual void SetReconnectWindow(Duration window) = 0;
    // Without a stream: do not wait any longer before the next attempt.
    virtual void ReconnectSoon() = 0;
    virtual std::vector<TargetSample> TakeSamples() = 0;
    // Where the records of a lease lie in their file; comes before the lease is worked on.
    virtual void OnExtent(const v1::FileExtent& extent) = 0;
  };

  Session(SessionOptions options, Host& host);

  void OnConnected(std::uint64_t stream, Time now) override;
  void OnMessage(std::uint64_t stream, const v1::CoordinatorMessage& message, Time now) override;
  void OnDisconnected(std::uint64_t stream, const Error& error, Time now) override;
  // Nothing new is sent, what is in flight may end, leases go back.
  void Drain(Time now) override;
  [[nodiscard]] const std::optional<SessionEnd>& ended() const override {
    return conversation_.ended();
  }
  // The source or the target turned out to be impossible.
  void GiveUp(const Error& why) { conversation_.GiveUp(why); }

  // What is wrong with the source, if anything; as Source::trouble().
  void SetSourceTrouble(const std::optional<Error>& trouble);

  // Reports that are due. Call every 20 ms or so, and when a lease may have become complete.
  void Tick(Time now);
  // When there will be something to report before the period is over; Time::max() if not.
  [[nodiscard]] Time wake_at() const;

  Engine& engine() { return engine_; }

 private:
  [[nodiscard]] bool welcomed() const { return conversation_.welcomed(); }
  // What the coordinator knows of a lease that is held.
  struct Held {
    std::uint64_t first_reported = 0;  // on this stream; 0: not yet
    LeaseState accepted;               // as of the last report that it has accepted
    std::optional<std::pair<std::uint64_t, LeaseState>> pending;  // a later report and its message
    bool done_sent = false;                                       // on this stream
  };
  enum class ReportKind { kPeriodic, kEarly };

  std::uint64_t Send(v1::WorkerMessage message, Time now);
  void OnWelcome(const v1::Welcome& welcome, Time now);
  void OnLease(const v1::Lease& lease, std::uint64_t answers, Time now);
  void OnGrant(const v1::Grant& grant, std::uint64_t answers, Time now);
  void OnPartitionCaps(const v1::PartitionCaps& caps, std::uint64_t answers, Time now);
  void OnAck(const v1::Ack& ack, std::uint64_t answers, Time now);
  void OnAnswered(std::uint64_t answers);
  void OnLimits(const v1::Limits& limits);
  void Drop(const LeaseKey& key, std::string_view why);

  void Report(ReportKind kind, Time now);
  void SendSamples(Time now);
  void SendSourceTrouble(Time now);
  void SendFailures(Time now);
  void SendProgress(const std::vector<LeaseState>& states, Time now);
  void SendShardDone(const LeaseState& state, Time now);
  void SendDraining(const std::vector<LeaseState>& states, Time now);
  void TickDrain(Time now);
  void OnStreamLost(Time now);
  void Remember(const LeaseState& state, std::uint64_t sequence);
  void EndAs(SessionEnd end) { conversation_.EndAs(end); }

  const SessionOptions options_;
  Host& host_;
  Engine engine_;
  Conversation conversation_;

  Time offline_since_{};  // the last stream with a Welcome was lost
  Epoch epoch_;
  Epoch grant_epoch_;                 // of the grant that is obeyed
  std::uint64_t grant_sequence_ = 0;  // the latest on this stream; 0: none yet
  std::map<LeaseKey, Held> held_;
  std::vector<TargetSample> samples_;  // not sent yet
  std::pair<std::uint64_t, std::vector<TargetSample>> sent_samples_;

  Duration report_period_ = 1s;
  Time next_report_{};
  Time last_report_{};
  std::uint64_t reported_news_ = 0;
  std::optional<Error> source_trouble_;
  bool tell_trouble_ = false;  // it has changed since it was told

  std::optional<Time> drain_until_;
  std::uint64_t draining_sequence_ = 0;  // of the Draining on this stream; 0: not sent yet
};

}  // namespace backfill::worker
