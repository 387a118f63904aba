#pragma once

#include <atomic>

#include "base/clock.h"

namespace backfill::kube {

// That of the system, put forward.
class MovedClock final : public Clock {
 public:
  [[nodiscard]] Time Steady() const override { return system_.Steady() + ahead_.load(); }
  [[nodiscard]] WallTime Wall() const override { return system_.Wall(); }
  void Move(Duration by) { ahead_ = ahead_.load() + by; }

 private:
  const SystemClock system_;
  std::atomic<Duration> ahead_{Duration::zero()};
};

}  // namespace backfill::kube
