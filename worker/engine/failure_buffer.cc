#include "worker/engine/failure_buffer.h"

#include <utility>

namespace backfill::worker {

void FailureBuffer::Add(const LeaseKey& lease, FailedRecord failure) {
  entries_.push_back({.lease = lease, .failure = std::move(failure)});
  ++unsent_;
}

void FailureBuffer::Forget(const LeaseKey& lease) {
  if (std::erase_if(entries_, [&](const Entry& e) { return e.lease == lease; }) > 0) Recount();
}

FailureBuffer::Message FailureBuffer::Take(std::uint64_t sequence) {
  Message message;
  for (Entry& e : entries_) {
    if (e.state != State::kUnsent) continue;
    if (message.failures.empty()) message.lease = e.lease;
    if (e.lease != message.lease) continue;
    e.state = State::kSent;
    e.sequence = sequence;
    --unsent_;
    message.failures.push_back(e.failure);
    if (message.failures.size() == kPerMessage) break;
  }
  return message;
}

void FailureBuffer::OnAck(std::uint64_t answered, std::uint64_t durable) {
  if (unsent_ == entries_.size()) return;
  if (durable > 0) {
    std::erase_if(entries_, [&](const Entry& e) {
      return e.state != State::kUnsent && e.sequence <= durable;
    });
    return Recount();
  }
  for (Entry& e : entries_) {
    if (e.state == State::kSent && e.sequence <= answered) e.state = State::kAccepted;
  }
  std::size_t surplus = entries_.size() > kMax ? entries_.size() - kMax : 0;
  std::erase_if(entries_, [&](const Entry& e) {
    if (surplus == 0 || e.state != State::kAccepted) return false;
    --surplus;
    return true;
  });
  Recount();
}

void FailureBuffer::BeginStream() {
  for (Entry& e : entries_) e.state = State::kUnsent;
  Recount();
}

void FailureBuffer::Recount() {
  unsent_ = accepted_ = 0;
  for (const Entry& e : entries_) {
    if (e.state == State::kUnsent) ++unsent_;
    if (e.state == State::kAccepted) ++accepted_;
  }
}

}  // namespace backfill::worker
