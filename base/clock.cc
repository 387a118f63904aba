#include "base/clock.h"

#include <ctime>

namespace backfill {

std::string FormatWallTime(WallTime t) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(t);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  const std::size_t n = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return {text, n};
}

std::optional<WallTime> ParseWallTime(std::string_view text) {
  constexpr std::size_t kLength = 20;
  if (text.size() != kLength) return std::nullopt;
  const std::string copy(text);  // strptime wants its end marked
  std::tm utc{};
  const char* end = strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  if (end == nullptr || *end != '\0') return std::nullopt;
  // A WallTime counts nanoseconds: it ends in the year 2262. What is before 1970 is nobody's time
  // here, and its difference to ours would not fit.
  constexpr auto kLast =
      std::chrono::duration_cast<std::chrono::seconds>(WallTime::duration::max()).count();
  const std::time_t seconds = timegm(&utc);
  if (seconds > kLast || seconds < 0) return std::nullopt;
  return std::chrono::system_clock::from_time_t(seconds);
}

}  // namespace backfill
