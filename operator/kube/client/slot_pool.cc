#include "operator/kube/client/slot_pool.h"

#include <fmt/format.h>

namespace backfill::kube {

SlotPool::SlotPool(std::size_t slots, std::size_t max_waiting) : max_waiting_(max_waiting) {
  for (std::size_t i = slots; i > 0; --i) free_.push_back(i - 1);
}

Result<SlotPool::Slot> SlotPool::Take(Time deadline, const std::stop_token& stop) {
  MutexLock l(mu_);
  if (free_.empty()) {
    if (waiting_ >= max_waiting_)
      return Error{ErrorCode::kUnavailable,
                   fmt::format("{} requests wait for others to end already", waiting_)};
    ++waiting_;
    const bool got = given_back_.wait_until(mu_, stop, deadline,
                                            [this]() REQUIRES(mu_) { return !free_.empty(); });
    --waiting_;
    if (stop.stop_requested() || !got) {
      if (got) given_back_.notify_one();  // it is another's then
      if (stop.stop_requested())
        return Error{ErrorCode::kAborted, "stopped while other requests were under way"};
      return Error{ErrorCode::kDeadline, "other requests have taken all the time"};
    }
  }
  const std::size_t index = free_.back();
  free_.pop_back();
  return Slot(*this, index);
}

void SlotPool::GiveBack(std::size_t index) {
  MutexLock l(mu_);
  free_.push_back(index);
  given_back_.notify_one();
}

}  // namespace backfill::kube
