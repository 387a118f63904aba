#include "worker/engine/failure_buffer.h"

#include <algorithm>
#include <utility>

namespace backfill::worker {

void FailureBuffer::Add(const LeaseKey& lease, FailedRecord failure) {
  if (entries_.size() >= kMax) {
    const auto accepted = std::find_if(entries_.begin(), entries_.end(),
                                       [](const Entry& e) { return e.state == State::kAccepted; });
    if (accepted != entries_.end()) entries_.erase(accepted);
  }
  entries_.push_back({.lease = lease, .failure = std::move(failure)});
  ++unsent_;
  ++unaccepted_;
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

void FailureBuffer::OnAnswered(std::uint64_t sequence) {
  if (unaccepted_ == unsent_) return;
  for (Entry& e : entries_) {
    if (e.state != State::kSent || e.sequence > sequence) continue;
    e.state = State::kAccepted;
    --unaccepted_;
  }
}

void FailureBuffer::BeginStream() {
  for (Entry& e : entries_) e.state = State::kUnsent;
  Recount();
}

void FailureBuffer::Recount() {
  unsent_ = unaccepted_ = 0;
  for (const Entry& e : entries_) {
    if (e.state == State::kUnsent) ++unsent_;
    if (e.state != State::kAccepted) ++unaccepted_;
  }
}

}  // namespace backfill::worker
