#include "operator/coordinator/session.h"

#include <utility>

namespace backfill::coordinator {
namespace {

using grpc::StatusCode;
using v1::CoordinatorMessage;
using v1::WorkerMessage;

// Of these only the latest counts.
bool Replaces(const CoordinatorMessage& message) {
  const auto body = message.body_case();
  return body == CoordinatorMessage::kGrant || body == CoordinatorMessage::kLimits ||
         body == CoordinatorMessage::kPause;
}

}  // namespace

void Session::Accept(std::optional<WorkerIdentity> identity) {
  MutexLock l(mu_);
  if (end_) return;
  identity_ = std::move(identity);
  StartRead(&incoming_);
}

void Session::ReadNext() {
  MutexLock l(mu_);
  if (!end_) StartRead(&incoming_);
}

bool Session::Send(CoordinatorMessage&& message) {
  MutexLock l(mu_);
  if (end_) return false;
  if (Replaces(message)) {
    for (std::size_t i = 1; i < outbox_.size(); ++i) {
      if (outbox_[i].body_case() != message.body_case()) continue;
      outbox_[i] = std::move(message);
      return true;
    }
  }
  if (outbox_.size() >= kMaxOutbox) {
    outbox_.resize(1);
    CloseLocked(grpc::Status(StatusCode::RESOURCE_EXHAUSTED, "the worker does not read"));
    context_.TryCancel();
    return false;
  }
  outbox_.push_back(std::move(message));
  if (outbox_.size() == 1) StartWrite(&outbox_.front());
  return true;
}

void Session::Close(const grpc::Status& status) {
  MutexLock l(mu_);
  CloseLocked(status);
}

void Session::CloseLocked(const grpc::Status& status) {
  if (!end_) end_ = status;
  FinishIfIdle();
}

void Session::FinishIfIdle() {
  if (end_ && outbox_.empty() && !std::exchange(finished_, true)) Finish(*end_);
}

void Session::CheckTime(Time now, Duration hello_timeout, Duration close_timeout) {
  MutexLock l(mu_);
  if (done_) return;
  if (!greeted_ && !end_ && now - started_ >= hello_timeout) {
    CloseLocked(grpc::Status(StatusCode::DEADLINE_EXCEEDED, "no Hello"));
  }
  if (!end_) return;
  if (!ending_since_) ending_since_ = now;
  if (now - *ending_since_ >= close_timeout) context_.TryCancel();
}

grpc::Status Session::Check(const WorkerMessage& message) const {
  if (message.sequence() <= last_sequence_) {
    return {StatusCode::INVALID_ARGUMENT, "sequence numbers must rise"};
  }
  const bool first = last_sequence_ == 0;
  if (first != message.has_hello()) {
    return {StatusCode::INVALID_ARGUMENT, "Hello must come first, and once"};
  }
  if (!first) return grpc::Status::OK;
  const std::uint32_t version = message.hello().protocol_version();
  if (version == 0 || version + 1 < kProtocolVersion || version > kProtocolVersion + 1) {
    return {StatusCode::FAILED_PRECONDITION, "protocol version not supported"};
  }
  return grpc::Status::OK;
}

bool Session::BindHello(v1::Hello& hello) const {
  if (!identity_) return true;
  if (hello.backfill_uid() != identity_->stage.uid ||
      hello.stage() != reconcile::ToString(identity_->stage.stage)) {
    return false;
  }
  hello.set_worker(identity_->worker);
  hello.set_instance(identity_->instance);
  return true;
}

void Session::OnReadDone(bool ok) {
  if (!ok) return Close(grpc::Status::OK);  // the worker has half-closed, or is gone
  if (const grpc::Status status = Check(incoming_); !status.ok()) {
    callbacks_.on_broken();
    return Close(status);
  }
  if (incoming_.has_hello() && !BindHello(*incoming_.mutable_hello())) {
    callbacks_.on_foreign();
    return Close(grpc::Status(StatusCode::PERMISSION_DENIED, "not accepted"));
  }
  last_sequence_ = incoming_.sequence();
  {
    MutexLock l(mu_);
    if (end_) return;
    greeted_ = true;
  }
  callbacks_.on_message(std::exchange(incoming_, WorkerMessage()));
}

void Session::OnWriteDone(bool ok) {
  MutexLock l(mu_);
  if (ok) {
    outbox_.pop_front();
  } else {
    outbox_.clear();
    if (!end_) end_ = grpc::Status(StatusCode::UNAVAILABLE, "write failed");
  }
  if (!outbox_.empty()) return StartWrite(&outbox_.front());
  FinishIfIdle();
}

void Session::OnCancel() { Close(grpc::Status(StatusCode::CANCELLED, "cancelled")); }

void Session::OnDone() {
  {
    MutexLock l(mu_);
    done_ = true;
  }
  callbacks_.on_done();
}

}  // namespace backfill::coordinator
