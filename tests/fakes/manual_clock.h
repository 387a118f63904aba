#pragma once

#include "base/clock.h"
#include "base/mutex.h"

namespace backfill::fakes {

// Stands still until told otherwise. Thread-safe. Wall() moves along, and can be stepped on its
// own.
class ManualClock final : public Clock {
 public:
  [[nodiscard]] Time Steady() const override {
    MutexLock l(mu_);
    return now_;
  }
  [[nodiscard]] WallTime Wall() const override {
    MutexLock l(mu_);
    return wall_;
  }
  void Advance(Duration d) {
    MutexLock l(mu_);
    now_ += d;
    wall_ += std::chrono::duration_cast<WallTime::duration>(d);
  }
  // The administrator sets the clock.
  void StepWall(Duration d) {
    MutexLock l(mu_);
    wall_ += std::chrono::duration_cast<WallTime::duration>(d);
  }

 private:
  mutable Mutex mu_;
  Time now_ GUARDED_BY(mu_){std::chrono::hours(1)};
  WallTime wall_ GUARDED_BY(mu_){std::chrono::seconds(1'800'000'000)};
};

}  // namespace backfill::fakes
