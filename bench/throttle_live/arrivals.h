#pragma once

#include <cstdint>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "tests/worker/sink.h"

namespace backfill::throttle_live {

// When requests arrived at the target: looks at its count each millisecond, from its beginning to
// Stop(). The sink must outlive it.
class Arrivals {
 public:
  explicit Arrivals(fakes::Sink& sink);
  ~Arrivals() { Stop(); }
  Arrivals(const Arrivals&) = delete;
  Arrivals& operator=(const Arrivals&) = delete;

  void Stop();

  // Until the target has seen nothing for so long. False: it never was.
  bool UntilSilent(Duration silence, Duration at_most);
  // When the last one came; the beginning, if none did.
  [[nodiscard]] Time Last() const;

  // After Stop().
  [[nodiscard]] std::uint64_t Between(Time from, Time to) const;
  // The most within any stretch of that length.
  [[nodiscard]] std::uint64_t MostWithin(Duration length, Time from, Time to) const;

 private:
  struct Seen {
    Time at;
    std::uint64_t requests = 0;  // since the beginning
  };
  void Watch(const std::stop_token& stop, fakes::Sink& sink);

  const Time begun_;
  mutable Mutex mu_;
  std::vector<Seen> seen_ GUARDED_BY(mu_);  // one for each look that found new ones
  std::jthread thread_;                     // last
};

}  // namespace backfill::throttle_live
