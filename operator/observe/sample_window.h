#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "base/clock.h"

namespace backfill::observe {

// How much counters have grown over a time: those of one series, or all buckets of a histogram,
// which belong together. Keeps at most some 70 samples, however often one comes.
//
// A counter that goes backwards was reset: then, or when there is another number of counters, the
// window begins anew. What grew since the reset is not guessed at, as Prometheus does: a target
// that restarts under load would look idle. Neither does it reach across a time without samples.
//
// Pure, not thread-safe; the time is an argument and never goes back.
class SampleWindow {
 public:
  explicit SampleWindow(Duration window) : window_(window) {}

  // False: the window begins anew with these.
  bool Add(std::vector<double> counters, Time at);

  struct Growth {
    std::vector<double> counters;
    Duration over{};  // above zero
  };
  // From the oldest sample to the newest; nothing until a quarter of the window is filled.
  [[nodiscard]] std::optional<Growth> Grown() const;

  [[nodiscard]] std::size_t samples() const { return samples_.size(); }

 private:
  struct Sample {
    Time at;
    std::vector<double> counters;
  };
  Duration window_;
  std::deque<Sample> samples_;
};

}  // namespace backfill::observe
