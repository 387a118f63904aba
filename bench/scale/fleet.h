#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "bench/scale/simulated_worker.h"

namespace backfill::scale {

// Simulated workers on one thread, which Start() begins and Stop() ends. Everything else is asked
// on that thread, by Ask().
class Fleet {
 public:
  Fleet(FleetOptions options, Referee& referee);  // must outlive it
  ~Fleet();                                       // Stop()
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  void Start();
  // Streams end. Idempotent.
  void Stop();

  struct State {
    int welcomed = 0;
    int ended = 0;       // told that there is no more work
    int given_up = 0;    // ended in another way
    double granted = 0;  // records/s, of all together
    FleetFigures figures;
  };
  State state();
  // Only what is asked for while it is measured counts.
  void Measure(bool on);
  // Looks for the first lease from now on.
  void ForgetLeases();
  void WatchGrants();
  // When each worker was told another rate, in ms after `since`; of the rest `missing`.
  struct Told {
    Samples ms;
    int missing = 0;
  };
  Told ToldAnotherRate(Time since);
  // For the referee, too: it belongs to that thread.
  void Ask(const std::function<void()>& question);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace backfill::scale
