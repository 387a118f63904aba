#include "operator/api/promql_range.h"

#include <algorithm>
#include <cctype>
#include <cstdint>

namespace backfill::api {
namespace {

using Millis = std::chrono::milliseconds;

constexpr std::int64_t kLongest = std::int64_t{366} * 86400 * 1000;

// 1h30m, as Prometheus writes durations. Takes what it reads from the front of the text.
std::optional<Millis> TakeDuration(std::string_view& text) {
  static constexpr struct {
    std::string_view unit;
    std::int64_t ms;
  } kUnits[] = {{"ms", 1},         {"s", 1000},        {"m", 60'000},        {"h", 3'600'000},
                {"d", 86'400'000}, {"w", 604'800'000}, {"y", 31'536'000'000}};
  std::int64_t total = 0;
  bool any = false;
  while (!text.empty() && std::isdigit(static_cast<unsigned char>(text.front())) != 0) {
    std::int64_t amount = 0;
    while (!text.empty() && std::isdigit(static_cast<unsigned char>(text.front())) != 0) {
      amount = std::min(amount * 10 + (text.front() - '0'), kLongest);
      text.remove_prefix(1);
    }
    const auto* unit =
        std::ranges::find_if(kUnits, [text](const auto& u) { return text.starts_with(u.unit); });
    if (unit == std::end(kUnits)) return std::nullopt;
    total = std::min(total + std::min(amount, kLongest / unit->ms) * unit->ms, kLongest);
    text.remove_prefix(unit->unit.size());
    any = true;
  }
  return any ? std::optional(Millis(total)) : std::nullopt;
}

// Behind a text in quotes; a backslash hides one, but for raw texts in backticks.
std::string_view BehindQuoted(std::string_view text) {
  const char quote = text.front();
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\' && quote != '`') {
      ++i;
    } else if (text[i] == quote) {
      return text.substr(i + 1);
    }
  }
  return {};
}

}  // namespace

std::optional<Millis> LongestRange(std::string_view query) {
  std::optional<Millis> longest;
  while (!query.empty()) {
    const char c = query.front();
    if (c == '"' || c == '\'' || c == '`') {
      query = BehindQuoted(query);
      continue;
    }
    query.remove_prefix(1);
    if (c == '#') query.remove_prefix(std::min(query.find('\n'), query.size()));
    if (c != '[') continue;
    query.remove_prefix(std::min(query.find_first_not_of(" \t\r\n"), query.size()));
    if (const auto range = TakeDuration(query))
      longest = std::max(longest.value_or(*range), *range);
  }
  return longest;
}

}  // namespace backfill::api
