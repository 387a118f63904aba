#include "bench/scale/worker_stream.h"

#include <utility>

namespace backfill::scale {

WorkerStream::WorkerStream(v1::Coordinator::Stub& stub, grpc::CompletionQueue& queue,
                           const std::string& token, Events& events)
    : events_(events) {
  context_.AddMetadata("authorization", "Bearer " + token);
  call_ = stub.PrepareAsyncWork(&context_, &queue);
  call_->StartCall(&start_);
}

bool WorkerStream::Write(v1::WorkerMessage message) {
  if (ending_) return false;
  if (outgoing_.size() >= kMaxQueued) {
    Cancel();
    return false;
  }
  outgoing_.push_back(std::move(message));
  WriteNext();
  return true;
}

void WorkerStream::WriteNext() {
  if (writing_ || ending_ || outgoing_.empty()) return;
  writing_ = true;
  call_->Write(outgoing_.front(), &write_);
}

void WorkerStream::FinishIfIdle() {
  if (!ending_ || reading_ || writing_ || std::exchange(finishing_, true)) return;
  call_->Finish(&status_, &finish_);
}

void WorkerStream::On(Tag::Kind kind, bool ok) {
  switch (kind) {
    case Tag::Kind::kStart:
      ending_ = !ok;
      if (ok) {
        reading_ = true;
        call_->Read(&incoming_, &read_);
        events_.OnOpen();
      }
      return FinishIfIdle();
    case Tag::Kind::kRead:
      if (ok) {
        events_.OnMessage(incoming_);
        return call_->Read(&incoming_, &read_);
      }
      reading_ = false;
      ending_ = true;
      return FinishIfIdle();
    case Tag::Kind::kWrite:
      writing_ = false;
      outgoing_.pop_front();
      if (ok && !ending_) return WriteNext();
      outgoing_.clear();
      ending_ = ending_ || !ok;
      if (!ok) Cancel();  // the read returns, too
      return FinishIfIdle();
    case Tag::Kind::kFinish:
      return events_.OnEnd(status_);
  }
}

}  // namespace backfill::scale
