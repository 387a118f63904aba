#include "operator/throttle/history.h"

#include <algorithm>

namespace backfill::throttle {
namespace {

// Entries that are nearer to each other than this part of the span become one.
constexpr Duration::rep kEntries = 256;

double Seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

void History::Forget(Time now, Duration span) {
  while (!entries_.empty() && entries_.front().at < now - span) entries_.pop_front();
}

void History::Add(double value, Duration lasted, Time now, Duration span) {
  if (!entries_.empty()) {
    Entry& last = entries_.back();
    if (now - last.at < span / kEntries) {
      const Duration both = last.lasted + lasted;
      if (both > Duration::zero())
        last.value += (value - last.value) * (Seconds(lasted) / Seconds(both));
      last.least = std::min(last.least, value);
      last.lasted = both;
      return Forget(now, span);
    }
  }
  entries_.push_back({.at = now, .lasted = lasted, .value = value, .least = value});
  Forget(now, span);
}

std::optional<double> History::Mean() const {
  if (entries_.empty()) return std::nullopt;
  double sum = 0;
  double weight = 0;
  for (const Entry& entry : entries_) {
    sum += entry.value * Seconds(entry.lasted);
    weight += Seconds(entry.lasted);
  }
  return weight > 0 ? sum / weight : entries_.back().value;
}

std::optional<double> History::LeastBefore(Time before) const {
  std::optional<double> least;
  for (const Entry& entry : entries_) {
    if (entry.at < before && (!least || entry.least < *least)) least = entry.least;
  }
  return least;
}

}  // namespace backfill::throttle
