#pragma once

#include "base/mutex.h"  // before gRPC: Abseil defines GUARDED_BY, too

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "backfill/v1/coordinator.grpc.pb.h"
#include "base/clock.h"
#include "base/ids.h"
#include "operator/coordinator/authenticator.h"
#include "operator/coordinator/session_protocol.h"

namespace backfill::coordinator {

// One worker's stream. Reads nothing before it is accepted, then one message at a time and only
// when told to; writes from a bounded outbox.
//
// Thread-safe: gRPC calls the On... methods, anybody the others. Nothing is called back while the
// lock is held. Whoever keeps the registry holds it by shared_ptr until on_done.
class Session final : public grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage> {
 public:
  static constexpr std::size_t kMaxOutbox = 256;

  struct Callbacks {
    std::function<void(v1::WorkerMessage&&)> on_message;
    std::function<void()> on_broken;   // the protocol was broken; the stream ends
    std::function<void()> on_foreign;  // Hello is for another stage; the stream ends
    std::function<void()> on_done;     // nothing is called any more; may destroy the session
  };

  Session(SessionId id, grpc::CallbackServerContext& context, Time started, Callbacks callbacks)
      : id_(id), context_(context), started_(started), callbacks_(std::move(callbacks)) {}

  [[nodiscard]] SessionId id() const { return id_; }

  // Reads the first message. With an identity Hello must be for its stage, and worker and instance
  // are what it says, whatever stands there. Once; nothing happens where the stream has ended.
  void Accept(std::optional<WorkerIdentity> identity);
  void ReadNext();
  // A Grant, Limits or Pause replaces one that is still queued: only the latest counts. False: the
  // session was full, and has been cut, or is ending.
  bool Send(v1::CoordinatorMessage&& message);
  void Close(const grpc::Status& status);
  // Ends it if it has not said Hello by now, cuts it if it does not take its end.
  void CheckTime(Time now, Duration hello_timeout, Duration close_timeout);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  // What a stream must obey whatever its stage. OK, or why it ends.
  grpc::Status Check(const v1::WorkerMessage& message) const;
  // False: it is for another stage.
  bool BindHello(v1::Hello& hello) const;
  void CloseLocked(const grpc::Status& status) REQUIRES(mu_);
  void FinishIfIdle() REQUIRES(mu_);

  const SessionId id_;
  grpc::CallbackServerContext& context_;  // valid until OnDone
  const Time started_;
  const Callbacks callbacks_;

  // Set before the first read.
  std::optional<WorkerIdentity> identity_;

  // One read is under way at a time.
  v1::WorkerMessage incoming_;
  std::uint64_t last_sequence_ = 0;

  mutable Mutex mu_;
  bool greeted_ GUARDED_BY(mu_) = false;
  std::deque<v1::CoordinatorMessage> outbox_ GUARDED_BY(mu_);  // the front one is being written
  std::optional<grpc::Status> end_ GUARDED_BY(mu_);
  std::optional<Time> ending_since_ GUARDED_BY(mu_);
  bool finished_ GUARDED_BY(mu_) = false;
  bool done_ GUARDED_BY(mu_) = false;
};

}  // namespace backfill::coordinator
