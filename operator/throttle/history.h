#pragma once

#include <deque>
#include <optional>

#include "base/clock.h"

namespace backfill::throttle {

// A figure over the last dead time, in a bounded number of entries. Not thread-safe.
class History {
 public:
  struct Entry {
    Time at;            // when it was added
    Duration lasted{};  // for how long it held
    double value = 0;   // mean of what was added
    double least = 0;   // of it

    bool operator==(const Entry&) const = default;
  };

  History() = default;
  explicit History(std::deque<Entry> entries) : entries_(std::move(entries)) {}

  // `value` held for `lasted` until `now`. Forgets what is older than `span`.
  void Add(double value, Duration lasted, Time now, Duration span);
  void Forget(Time now, Duration span);

  // Weighted by how long each held; nullopt: nothing is known.
  [[nodiscard]] std::optional<double> Mean() const;
  // Of what was added before `before`.
  [[nodiscard]] std::optional<double> LeastBefore(Time before) const;
  [[nodiscard]] const std::deque<Entry>& entries() const { return entries_; }

  bool operator==(const History&) const = default;

 private:
  std::deque<Entry> entries_;
};

}  // namespace backfill::throttle
