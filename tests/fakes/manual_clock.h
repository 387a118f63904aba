#pragma once

#include <functional>
#include <map>
#include <utility>

#include "base/clock.h"
#include "base/mutex.h"

namespace backfill::fakes {

// Stands still until told otherwise. Thread-safe. Wall() moves along, and can be stepped on its
// own. What waits for a time of this clock asks to be called when it moves.
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
    {
      MutexLock l(mu_);
      now_ += d;
      wall_ += std::chrono::duration_cast<WallTime::duration>(d);
    }
    MutexLock l(listeners_mu_);
    for (const auto& [id, listener] : listeners_) listener();
  }
  // The administrator sets the clock.
  void StepWall(Duration d) {
    MutexLock l(mu_);
    wall_ += std::chrono::duration_cast<WallTime::duration>(d);
  }

  // Calls `listener` after each Advance(), on its thread, until Forget(), which waits for a call
  // under way. A listener must not call Advance(), Listen() or Forget().
  int Listen(std::function<void()> listener) {
    MutexLock l(listeners_mu_);
    listeners_.emplace(++last_listener_, std::move(listener));
    return last_listener_;
  }
  void Forget(int id) {
    MutexLock l(listeners_mu_);
    listeners_.erase(id);
  }

 private:
  mutable Mutex mu_;
  Time now_ GUARDED_BY(mu_){std::chrono::hours(1)};
  WallTime wall_ GUARDED_BY(mu_){std::chrono::seconds(1'800'000'000)};
  Mutex listeners_mu_;  // never taken with mu_ held
  std::map<int, std::function<void()>> listeners_ GUARDED_BY(listeners_mu_);
  int last_listener_ GUARDED_BY(listeners_mu_) = 0;
};

}  // namespace backfill::fakes
