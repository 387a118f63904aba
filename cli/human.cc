#include "cli/human.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

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
  const Error wrong{
      ErrorCode::kInvalid,
      fmt::format("\"{}\" is not a duration: write 90s, 10m, 1h30m or 500ms", text.substr(0, 64))};
  constexpr std::size_t kMaxText = 32;
  constexpr std::int64_t kMaxMs = 366LL * 86400 * 1000;
  if (text.empty() || text.size() > kMaxText) return wrong;
  std::int64_t total_ms = 0;
  while (!text.empty()) {
    std::int64_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc() || count < 0 || count > kMaxMs) return wrong;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    std::int64_t unit_ms = 0;
    if (text.starts_with("ms")) {
      unit_ms = 1;
    } else if (text.starts_with('s')) {
      unit_ms = 1000;
    } else if (text.starts_with('m')) {
      unit_ms = 60'000;
    } else if (text.starts_with('h')) {
      unit_ms = 3'600'000;
    } else {
      return wrong;
    }
    text.remove_prefix(unit_ms == 1 ? 2 : 1);
    if (count > kMaxMs / unit_ms || total_ms + count * unit_ms > kMaxMs) return wrong;
    total_ms += count * unit_ms;
  }
  return Duration(std::chrono::milliseconds(total_ms));
}

}  // namespace backfill::cli
