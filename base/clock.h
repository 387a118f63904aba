#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace backfill {

// Time on a monotonic clock of this process: for durations, leases, deadlines. Never travels.
using Time = std::chrono::steady_clock::time_point;
using Duration = std::chrono::nanoseconds;
// Time of day: for people, and for schedules that people write. Decides nothing else.
using WallTime = std::chrono::system_clock::time_point;

// The two clocks. Thread-safe. Pure code takes a Time as an argument instead.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Time Steady() const = 0;
  [[nodiscard]] virtual WallTime Wall() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] Time Steady() const override { return std::chrono::steady_clock::now(); }
  [[nodiscard]] WallTime Wall() const override { return std::chrono::system_clock::now(); }
};

// RFC 3339, UTC, whole seconds: 2026-11-23T03:28:59Z.
std::string FormatWallTime(WallTime t);
// That form and no other.
std::optional<WallTime> ParseWallTime(std::string_view text);

}  // namespace backfill
