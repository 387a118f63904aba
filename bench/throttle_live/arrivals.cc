#include "bench/throttle_live/arrivals.h"

#include <algorithm>
#include <chrono>

namespace backfill::throttle_live {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLook = 1ms;

}  // namespace

Arrivals::Arrivals(fakes::Sink& sink)
    : begun_(std::chrono::steady_clock::now()),
      thread_([this, &sink](const std::stop_token& stop) { Watch(stop, sink); }) {}

void Arrivals::Watch(const std::stop_token& stop, fakes::Sink& sink) {
  const std::uint64_t before = sink.stats().requests;
  std::uint64_t known = before;
  while (!stop.stop_requested()) {
    std::this_thread::sleep_for(kLook);
    const std::uint64_t requests = sink.stats().requests;
    if (requests == known) continue;
    known = requests;
    MutexLock l(mu_);
    seen_.push_back({std::chrono::steady_clock::now(), requests - before});
  }
}

void Arrivals::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

Time Arrivals::Last() const {
  MutexLock l(mu_);
  return seen_.empty() ? begun_ : seen_.back().at;
}

bool Arrivals::UntilSilent(Duration silence, Duration at_most) {
  const Time end = std::chrono::steady_clock::now() + at_most;
  while (std::chrono::steady_clock::now() < end) {
    if (std::chrono::steady_clock::now() - Last() >= silence) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

std::uint64_t Arrivals::Between(Time from, Time to) const {
  MutexLock l(mu_);
  const auto until = [this](Time t) REQUIRES(mu_) -> std::uint64_t {
    const auto after = std::ranges::upper_bound(seen_, t, {}, &Seen::at);
    return after == seen_.begin() ? 0 : std::prev(after)->requests;
  };
  return until(to) - until(from);
}

std::uint64_t Arrivals::MostWithin(Duration length, Time from, Time to) const {
  std::uint64_t most = 0;
  for (Time t = from; t + length <= to; t += kLook) most = std::max(most, Between(t, t + length));
  return most;
}

}  // namespace backfill::throttle_live
