#pragma once

#include "base/mutex.h"  // before gRPC: Abseil defines GUARDED_BY, too

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <string>

#include "backfill/v1/coordinator.grpc.pb.h"

namespace backfill::scale {

// One stream to a coordinator over a completion queue, so that one thread serves as many as it
// likes. One read and one write are under way at a time. That thread makes all calls.
class WorkerStream {
 public:
  static constexpr std::size_t kMaxQueued = 256;  // as a worker's link has

  class Events {
   public:
    virtual ~Events() = default;
    virtual void OnOpen() = 0;
    virtual void OnMessage(const v1::CoordinatorMessage& message) = 0;
    // Once, and last: the stream may go.
    virtual void OnEnd(const grpc::Status& status) = 0;
  };
  // What the queue returns.
  struct Tag {
    enum class Kind { kStart, kRead, kWrite, kFinish };
    WorkerStream* stream = nullptr;
    Kind kind = Kind::kStart;
  };

  // They must outlive it. What it has under way must have come back before it goes.
  WorkerStream(v1::Coordinator::Stub& stub, grpc::CompletionQueue& queue, const std::string& token,
               Events& events);
  WorkerStream(const WorkerStream&) = delete;
  WorkerStream& operator=(const WorkerStream&) = delete;

  // False: it has ended, or takes no more and is cut.
  bool Write(v1::WorkerMessage message);
  void Cancel() { context_.TryCancel(); }
  void On(Tag::Kind kind, bool ok);

 private:
  void WriteNext();
  void FinishIfIdle();

  Events& events_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<v1::WorkerMessage, v1::CoordinatorMessage>> call_;
  v1::CoordinatorMessage incoming_;
  std::deque<v1::WorkerMessage> outgoing_;  // the front one is being written
  grpc::Status status_;
  bool reading_ = false;
  bool writing_ = false;
  bool ending_ = false;  // nothing is read any more
  bool finishing_ = false;
  Tag start_{this, Tag::Kind::kStart}, read_{this, Tag::Kind::kRead},
      write_{this, Tag::Kind::kWrite}, finish_{this, Tag::Kind::kFinish};
};

}  // namespace backfill::scale
