#include "cli/human.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "operator/api/codec.h"

namespace backfill::cli {

std::string Grouped(std::uint64_t n) {
  const std::string digits = std::to_string(n);
  std::string out;
  out.reserve(digits.size() + digits.size() / 3);
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

std::string Grouped(std::int64_t n) {
  if (n >= 0) return Grouped(static_cast<std::uint64_t>(n));
  return std::string(1, '-') + Grouped(std::uint64_t{0} - static_cast<std::uint64_t>(n));
}

std::string PerSecond(double rate) {
  if (!(rate > 0)) return "0/s";
  if (rate < 9.95 && rate != std::floor(rate)) return fmt::format("{:.1f}/s", rate);
  constexpr double kMost = 1e15;
  return Grouped(static_cast<std::uint64_t>(std::llround(std::min(rate, kMost)))) + "/s";
}

std::string Plural(std::uint64_t n, std::string_view noun) {
  return fmt::format("{} {}{}", Grouped(n), noun, n == 1 ? "" : "s");
}

std::string Lasting(double seconds) {
  constexpr double kTooLong = 10.0 * 365 * 86400;
  if (!(seconds > 0)) return "0 s";
  if (seconds > kTooLong) return "more than 10 years";
  if (seconds < 0.9995) return fmt::format("{} ms", std::max(1L, std::lround(seconds * 1000)));
  struct Unit {
    std::int64_t seconds;
    const char* name;
  };
  static constexpr std::array<Unit, 4> kUnits{{{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}}};
  std::int64_t left = std::llround(seconds);
  for (std::size_t i = 0; i < kUnits.size(); ++i) {
    const Unit& unit = kUnits.at(i);
    if (left < unit.seconds) continue;
    const std::int64_t count = left / unit.seconds;
    left %= unit.seconds;
    const std::int64_t minor = i + 1 < kUnits.size() ? left / kUnits.at(i + 1).seconds : 0;
    if (minor == 0) return fmt::format("{} {}", count, unit.name);
    return fmt::format("{} {} {} {}", count, unit.name, minor, kUnits.at(i + 1).name);
  }
  return "0 s";
}

Result<Duration> ParseDuration(std::string_view text) {
  constexpr std::size_t kMostText = 32;
  constexpr auto kMost = std::chrono::hours(366 * 24);
  const auto parsed = text.size() <= kMostText ? api::ParseDuration(text) : std::nullopt;
  if (!parsed || *parsed > kMost) {
    return Error{ErrorCode::kInvalid,
                 fmt::format("\"{}\" is not a duration: write 90s, 10m, 1h30m or 500ms",
                             text.substr(0, 64))};
  }
  return Duration(*parsed);
}

}  // namespace backfill::cli
