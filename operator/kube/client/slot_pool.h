#pragma once

#include <condition_variable>
#include <cstddef>
#include <stop_token>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"

namespace backfill::kube {

// Bounds how much goes on at once, and how many wait for that (R33, R34). What was given back last
// is given out first, so that few connections stay warm. Thread-safe; must outlive its slots.
class SlotPool {
 public:
  class Slot {
   public:
    Slot(SlotPool& pool, std::size_t index) : pool_(&pool), index_(index) {}
    Slot(Slot&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), index_(other.index_) {}
    Slot& operator=(Slot&&) = delete;
    ~Slot() {
      if (pool_ != nullptr) pool_->GiveBack(index_);
    }
    [[nodiscard]] std::size_t index() const { return index_; }

   private:
    SlotPool* pool_;
    std::size_t index_;
  };

  SlotPool(std::size_t slots, std::size_t max_waiting);

  // kUnavailable: too many wait; kDeadline; kAborted.
  Result<Slot> Take(Time deadline, const std::stop_token& stop);

 private:
  void GiveBack(std::size_t index);

  const std::size_t max_waiting_;
  Mutex mu_;
  std::condition_variable_any given_back_;
  std::vector<std::size_t> free_ GUARDED_BY(mu_);
  std::size_t waiting_ GUARDED_BY(mu_) = 0;
};

}  // namespace backfill::kube
